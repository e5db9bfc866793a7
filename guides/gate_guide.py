r"""The common base of the gate guides: which site gets which variational law."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Literal, Self, get_args

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide.initialization import init_to_feasible
from torch import Tensor
from torch.distributions import biject_to

from l0bayes import validate
from l0bayes.distributions import BernoulliGate, GatedSlab, GateLaw
from l0bayes.guides.gate_laws import GateLaws
from l0bayes.guides.latent import Latent
from l0bayes.guides.latent_laws import other_law, slab_law
from l0bayes.guides.quantile_levels import quantile_levels
from l0bayes.guides.trainable_guide import TrainableGuide
from l0bayes.infer.model_arguments import as_arguments
from l0bayes.infer.objectives.elbo import MONTE_CARLO
from l0bayes.infer.objectives.gate_gradients import GATE_GRADIENT, DisARM, GateGradient
from l0bayes.infer.objectives.stock_losses import running_stock_loss, warn_of_stock_loss
from l0bayes.sites import GATED_BY

__all__ = ["AutoGateGuide", "SlabLaw"]

SlabLaw = Literal["normal", "delta"]


class AutoGateGuide(TrainableGuide):
    r"""Mean-field guide: a gate law on every gate, Delta or Normal on every slab.

    .. math::
        q = \prod_j q(z_j) \prod_i q(\theta_i \mid z) \prod_k q(\eta_k)

    Slabs follow :class:`~l0bayes.distributions.GatedSlab`, whose KL is weighted by the probability
    that all gates of the weight are open. Slabs on a part of the line (a half-normal, a gamma, a uniform
    prior) follow a Normal pushed onto it, as other latents do; a KL that is not known in closed form is then
    estimated at the draw, weighted in the same way. Every other latent :math:`\eta` follows a Normal pushed
    through the bijection onto its support, with the density of the pushed variable (log-normal on
    positive sites, logit-normal on the unit interval), so that no Jacobian is lost.

    Subclasses define the parameters of a gate and their start (``gate_start``), and turn them into a law
    (``relaxed_law``).

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites, such as a loader's first
            batch; a tensor or dictionary is the only one. Parameters exist when the constructor returns, so
            ``state_dict`` loads into a fresh guide.
        kwargs: Keyword arguments of that run.
        slab: ``"normal"`` for a law on every slab, ``"delta"`` for a point.
        gate_start: Name and start value of each gate parameter, given by the subclass.
        tied: Whether the gates of a site share one set of parameters, as in Concrete Dropout; each is still
            drawn independently.
        gate_gradient: How the gradient of binary gates is estimated, in a guide with binary gates and in any
            hardened guide; see :class:`~l0bayes.infer.GateGradient`.
        init_scale: Standard deviation of slabs and other latents at the start (the latter in
            unconstrained space), positive.
        init_loc_fn: Pyro's per-site initialisation for slabs and other latents. A slab's own ``init``
            in :func:`~l0bayes.spike_and_slab` takes precedence.
        create_plates: As in Pyro's guides, for local latents in subsampled plates.

    Raises:
        ValueError: If an argument is outside its range, or the model has no latent site.
        TypeError: If the model needs arguments and ``args`` and ``kwargs`` do not bind to them.
        NotImplementedError: If the weights of a slab depend on one another under its prior.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        slab: SlabLaw = "normal",
        gate_start: Mapping[str, float],
        tied: bool = False,
        gate_gradient: GateGradient | None = None,
        init_scale: float = 0.1,
        init_loc_fn: Callable[[dict[str, Any]], Any] = init_to_feasible,
        create_plates: Callable[..., Any] | None = None,
    ) -> None:
        validate.one_of(get_args(SlabLaw), slab=slab)
        validate.positive(init_scale=init_scale)
        if kwargs is not None and not isinstance(kwargs, Mapping):
            raise TypeError(
                f"kwargs must be a dictionary of arguments by name, got {type(kwargs).__name__}; all "
                f"positional arguments of the model go into one tuple: {type(self).__name__}(model, (x, y))"
            )
        super().__init__(
            model,
            as_arguments(args),
            kwargs or {},
            gate_start=gate_start,
            tied=tied,
            slabs_have_scales=slab == "normal",
            init_scale=init_scale,
            init_loc_fn=init_loc_fn,
            create_plates=create_plates,
        )
        self._refuse_dependent_slabs()
        self.slab = slab
        self.hardened = False
        self._told: set[str] = set()  # losses of Pyro's that were warned of
        self.gate_gradient = gate_gradient or DisARM()

    def _refuse_dependent_slabs(self) -> None:
        for latent in self._latents:
            if latent.dependent is not None:
                raise NotImplementedError(
                    f"slab {latent.name!r} has the prior {latent.dependent}, whose weights depend on one "
                    f"another: {type(self).__name__} has no KL to it. Use AutoJointGates, whose slabs "
                    "depend on the gates"
                )

    # ---- what a guide supplies -------------------------------------------------------------------

    @abstractmethod
    def relaxed_law(self, **parameters: Tensor) -> GateLaw:
        """The gate law of given parameters."""

    # ---- laws ------------------------------------------------------------------------------------

    def _gate_law(self, latent: Latent) -> GateLaw:
        values = self.gate_values(latent.name)
        if self.tied:  # plates, which may draw a part of their rows, extend the law by themselves
            shape = self._gate_shapes[latent.name]
            shape = shape[len(shape) - latent.event_dim :]
            values = {name: value.expand(shape) for name, value in values.items()}
        law = self.relaxed_law(**values)
        return BernoulliGate(law.activity_logits) if self.hardened else law

    def _whole_gate_law(self, latent: Latent) -> GateLaw:
        """The law at full plate size."""
        law = self._gate_law(latent)
        return law.expand(self._gate_shapes[latent.name]) if self.tied else law

    def _slab_law(self, latent: Latent, gates: Mapping[str, GateLaw]) -> GatedSlab:
        scale = None if self.slab == "delta" else getattr(self.scale, latent.key)
        return slab_law(latent, getattr(self.loc, latent.key), scale, gates)

    def _other_law(self, latent: Latent) -> Any:
        return other_law(latent, getattr(self.loc, latent.key), getattr(self.scale, latent.key))

    def _law(self, latent: Latent, gates: dict[str, GateLaw]) -> Any:
        if latent.role == "gate":
            gates[latent.name] = law = self._gate_law(latent)
            return law
        return self._slab_law(latent, gates) if latent.role == "slab" else self._other_law(latent)

    def _law_and_infer(
        self, latent: Latent, gates: dict[str, GateLaw], values: dict[str, Tensor]
    ) -> tuple[Any, Any]:
        """The law of a site given the sites drawn before it, and its ``infer`` dictionary for objectives."""
        law = self._law(latent, gates)
        if latent.role == "gate" and not law.has_rsample:
            return law, {GATE_GRADIENT: self.gate_gradient}
        if latent.role == "slab":
            # Of a Normal that is pushed onto a bounded support few KLs are known.
            sampled = {} if latent.law == "normal" else {MONTE_CARLO: True}
            return law, {GATED_BY: latent.gated_by(gates), **sampled}
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
        return GateLaws({name: self._whole_gate_law(latent) for name, latent in self._gates.items()})

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Sample every latent site.

        Args:
            *args: Positional arguments of the model; the guide does not depend on them.
            **kwargs: Keyword arguments of the model.

        Returns:
            Site name to value.

        Raises:
            ValueError: If the model is given the subsample of a plate with latents in it, and the guide (or
                the list that it is part of) has no ``create_plates`` and so is not.
        """
        self._check_plates()
        self._check_loss()
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

    def _check_loss(self) -> None:
        """Warn of losses that score draws: slabs and relaxed gates have KLs, which those do not ask for."""
        loss = running_stock_loss()
        if loss is None or loss in self._told or not self._gates:
            return
        self._told.add(loss)
        law = self._gate_law(next(iter(self._gates.values())))
        gated = (latent for latent in self._latents if latent.role == "slab")
        warn_of_stock_loss(
            loss,
            type(self).__name__,
            relaxed=not law.is_binary or law.has_rsample,
            slabs=any(latent.gated_by(self._gates) for latent in gated),
        )

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

        Gates of a law without an atom at 0, such as the plain concrete, are never exactly 0; see
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
                probabilities = quantile_levels(quantiles, law.activity_logits)
                result[latent.name] = law.icdf(probabilities)
                continue
            loc = getattr(self.loc, latent.key)
            probabilities = quantile_levels(quantiles, loc)
            if latent.role == "slab" and self.slab == "delta":
                points = biject_to(latent.support)(loc)
                result[latent.name] = points.expand(len(probabilities), *points.shape).clone()
                continue
            normal = dist.Normal(loc, getattr(self.scale, latent.key))
            result[latent.name] = biject_to(latent.support)(normal.icdf(probabilities))
        return result
