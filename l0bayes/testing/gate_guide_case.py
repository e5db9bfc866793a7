"""The guide of a gate law as the suites are given it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from l0bayes.distributions import GateLaw
from l0bayes.gate_families import GATE_FAMILIES, GateFamily
from l0bayes.guides import gate_guide
from l0bayes.testing.guide_models import X, Y, regression

__all__ = ["DATA", "GATE", "GateGuideCase", "parameters_of", "raw_parameters"]

DATA = (X, Y)
GATE, SLAB = "beta.gate", "beta.slab"


class GateGuideCase:
    """A guide by the name of its gate law, with some options.

    Attributes:
        gate_law: Name of the gate law, which is registered.
        options: Options of the guide that make the case.
    """

    gate_law: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}

    @property
    def family(self) -> GateFamily:
        """The record of the gate law."""
        return GATE_FAMILIES[self.gate_law]

    @property
    def is_tied(self) -> bool:
        """Whether the gates of a site share their parameters."""
        return bool(self.options.get("tied", self.family.tied))

    def guide(self, model: Callable[..., Any] = regression, args: Any = DATA, **options: Any) -> Any:
        """A fresh guide.

        Args:
            model: Its model.
            args: Arguments to run the model with.
            **options: Options, which go before those of the case.
        """
        return gate_guide(model, args, gate_law=self.gate_law, **{**self.options, **options})

    def moved(self, model: Callable[..., Any] = regression, args: Any = DATA, **options: Any) -> Any:
        """A guide away from its start.

        Args:
            model: Its model.
            args: Arguments to run the model with.
            **options: Options, which go before those of the case.
        """
        return self.guide(model, args, **options).perturb(9, gates=1.5, locs=0.5)

    def assert_same_gates(self, one: Any, other: Any) -> None:
        """Assert that two guides have the same laws of gates.

        Args:
            one: A guide.
            other: Another, of the same model.
        """
        for name, law in one.gates().items():
            twin = other.gates()[name]
            assert type(twin) is type(law)
            for parameter, value in parameters_of(law).items():
                assert torch.equal(value, getattr(twin, parameter)), (name, parameter)


def parameters_of(law: GateLaw) -> dict[str, Tensor]:
    """The parameters of a gate law by name.

    Args:
        law: The law.
    """
    return {name: getattr(law, name).detach() for name in law.parameter_names}


def raw_parameters(guide: Any, site: str) -> dict[str, torch.nn.Parameter]:
    """What an optimiser sees of the gates of a site, by the name of the parameter.

    Args:
        guide: The guide.
        site: The gate site.
    """
    found, key = dict(guide.named_parameters()), f"{site.replace('.', '/')}_unconstrained"
    return {name: found[f"{name}.{key}"] for name in guide.gate_parameter_names}
