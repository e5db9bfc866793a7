r"""The common base of the gate guides: which site gets which variational law."""

from __future__ import annotations

import copy
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Literal, Self, get_args

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoGuide
from pyro.infer.autoguide.initialization import init_to_feasible
from pyro.nn.module import PyroParam
from torch import Tensor
from torch.distributions import biject_to, constraints

from l0bayes.distributions import BernoulliGate, GatedSlab, GateLaw
from l0bayes.guides.latent import Latent, find_latents
from l0bayes.guides.parameters import GuideParameters
from l0bayes.infer.objectives.elbo import MONTE_CARLO
from l0bayes.infer.objectives.gate_gradients import GATE_GRADIENT, DisARM, GateGradient

__all__ = ["AutoGateGuide", "SlabFamily"]

SlabFamily = Literal["normal", "delta"]


class AutoGateGuide(AutoGuide):
    r"""Mean-field guide: a gate law on every gate, Delta or Normal on every slab.

    .. math::
        q = \prod_j q(z_j) \prod_i q(\theta_i \mid z) \prod_k q(\eta_k)

    Slabs follow :class:`~l0bayes.distributions.GatedSlab`, whose KL is weighted by the probability
    that all gates of the weight are open. Every other latent :math:`\eta` follows a Normal pushed
    through the bijection onto its support, with the density of the pushed variable (log-normal on
    positive sites, logit-normal on the unit interval), so that no Jacobian is lost.

    Subclasses say which parameters a gate has and where they start (``gate_start``), and turn them
    into a law (``relaxed_law``).

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites. Parameters exist
            when the constructor returns, so ``state_dict`` loads into a fresh guide.
        kwargs: Keyword arguments of that run.
        slab: ``"normal"`` for a law on every slab, ``"delta"`` for a point.
        gate_start: Name and start value of each gate parameter; the family's business.
        tied: Whether the gates of a site share one set of parameters, as in Concrete Dropout, and are
            drawn each for itself.
        gate_gradient: How the gradient of binary gates is estimated: those of a Bernoulli family, and of
            any family once hardened; see :class:`~l0bayes.infer.GateGradient`.
        init_scale: Standard deviation of slabs and other latents at the start (the latter in
            unconstrained space), positive.
        init_loc_fn: Pyro's per-site initialisation for slabs and other latents. A slab's own ``init``
            in :func:`~l0bayes.spike_and_slab` goes before it.
        create_plates: As in Pyro's guides, for local latents in subsampled plates.

    Raises:
        ValueError: If an argument is outside its range, or the model has no latent site.
        TypeError: If the model needs arguments and ``args`` and ``kwargs`` do not bind to them.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        slab: SlabFamily = "normal",
        gate_start: dict[str, float],
        tied: bool = False,
        gate_gradient: GateGradient | None = None,
        init_scale: float = 0.1,
        init_loc_fn: Callable[[dict[str, Any]], Any] = init_to_feasible,
        create_plates: Callable[..., Any] | None = None,
    ) -> None:
        if slab not in get_args(SlabFamily):
            raise ValueError(f"slab must be one of {', '.join(get_args(SlabFamily))}; got {slab!r}")
        if not init_scale > 0.0:
            raise ValueError(f"init_scale must be positive, got {init_scale!r}")
        kwargs = kwargs or {}
        _check_binds(model, tuple(args), kwargs)
        super().__init__(model, create_plates=create_plates)
        self.slab = slab
        self.hardened = False
        self.tied = tied
        self.gate_gradient = gate_gradient or DisARM()
        self.gate_parameter_names = tuple(gate_start)
        self._gate_start = dict(gate_start)
        self._gate_shapes: dict[str, torch.Size] = {}
        self._latents, values = find_latents(model, tuple(args), kwargs, init_loc_fn)
        self._prototype_frames = {frame.name: frame for latent in self._latents for frame in latent.frames}
        for name in (*self.gate_parameter_names, "loc", "scale"):
            setattr(self, name, GuideParameters())
        for latent in self._latents:
            self._make_parameters(latent, values[latent.name], gate_start, init_scale)

    # ---- what a family supplies ------------------------------------------------------------------

    @abstractmethod
    def relaxed_law(self, **parameters: Tensor) -> GateLaw:
        """The family's gate law for given parameters."""

    # ---- parameters ------------------------------------------------------------------------------

    def _make_parameters(
        self, latent: Latent, value: Tensor, gate_start: dict[str, float], scale: float
    ) -> None:
        def store(container: str, start: Tensor, constraint: Any, event_dim: int) -> None:
            parameter = PyroParam(start.clone(), constraint, event_dim)
            setattr(getattr(self, container), latent.key, parameter)

        if latent.role == "gate":
            self._gate_shapes[latent.name] = value.shape
            for name, start in gate_start.items():
                if self.tied:
                    store(name, value.new_tensor(start), constraints.real, 0)
                else:
                    store(name, torch.full_like(value, start), constraints.real, latent.event_dim)
            return
        loc = biject_to(latent.support).inv(value)
        event_dim = latent.event_dim + loc.dim() - value.dim()
        store("loc", loc, constraints.real, event_dim)
        if latent.role == "other" or self.slab == "normal":
            # Kept as a logarithm: steps are relative to the scale, and a softplus takes thrice the time.
            store("scale", torch.full_like(loc, scale), constraints.positive, event_dim)

    def gate_parameters(self) -> Iterator[torch.nn.Parameter]:
        """The parameters of the gates, which want a learning rate of their own."""
        for name in self.gate_parameter_names:
            yield from getattr(self, name).parameters()

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
        gates = {latent.name: latent for latent in self._latents if latent.role == "gate"}
        if site not in gates:
            raise ValueError(f"site must be one of the gate sites {sorted(gates)}, got {site!r}")
        latent = gates[site]
        values = {name: getattr(getattr(self, name), latent.key) for name in self.gate_parameter_names}
        # Gates that share their parameters can only open together.
        place: Any = ... if self.tied else index
        for name, start in self._gate_start.items():
            values[name].detach()[place] = start
        opening = values[self.gate_parameter_names[0]].detach()
        while not (self._whole_gate_law(latent).activity_logits[index] > 0.1).all():
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

    # ---- laws ------------------------------------------------------------------------------------

    def _gate_law(self, latent: Latent) -> GateLaw:
        values = {name: getattr(getattr(self, name), latent.key) for name in self.gate_parameter_names}
        if self.tied:  # plates, of which a part may be drawn, extend the law by themselves
            shape = self._gate_shapes[latent.name]
            shape = shape[len(shape) - latent.event_dim :]
            values = {name: value.expand(shape) for name, value in values.items()}
        law = self.relaxed_law(**values)
        return BernoulliGate(law.activity_logits) if self.hardened else law

    def _whole_gate_law(self, latent: Latent) -> GateLaw:
        """The law at full plate size."""
        law = self._gate_law(latent)
        return law.expand(self._gate_shapes[latent.name]) if self.tied else law

    def _slab_law(self, latent: Latent, gates: dict[str, GateLaw]) -> GatedSlab:
        loc = getattr(self.loc, latent.key)
        point = self.slab == "delta"
        base = dist.Delta(loc) if point else dist.Normal(loc, getattr(self.scale, latent.key))
        activity = loc.new_ones(())
        for link in latent.gates:
            if link.site in gates:  # a gate may be hidden from this guide and enumerated in the model
                activity = activity * link.spread(gates[link.site].prob_active)
        return GatedSlab(base, activity)

    def _other_law(self, latent: Latent) -> Any:
        loc, scale = getattr(self.loc, latent.key), getattr(self.scale, latent.key)
        if latent.family == "normal":
            return dist.Normal(loc, scale)
        if latent.family == "log_normal":
            return dist.LogNormal(loc, scale)
        transform = biject_to(latent.support)
        event_dim = latent.event_dim + transform.domain.event_dim - transform.codomain.event_dim
        return dist.TransformedDistribution(dist.Normal(loc, scale).to_event(event_dim), [transform])

    def _law(self, latent: Latent, gates: dict[str, GateLaw]) -> Any:
        if latent.role == "gate":
            gates[latent.name] = law = self._gate_law(latent)
            return law
        return self._slab_law(latent, gates) if latent.role == "slab" else self._other_law(latent)

    def _law_and_infer(
        self, latent: Latent, gates: dict[str, GateLaw], values: dict[str, Tensor]
    ) -> tuple[Any, Any]:
        """The law to draw a site from, given what was drawn before it, and what objectives are to know."""
        law = self._law(latent, gates)
        if isinstance(law, BernoulliGate) and not law.has_rsample:
            return law, {GATE_GRADIENT: self.gate_gradient}
        return law, {MONTE_CARLO: True} if latent.role == "other" else {}

    def laws(self) -> dict[str, Any]:
        """The variational law of every site, elementwise and at full plate size."""
        gates = self.gates()
        return {
            latent.name: gates[latent.name] if latent.role == "gate" else self._law(latent, gates)
            for latent in self._latents
        }

    def gates(self) -> dict[str, GateLaw]:
        """The posterior law of every gate site, elementwise and at full plate size."""
        return {
            latent.name: self._whole_gate_law(latent) for latent in self._latents if latent.role == "gate"
        }

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Sample every latent site.

        Args:
            *args: Positional arguments of the model; the guide does not depend on them.
            **kwargs: Keyword arguments of the model.

        Returns:
            Site name to value.

        Raises:
            ValueError: If the model is given the subsample of a plate with latents in it and the guide,
                or the list it is part of, is not, for want of ``create_plates``.
        """
        self._check_plates()
        plates = self._create_plates(*args, **kwargs)
        gates: dict[str, GateLaw] = {}
        values: dict[str, Tensor] = {}
        for latent in self._latents:
            with ExitStack() as stack:
                for frame in latent.frames:
                    stack.enter_context(plates[frame.name])
                law, infer = self._law_and_infer(latent, gates, values)
                values[latent.name] = pyro.sample(
                    latent.name, law.to_event(latent.event_dim - law.event_dim), infer=infer
                )
        return values

    def _check_plates(self) -> None:
        owner = self if self.master is None else self.master()
        if owner.create_plates is not None:
            return
        for latent in self._latents:
            if latent.given:
                raise ValueError(
                    f"site {latent.name!r} stands in plate {min(latent.given)!r}, whose subsample is given "
                    "to the model; give it to the guide too, with create_plates=lambda *args: pyro.plate(...)"
                )

    # ---- reading ---------------------------------------------------------------------------------

    def harden(self) -> Self:
        r"""A copy of the guide with Bernoulli gates of the same activity :math:`P(z \ne 0)`.

        Its ELBO under the strict spike and slab is a bound for every family; see
        :func:`l0bayes.hardened_elbo`. It can be trained on, with the estimator ``gate_gradient``.
        """
        hard = copy.deepcopy(self)
        hard.hardened = True
        return hard

    @torch.no_grad()
    def median(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Posterior median of every site: exactly 0 for gates that are more probably shut.

        Gates of a family without an atom at 0, the plain concrete, are nowhere exactly 0; see
        :func:`~l0bayes.distributions.deployed_gates`.

        Args:
            *args: Ignored, as in Pyro's guides.
            **kwargs: Ignored.
        """
        return {name: values[0] for name, values in self.quantiles([0.5]).items()}

    @torch.no_grad()
    def quantiles(self, quantiles: Sequence[float] | Tensor, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Posterior quantiles of every site.

        Args:
            quantiles: Probabilities in [0, 1].
            *args: Ignored, as in Pyro's guides.
            **kwargs: Ignored.

        Returns:
            Site name to a tensor with the quantiles along the first dimension.
        """
        result = {}
        for latent in self._latents:
            if latent.role == "gate":
                law: Any = self._whole_gate_law(latent)
                probabilities = _column(quantiles, law.activity_logits)
                result[latent.name] = law.icdf(probabilities)
                continue
            loc = getattr(self.loc, latent.key)
            probabilities = _column(quantiles, loc)
            if latent.role == "slab" and self.slab == "delta":
                result[latent.name] = loc.expand(len(probabilities), *loc.shape).clone()
                continue
            normal = dist.Normal(loc, getattr(self.scale, latent.key))
            result[latent.name] = biject_to(latent.support)(normal.icdf(probabilities))
        return result

    # ---- copying ---------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        # Pyro's own clears these on the original, which breaks it after a copy or a save. A model is
        # often a closure, which cannot be pickled, and is needed in the constructor alone.
        state = self.__dict__.copy()
        state["_model"] = (None,)
        state["master"] = None
        state["plates"] = {}
        return state

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        state = self.__getstate__()
        new.__dict__.update({key: copy.deepcopy(value, memo) for key, value in state.items()})
        new.__dict__["_model"] = self._model
        return new


def _column(quantiles: Sequence[float] | Tensor, like: Tensor) -> Tensor:
    values = torch.as_tensor(quantiles, dtype=like.dtype, device=like.device)
    return values.reshape(-1, *(1 for _ in like.shape))


def _check_binds(model: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    target = model.forward if isinstance(model, torch.nn.Module) else model
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # a callable without a signature: running it will tell
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"the model's signature is {signature} and does not accept the given args and kwargs "
            f"({error}); pass example arguments as AutoGuide(model, args=(x, y))"
        ) from error
