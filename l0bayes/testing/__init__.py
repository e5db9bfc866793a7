"""Conformance suites, for tests of the package and of what others register: one a file, to be subclassed."""

__all__: list[str] = []
