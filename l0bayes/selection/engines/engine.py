r"""The contract of an engine: problems it supports, its options, the posterior, and its own verdict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["Engine", "Progress", "silent"]

OptionsT = TypeVar("OptionsT")

Progress = Callable[[float], None]
"""Called with the share of the work that is done: it never falls, and the last one is 1."""


def silent(share: float) -> None:
    """A progress that shows nothing.

    Args:
        share: The share of the work that is done.
    """


class Engine(ABC, Generic[OptionsT]):
    """From a problem to its posterior. A new engine is a class of this, registered by its name.

    The conformance suite :class:`l0bayes.testing.engine_suite.EngineSuite` tests an engine against
    enumeration on every kind of problem that it supports.

    Attributes:
        name: By which it is asked for.
        options: Class of its options: a frozen dataclass whose fields all have defaults, and which refuses
            values out of range by name.
        takes_start: Whether it can be given inclusion probabilities to start from.
        auto_order: Place in the order in which ``"auto"`` asks engines whether they suit a problem; ``None``
            if it is never chosen.
    """

    name: ClassVar[str]
    options: ClassVar[type[Any]]
    takes_start: ClassVar[bool] = False
    auto_order: ClassVar[int | None] = None

    def options_for(self, problem: SelectionProblem) -> OptionsT:
        """Options where none are given.

        Args:
            problem: The problem.
        """
        default: OptionsT = self.options()
        return default

    def suits(self, problem: SelectionProblem) -> bool:
        """Whether ``"auto"`` should choose it for a problem: by default if it supports it at all.

        Args:
            problem: The problem.
        """
        return self.supports(problem, self.options_for(problem)) is None

    @abstractmethod
    def supports(self, problem: SelectionProblem, options: OptionsT) -> str | None:
        """Why it cannot take a problem, and what to do instead; ``None`` if it can.

        Args:
            problem: The problem.
            options: Its options.
        """

    @abstractmethod
    def accuracy(self, problem: SelectionProblem, options: OptionsT) -> float:
        """Largest error of an inclusion probability, beyond five of its Monte Carlo standard errors, that is
        to be expected on a problem of few, nearly uncorrelated columns.

        Args:
            problem: The problem.
            options: Its options.
        """

    @abstractmethod
    def infer(
        self,
        problem: SelectionProblem,
        options: OptionsT,
        *,
        start: Tensor | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> SelectionPosterior:
        """The posterior of a problem that it supports. The problem is not changed.

        Args:
            problem: The problem.
            options: Its options.
            start: Inclusion probabilities to start from, shape ``(G,)``; given only to engines that take
                them.
            seed: Seed; the same one gives the same posterior.
            progress: Called with the share of the work that is done.
        """
