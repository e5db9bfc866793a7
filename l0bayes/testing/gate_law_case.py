"""A gate law as the suites are given it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis.strategies import SearchStrategy
from torch import Tensor
from torch.autograd import gradcheck

from l0bayes.distributions import GateLaw
from l0bayes.testing.gate_law_reference import GateLawReference

__all__ = ["DEVICES", "FLOAT32", "GRID", "PROPERTY", "Case", "GateLawCase", "close"]

Case = dict[str, Any]

TOLERANCE = 1e-11
FLOAT32 = 3e-6  # about 25 ulp of float32: what a few dozen additions may lose
GRID = torch.tensor([1e-9, 1e-3, 0.1, 0.25, 0.5, 0.6, 0.9, 0.999], dtype=torch.float64)

DEVICES = ["meta", "cuda"] if torch.cuda.is_available() else ["meta"]

PROPERTY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    # Tests of a suite are inherited, so every law runs them from a class of its own.
    suppress_health_check=[HealthCheck.differing_executors],
)


def close(actual: Tensor, wanted: float | np.ndarray, tolerance: float = TOLERANCE) -> None:
    """Assert that numbers agree, relative to their size where that is above 1.

    Args:
        actual: What was found.
        wanted: What it should be.
        tolerance: How far it may be off.
    """
    reference = torch.as_tensor(wanted, dtype=torch.float64)
    torch.testing.assert_close(actual.double(), reference, rtol=tolerance, atol=tolerance)


class GateLawCase(ABC):
    """A gate law, cases of it, and an independent reference.

    Attributes:
        law: The class of the law.
        cases: Arguments by name, floats in the place of tensors; every test runs on each of them.
        extreme_cases: The same of gates that are all but decided: activity logits beyond 40.
        parameters: A search strategy of Hypothesis for each argument.
        edge: A draw at or below it counts as 0, and one at or above 1 minus it as 1. A law without atoms
            needs room, since rounding puts some of its draws on the ends.
        has_atoms: Whether ``log_prob`` at 0 and 1 is the logarithm of a probability.
        has_interior: Whether there is a density between.
    """

    law: ClassVar[type[GateLaw]]
    cases: ClassVar[list[Case]]
    extreme_cases: ClassVar[list[Case]]
    parameters: ClassVar[dict[str, SearchStrategy[Any]]]
    edge: ClassVar[float] = 0.0
    has_atoms: ClassVar[bool] = True
    has_interior: ClassVar[bool] = True

    @abstractmethod
    def reference(self, **case: Any) -> GateLawReference:
        """The same law, independently.

        Args:
            **case: Arguments of the law.
        """

    @abstractmethod
    def exact_active(self, **case: Any) -> Any:
        """P(z > activity_threshold) to the working precision of mpmath.

        Args:
            **case: Arguments of the law.
        """

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test on every case that the class lists; pytest calls it.

        Args:
            metafunc: The test.
        """
        for fixture, cases in (("case", self.cases), ("extreme", self.extreme_cases)):
            if fixture in metafunc.fixturenames:
                metafunc.parametrize(fixture, cases, ids=[_name(case) for case in cases])

    def build(self, **arguments: Any) -> GateLaw:
        """The law of some arguments.

        Args:
            **arguments: Its arguments.
        """
        law: Callable[..., GateLaw] = self.law
        return law(**arguments)

    def make(self, case: Case, dtype: torch.dtype = torch.float64, shape: tuple[int, ...] = ()) -> GateLaw:
        """The law of a case.

        Args:
            case: Its arguments.
            dtype: Precision.
            shape: Shape of the gates.
        """
        tensors = {k: torch.full(shape, case[k], dtype=dtype) for k in self.law.parameter_names}
        return self.build(**{**case, **tensors})

    def gradient_check(self, case: Case, function: Callable[[GateLaw], Tensor]) -> None:
        """Assert that gradients in every tensor argument are those of central finite differences.

        Step 1e-6: the differences are good to about 1e-9, the tolerance leaves room for curvature.

        Args:
            case: Arguments of the law.
            function: What is differentiated.
        """
        names = self.law.parameter_names
        held = {k: v for k, v in case.items() if k not in names}
        values = [torch.tensor(case[k], dtype=torch.float64, requires_grad=True) for k in names]

        def at(*tensors: Tensor) -> Tensor:
            return function(self.build(**dict(zip(names, tensors, strict=True)), **held))

        assert gradcheck(at, values, eps=1e-6, atol=2e-7, rtol=1e-5)


def _name(case: Case) -> str:
    return ",".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{value}" for key, value in case.items()
    )
