r"""The base of the guides of gate families: parameters, start and laws come from the family's record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import transform_to
from torch.distributions.constraints import Constraint

from l0bayes import validate
from l0bayes.distributions import GatedSlab, GateLaw
from l0bayes.gate_families import GATE_FAMILIES, gate_family
from l0bayes.guides.gate_guide import AutoGateGuide
from l0bayes.guides.latent import Latent
from l0bayes.guides.latent_laws import slab_given_open
from l0bayes.guides.starts import logit_of_start

__all__ = ["FamilyGuide"]

# Activity logit of a gate that is open, or shut, for certain: the other has 1e-13.
_CERTAIN = 30.0


class FamilyGuide(AutoGateGuide):
    r"""Guide whose gates follow a family of :data:`~l0bayes.gate_families.GATE_FAMILIES`.

    A subclass names the family; that is enough. It needs a constructor of its own only where the family has
    settings, or the guide other defaults::

        class AutoMine(FamilyGuide):
            gate_law = "mine"

    A temperature is a buffer that may be changed in place. The unit of a family that has one is a buffer too,
    and stays when the temperature changes.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        temperature: Temperature of the gates, positive; ``None`` for the family's own.
        init_temperature: The same, for a family in which a temperature sets the start only.
        init_active: :math:`P(z \ne 0)` at the start, strictly between 0 and 1.
        settings: Settings of the family. Each becomes an attribute; by default the family's own.
        **options: ``slab``, ``tied``, ``init_scale``, ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If an argument is outside its range, or a temperature is given to a family without.
        TypeError: If the family does not have a setting.
    """

    gate_law: ClassVar[str]
    """Name of the family."""

    temperature: Tensor
    unit: Tensor

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        temperature: float | None = None,
        init_temperature: float | None = None,
        init_active: float = 0.5,
        settings: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        family = gate_family(self.gate_law)
        chosen = validate.given(temperature=temperature, init_temperature=init_temperature)
        if wrong := sorted(set(chosen) - {family.temperature_option}):
            raise ValueError(f"gate law {self.gate_law!r} has no {wrong[0]}; got {chosen[wrong[0]]!r}")
        validate.positive(**chosen)
        temperature = next(iter(chosen.values()), family.temperature)
        settings = {**family.settings, **(settings or {})}
        start = family.start_at(logit_of_start(init_active), temperature, **settings)
        options = {"tied": family.tied, **options}
        values = {name: value.item() for name, value in start.items()}
        super().__init__(model, args, kwargs, gate_start=values, **options)
        for name, value in settings.items():
            setattr(self, name, value)
        if family.has_temperature:
            self.register_buffer("temperature", torch.tensor(temperature, dtype=torch.get_default_dtype()))
        if family.unit is not None:
            # Part of the state: the first parameter means nothing without it.
            self.register_buffer("unit", torch.tensor(family.unit(temperature)))

    def slab_given_open(self, site: str) -> Any:
        """The law of a slab given that its gates are open, elementwise, which is what is drawn.

        Args:
            site: Name of the slab.
        """
        latent = self._latent(site)
        scale = None if self.slab == "delta" else getattr(self.scale, latent.key)
        return slab_given_open(latent, getattr(self.loc, latent.key), scale)

    def draw_slab(self, site: str) -> Tensor:
        """A draw of a slab, with its gradient.

        Args:
            site: Name of the slab.
        """
        latent = self._latent(site)
        if self.slab == "delta" and latent.law == "normal":  # the law of a point takes longer than a layer
            point: Tensor = getattr(self.loc, latent.key)
            return point
        draw: Tensor = self.slab_given_open(site).rsample()
        return draw

    def weighted_slab(self, site: str, gates: Mapping[str, GateLaw]) -> GatedSlab:
        """The law of a slab, weighted by the probability that its gates are open.

        Args:
            site: Name of the slab.
            gates: The laws of all gates.
        """
        law: GatedSlab = self._slab_law(self._latent(site), dict(gates))
        return law

    def _latent(self, site: str) -> Latent:
        return next(latent for latent in self._latents if latent.name == site)

    @torch.no_grad()
    def decide(self, opened: Mapping[str, Tensor]) -> None:
        r"""Put gates to where they are open, or shut, for certain, in place.

        Args:
            opened: Zeros and ones by gate site; a negative number leaves a gate as it is.

        Raises:
            ValueError: If gates of this family, as the guide has them, are never certain: tied ones, or those
                of a law whose median does not become 0 and 1.
        """
        family = gate_family(self.gate_law)
        settings = {name: getattr(self, name) for name in family.settings}
        heat = self.temperature.double() if family.has_temperature else family.temperature
        for site, value in opened.items():
            logits = torch.where(value.double() > 0.5, _CERTAIN, -_CERTAIN)
            start = family.start_at(logits, heat, **settings)
            key = self._gate_latent(site).key
            for name in self.gate_parameter_names:
                trained = getattr(getattr(self, name), f"{key}_unconstrained")
                if trained.shape != value.shape:
                    raise ValueError("gates that share their parameters are not decided one by one")
                certain = transform_to(self.gate_constraint(name)).inv(start[name]).to(trained)
                trained.copy_(torch.where(value < 0.0, trained, certain))
        for site, law in self.gates().items():
            wanted = opened.get(site, law.median).to(law.median)
            if bool(((law.median != wanted) & (wanted >= 0.0)).any()):
                raise ValueError(f"gates of the law {self.gate_law!r} are never 0 or 1 for certain")

    def gate_constraint(self, parameter: str) -> Constraint:
        family = gate_family(self.gate_law)
        return next(one.constraint for one in family.parameters if one.name == parameter)

    def relaxed_law(self, **parameters: Tensor) -> GateLaw:
        family = GATE_FAMILIES[self.gate_law]
        return family.law_of(
            parameters,
            self.temperature if family.has_temperature else None,
            self.unit if family.unit is not None else None,
            **{name: getattr(self, name) for name in family.settings},
        )
