r"""The record of a gate family, which guides, selection and gradients read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.constraints import Constraint

from l0bayes.distributions import GateLaw

__all__ = ["GateFamily", "GateParameter"]


@dataclass(frozen=True)
class GateParameter:
    """A trainable parameter of a gate family: one number a gate, in a tensor of the gates' shape.

    Args:
        name: Its name, among the attributes of a guide and the arguments of ``GateFamily.build``.
        constraint: The values it may take.
    """

    name: str
    constraint: Constraint = constraints.real


@dataclass(frozen=True, kw_only=True, eq=False)
class GateFamily:
    r"""A family of gate laws: its parameters, where they start, and the guide that trains them.

    :meth:`law_of` makes laws and :meth:`start_at` makes starts; both fill in defaults. The functions of a
    record are called with the arguments that the family has, and no others: parameters or activity logits,
    a ``temperature`` and a ``unit`` if it has one, and all of ``settings``.

    Args:
        name: The name by which arguments ``gate_law`` choose it.
        label: Its name in tables and pictures.
        words: One line for help texts.
        law: The class of its laws.
        parameters: The trained parameters. Gates open as the first one grows.
        start: From activity logits :math:`\ell = \operatorname{logit} P(z \ne 0)`, float64 of any shape, to
            the parameters, by name, at which gates have that activity. It must be made of torch's
            operations where the family has a temperature, which may then be a tensor.
        guide: Its guide, a class or, to be imported when it is first wanted, ``"module:Class"``.
        build: From the parameters to a law; by default the law itself.
        settings: Further settings that are the same for all gates, such as a stretch, with their defaults.
        temperature: The temperature by default; ``None`` for a family without.
        only_start_has_temperature: Whether the temperature sets the start of gates only.
        unit: From a temperature to the unit of the first parameter, for a family that keeps it in one. A
            guide holds its unit fixed when the temperature changes.
        tied: Whether the gates of a site share their parameters.
        estimators: Names of the gradient estimators, for a family whose draws carry no gradient.

    Example::

        register_family(GateFamily(
            name="mine",
            label="mine",
            words="my own law",
            law=MyLaw,
            parameters=(GateParameter("location"),),
            start=lambda activity_logits: {"location": activity_logits},
            guide=AutoMine,
        ))
    """

    name: str
    label: str
    words: str
    law: type[GateLaw]
    parameters: tuple[GateParameter, ...]
    start: Callable[..., Mapping[str, Tensor]]
    guide: str | type[Any]
    build: Callable[..., GateLaw] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    temperature: float | None = None
    only_start_has_temperature: bool = False
    unit: Callable[[Any], Any] | None = None
    tied: bool = False
    estimators: tuple[str, ...] = ()

    @property
    def has_temperature(self) -> bool:
        """Whether its laws have a temperature, which schedules may change."""
        return self.temperature is not None and not self.only_start_has_temperature

    @property
    def temperature_option(self) -> str | None:
        """Name of the option of its guide that sets a temperature; ``None`` without one."""
        if self.temperature is None:
            return None
        return "init_temperature" if self.only_start_has_temperature else "temperature"

    @property
    def has_exact_zeros(self) -> bool:
        """Whether a shut gate is exactly 0, so that deployment needs no threshold."""
        return self.law.activity_threshold == 0.0

    @property
    def is_relaxed(self) -> bool:
        """Whether its draws carry a gradient; those of other families are 0 or 1."""
        return self.law.has_rsample

    @property
    def guide_class(self) -> type[Any]:
        """The class of its guide."""
        if not isinstance(self.guide, str):
            return self.guide
        module, _, name = self.guide.partition(":")
        found: type[Any] = getattr(import_module(module), name)
        return found

    def start_at(
        self, activity_logits: Tensor | float, temperature: Tensor | float | None = None, **settings: Any
    ) -> dict[str, Tensor]:
        r"""The parameters of gates that start with a given activity.

        Args:
            activity_logits: :math:`\operatorname{logit} P(z \ne 0)`, any shape.
            temperature: Their temperature; by default the family's.
            **settings: Settings of the family; by default the record's.

        Raises:
            TypeError: If the family does not have one of the settings.
        """
        logits = torch.as_tensor(activity_logits, dtype=torch.float64)
        given = self._all_settings(settings)
        if self.temperature is not None:
            given["temperature"] = self.temperature if temperature is None else temperature
        return dict(self.start(logits, **given))

    def law_of(
        self,
        parameters: Mapping[str, Tensor],
        temperature: Tensor | float | None = None,
        unit: Tensor | float | None = None,
        **settings: Any,
    ) -> GateLaw:
        """The law of gates with given parameters.

        Args:
            parameters: The parameters by name, broadcastable to one another.
            temperature: Temperature, where laws have one; by default the family's.
            unit: Unit of the first parameter, where there is one; by default that of the temperature.
            **settings: Settings of the family; by default the record's.

        Raises:
            TypeError: If the family does not have one of the settings.
        """
        given = self._all_settings(settings)
        if self.has_temperature:
            given["temperature"] = self.temperature if temperature is None else temperature
        if self.unit is not None:
            given["unit"] = self.unit(given["temperature"]) if unit is None else unit
        make: Callable[..., GateLaw] = self.build or self.law
        return make(**parameters, **given)

    def _all_settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if unknown := given.keys() - self.settings.keys():
            has = ", ".join(self.settings) or "none"
            raise TypeError(
                f"gate law {self.name!r} has the settings {has}; got {', '.join(sorted(unknown))}"
            )
        return {**self.settings, **given}
