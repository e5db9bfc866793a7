"""Conformance suites, for tests of the package and of what others register: one a file, to be subclassed."""

from l0bayes.optional_packages import need

need("A conformance suite", "pytest")

__all__: list[str] = []
