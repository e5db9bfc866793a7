r"""The parameters of a gate guide: made in the constructor, moved by restarts and reopening."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import torch
from pyro.infer.autoguide.initialization import init_to_feasible
from pyro.nn.module import PyroParam
from torch import Tensor
from torch.distributions import biject_to, constraints, transform_to
from torch.distributions.constraints import Constraint

from l0bayes.distributions import GateLaw
from l0bayes.guides.latent import Latent, find_latents
from l0bayes.guides.parameters import GuideParameters
from l0bayes.guides.portable_guide import PortableGuide
from l0bayes.infer.shrink.origin import Origin

__all__ = ["TrainableGuide"]


class TrainableGuide(PortableGuide):
    """The trained parameters of a gate guide: those of gates, and locations and scales of other latents.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        gate_start: Name and start value of each gate parameter.
        tied: Whether the gates of a site share one set of parameters.
        slabs_have_scales: Whether slabs have a scale, as all other latents do.
        init_scale: Scales at the start.
        init_loc_fn: Pyro's per-site initialisation of locations.
        create_plates: As in Pyro's guides.

    Raises:
        ValueError: If the model has no latent site, or one that no guide covers.
        TypeError: If the model needs arguments and ``args`` and ``kwargs`` do not bind to them.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        gate_start: Mapping[str, float],
        tied: bool,
        slabs_have_scales: bool,
        init_scale: float,
        init_loc_fn: Callable[[dict[str, Any]], Any],
        create_plates: Callable[..., Any] | None,
    ) -> None:
        latents, values = find_latents(model, args, kwargs, init_loc_fn)
        super().__init__(model, create_plates=create_plates)
        self.tied = tied
        self.gate_parameter_names = tuple(gate_start)
        self._gate_start = dict(gate_start)
        self._slabs_have_scales = slabs_have_scales
        self._lay_out(latents, values, init_scale)

    # ---- what a guide supplies -------------------------------------------------------------------

    def gate_constraint(self, parameter: str) -> Constraint:
        """The values that a gate parameter may take: by default all real ones.

        Args:
            parameter: Its name.
        """
        return constraints.real

    @abstractmethod
    def gates(self) -> dict[str, GateLaw]:
        """The posterior law of every gate site, elementwise and at full plate size."""

    # ---- making ----------------------------------------------------------------------------------

    def _lay_out(self, latents: list[Latent], values: Mapping[str, Tensor], init_scale: float) -> None:
        self._gate_shapes: dict[str, torch.Size] = {}
        self._latents = latents
        self._gates = {latent.name: latent for latent in latents if latent.role == "gate"}
        self._prototype_frames = {frame.name: frame for latent in latents for frame in latent.frames}
        for name in (*self.gate_parameter_names, "loc", "scale"):
            setattr(self, name, GuideParameters())
        for latent in latents:
            self._make_parameters(latent, values[latent.name], init_scale)

    def _make_parameters(self, latent: Latent, value: Tensor, init_scale: float) -> None:
        def store(container: str, start: Tensor, constraint: Any, event_dim: int) -> None:
            parameter = PyroParam(start.clone(), constraint, event_dim)
            setattr(getattr(self, container), latent.key, parameter)

        if latent.role == "gate":
            self._gate_shapes[latent.name] = value.shape
            for name, start in self._gate_start.items():
                constraint = self.gate_constraint(name)
                if self.tied:
                    store(name, value.new_tensor(start), constraint, 0)
                else:
                    store(name, torch.full_like(value, start), constraint, latent.event_dim)
            return
        loc = biject_to(latent.support).inv(value)
        event_dim = latent.event_dim + loc.dim() - value.dim()
        store("loc", loc, constraints.real, event_dim)
        if latent.role == "other" or self._slabs_have_scales:
            # Kept as a logarithm: steps are relative to the scale, and a softplus is three times slower.
            store("scale", torch.full_like(loc, init_scale), constraints.positive, event_dim)

    @torch.no_grad()
    def cut(
        self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], sites: Mapping[str, Origin]
    ) -> tuple[Self, dict[str, Origin]]:
        """The guide of a model that was cut, with the parameters that it has here.

        Args:
            model: The small model.
            args: Positional arguments to run it with once.
            kwargs: Keyword arguments of that run.
            sites: Where the values of its sites come from.

        Returns:
            A guide of the same class, and where its parameters and buffers come from, by name.
        """
        latents, values = find_latents(model, args, kwargs, init_to_feasible)
        new = copy.deepcopy(self)
        vars(new)["_model"] = (model,)
        new._lay_out(latents, values, 1.0)
        keys = {one.name: one.key for one in self._latents}
        theirs = {f"{one.key}_unconstrained": sites[one.name] for one in latents}
        origins = {}
        for name in new.state_dict():
            owner, _, key = name.rpartition(".")
            place = theirs.get(key)
            if place is None:
                origins[name] = Origin(name)
            else:
                origins[name] = Origin(f"{owner}.{keys[place.name]}_unconstrained", place.index)
        return new, origins

    # ---- reading and moving ----------------------------------------------------------------------

    def gate_parameters(self) -> Iterator[torch.nn.Parameter]:
        """The parameters of the gates, which need a learning rate of their own."""
        for name in self.gate_parameter_names:
            yield from getattr(self, name).parameters()

    def gate_values(self, site: str) -> dict[str, Tensor]:
        """The gate parameters of a site by name; where gates are tied, one value for all of them.

        Args:
            site: Name of the gate site.

        Raises:
            ValueError: If the guide has no such gate site.
        """
        key = self._gate_latent(site).key
        return {name: getattr(getattr(self, name), key) for name in self.gate_parameter_names}

    def _gate_latent(self, site: str) -> Latent:
        if site not in self._gates:
            raise ValueError(f"site must be one of the gate sites {sorted(self._gates)}, got {site!r}")
        return self._gates[site]

    @torch.no_grad()
    def reopen(self, site: str, index: int | tuple[int, ...]) -> None:
        """Put a gate that has shut back to where it started, in place.

        Where the start itself is not open by the median rule, the gate's first parameter, by which the
        gates of every family open, is raised until it is. Gates of a site that are tied open together.

        Args:
            site: Name of the gate site.
            index: Index of the gate at the site.

        Raises:
            ValueError: If the guide has no such gate site.
        """
        key = self._gate_latent(site).key
        # Gates that share their parameters can only open together.
        place: Any = ... if self.tied else index
        trained = {
            name: getattr(getattr(self, name), f"{key}_unconstrained") for name in self.gate_parameter_names
        }
        for name, start in self._gate_start.items():
            values = trained[name].detach()
            values[place] = transform_to(self.gate_constraint(name)).inv(values.new_tensor(start))
        opening = trained[self.gate_parameter_names[0]].detach()
        while not (self.gates()[site].activity_logits[index] > 0.1).all():
            opening[place] += 0.1

    @torch.no_grad()
    def perturb(self, seed: int, gates: float = 0.5, locs: float = 0.1) -> Self:
        """Add Normal noise to the parameters, in place, for a restart from another place.

        Args:
            seed: Seed of the noise.
            gates: Standard deviation of the noise on gate parameters (logits).
            locs: Standard deviation of the noise on the locations of slabs and other latents.

        Returns:
            The guide itself.
        """
        generator = torch.Generator().manual_seed(seed)
        groups = [(list(self.gate_parameters()), gates), (list(self.loc.parameters()), locs)]
        for parameters, size in groups:
            for parameter in parameters:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(size * noise.to(parameter))
        return self
