r"""The guide whose gates depend on one another, and whose slabs depend on the gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import pyro.distributions as dist
import torch
from pyro.nn.module import PyroParam
from torch import Tensor
from torch.distributions import constraints

from l0bayes import validate
from l0bayes.distributions import AutoregressiveGates, BernoulliGate, ConditionalSlab, GatedSlab, GateLaw
from l0bayes.guides.gate_guide import AutoGateGuide
from l0bayes.guides.latent import Latent
from l0bayes.guides.latent_laws import pushed_normal
from l0bayes.guides.parameters import GuideParameters
from l0bayes.guides.quantile_levels import quantile_levels
from l0bayes.guides.starts import logit_of_start
from l0bayes.infer.objectives.score_elbo import HELD, ScoreELBO
from l0bayes.sites import GATED_BY

__all__ = ["AutoJointGates"]

# Sites with more gates or weights than this have matrices of low rank by default.
_MOST_FULL = 200
_DEFAULT_RANK = 16
_START_OF_FACTORS = 0.1


class _Normal(dist.Normal):
    """A Normal that draws out of place, as ``torch.vmap`` wants it."""

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.scale * noise


class AutoJointGates(AutoGateGuide):
    r"""Guide of binary gates that depend on one another, with slabs that depend on the gates.

    .. math:: q(z)\,q(\theta \mid z) = \prod_j \mathrm{Bern}\Bigl(z_j;\; \sigma\bigl(a_j
        + \sum_{k<j} W_{jk} z_k\bigr)\Bigr)\; N(\theta_o;\; \Lambda_{oo}^{-1} h_o,\; \Lambda_{oo}^{-1})
        \prod_{j \text{ shut}} p(\theta_j)

    The gates of every site follow :class:`~l0bayes.distributions.AutoregressiveGates`, the slabs of every
    site :class:`~l0bayes.distributions.ConditionalSlab` given all gates that multiply them, however these are
    shared. Otherwise sites are independent of one another. Other latents are as in the base class.
    For correlated columns this guide can express that one of two columns is enough, and that one weight
    grows when the other is shut; a factorised guide can do neither. For a linear Gaussian model its slabs
    contain the exact posterior given the gates.

    It starts with W = 0 and no correlation, where it equals :class:`~l0bayes.guides.AutoBernoulliGates`. The
    parameters of a slab are ``loc`` and ``scale`` of each weight while all others are shut, and the
    correlations of :math:`\Lambda`: a lower triangular factor with rows of length 1 or, for a low rank,
    :math:`\Lambda_{jk} \propto u_j' u_k / \sqrt{(1 + |u_j|^2)(1 + |u_k|^2)}`.

    Its objective is :class:`~l0bayes.infer.ScoreELBO`, which :func:`l0bayes.fit` chooses by itself; a step
    takes ``num_draws`` evaluations of the model. Correlations need a larger learning rate than a factorised
    guide, ``lr=0.05`` or more, and nearly equal columns need the most steps. Pyro's ``Trace_ELBO`` trains it
    too, with more noise; shut slabs are then drawn from a Normal with the moments that their prior had when
    the guide was made. To remove the remaining error of the variational family, reweight the guide's draws
    with :func:`l0bayes.posterior.importance_weighted`.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        rank: Rank of W before it is cut to its lower triangle, and of the correlations; by default they are
            full up to 200 gates or weights at a site and of rank 16 beyond.
        num_draws: Evaluations of the model an estimate takes, at least 2.
        init_active: :math:`P(z = 1)` at the start, strictly between 0 and 1.
        **options: ``init_scale``, ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If an argument is outside its range.
        NotImplementedError: If a gate or slab stands in a plate.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        rank: int | None = None,
        num_draws: int = 16,
        init_active: float = 0.5,
        **options: Any,
    ) -> None:
        validate.at_least(1, **validate.given(rank=rank))
        if num_draws < 2:
            raise ValueError(f"num_draws must be at least 2, for a baseline; got {num_draws!r}")
        unknown = sorted(set(options) - {"init_scale", "init_loc_fn", "create_plates"})
        if unknown:
            raise TypeError(f"AutoJointGates takes no {', '.join(unknown)}; its slabs are always Gaussian")
        start = {"logits": logit_of_start(init_active)}
        super().__init__(model, args, kwargs, gate_start=start, **options)
        self.rank = rank
        self.num_draws = num_draws
        for name in ("coupling", "coupling_from", "association", "shut_loc", "shut_scale"):
            setattr(self, name, GuideParameters())
        generator = torch.Generator().manual_seed(0)
        for latent in self._latents:
            if latent.role != "other":
                self._make_matrices(latent, generator)

    def relaxed_law(self, **parameters: Tensor) -> GateLaw:
        return BernoulliGate(parameters["logits"])

    def _refuse_dependent_slabs(self) -> None:
        """None: the open weights have a joint Gaussian law here, as under a prior of dependent weights."""

    def _check_loss(self) -> None:
        """None: draws can be scored, since gates are binary and slabs know which of them are open."""

    # ---- parameters ------------------------------------------------------------------------------

    def _make_matrices(self, latent: Latent, generator: torch.Generator) -> None:
        if latent.frames:
            raise NotImplementedError(
                f"site {latent.name!r} stands in plate {latent.frames[0].name!r}, whose rows are "
                "independent; for a joint law make its weights by .expand([p]).to_event(1)"
            )
        if latent.role == "slab" and latent.law != "normal":
            raise ValueError(
                f"slab site {latent.name!r} has support {latent.support}; slabs of AutoJointGates are "
                "Gaussian. Use AutoBernoulliGates or AutoHardConcrete, which push a Normal onto it"
            )
        container = self.logits if latent.role == "gate" else self.loc
        like = getattr(container, latent.key).detach()
        count = like.numel()
        rank = self.rank or (_DEFAULT_RANK if count > _MOST_FULL else count)
        low = rank < count
        shape = (count, rank if low else count)

        def store(owner: GuideParameters, value: Tensor) -> None:
            setattr(owner, latent.key, PyroParam(value, constraints.real, value.dim()))

        # The gradient of a product is 0 where both factors are 0: one of them starts elsewhere.
        random = _START_OF_FACTORS * torch.randn(shape, generator=generator).to(like)
        if latent.role == "gate":
            store(self.coupling, like.new_zeros(shape))
            if low:
                store(self.coupling_from, random)
            return
        store(self.association, random if low else like.new_zeros(shape))
        assert latent.prior_moments is not None
        for owner, moment in zip((self.shut_loc, self.shut_scale), latent.prior_moments, strict=True):
            owner.register_buffer(latent.key, moment.clone().to(like))

    def gate_parameters(self) -> Iterator[torch.nn.Parameter]:
        for owner in (self.logits, self.coupling, self.coupling_from):
            yield from owner.parameters()

    # ---- laws ------------------------------------------------------------------------------------

    def _joint_gates(self, latent: Latent) -> AutoregressiveGates:
        logits, weights = getattr(self.logits, latent.key), getattr(self.coupling, latent.key)
        if weights.shape[0] != weights.shape[1]:
            weights = weights @ getattr(self.coupling_from, latent.key).mT
        return AutoregressiveGates(logits.flatten(), weights.tril(-1), logits.shape)

    def _joint_slab(self, latent: Latent, is_open: Tensor) -> ConditionalSlab:
        raw = getattr(self.association, latent.key)
        if raw.shape[0] == raw.shape[1]:
            factor = raw.tril(-1) + torch.eye(len(raw), dtype=raw.dtype, device=raw.device)
            factor = factor / factor.square().sum(-1, keepdim=True).sqrt()
            diagonal = torch.zeros_like(factor[:, 0])
        else:
            diagonal = 1.0 / (1.0 + raw.square().sum(-1))
            factor = raw * diagonal[:, None].sqrt()
        return ConditionalSlab(
            getattr(self.loc, latent.key),
            getattr(self.scale, latent.key),
            factor,
            diagonal,
            is_open,
            getattr(self.shut_loc, latent.key),
            getattr(self.shut_scale, latent.key),
        )

    def _open(self, latent: Latent, values: dict[str, Tensor], batch: torch.Size = torch.Size()) -> Tensor:
        """Which weights of a slab are open, from the gates' values."""
        loc = getattr(self.loc, latent.key)
        is_open: Tensor = loc.new_ones(batch + loc.shape) * latent.opened(values, loc)
        return is_open

    def _other_law(self, latent: Latent, held: bool = False) -> Any:
        loc, scale = getattr(self.loc, latent.key), getattr(self.scale, latent.key)
        if held:
            loc, scale = loc.detach(), scale.detach()
        normal = _Normal(loc, scale)
        return normal if latent.law == "normal" else pushed_normal(latent, normal)

    def _law_and_infer(
        self, latent: Latent, gates: dict[str, GateLaw], values: dict[str, Tensor]
    ) -> tuple[Any, Any]:
        if latent.role == "gate":
            return self._joint_gates(latent), {}
        if latent.role == "slab":
            law = self._joint_slab(latent, self._open(latent, values))
            return law, {HELD: law.detach(), GATED_BY: latent.gated_by(values)}
        held = self._other_law(latent, held=True)
        return self._other_law(latent), {HELD: held.to_event(latent.event_dim - held.event_dim)}

    def _whole_gate_law(self, latent: Latent) -> GateLaw:
        return self._joint_gates(latent).marginals()

    def laws(self) -> dict[str, Any]:
        """The marginal law of every value of every site; :meth:`draw` gives joint draws.

        Gates have their marginals. A slab has its law for the case that its own gates are open and all other
        gates are as the median rule sets them.
        """
        gates = self.gates()
        found: dict[str, Any] = {}
        for latent in self._latents:
            if latent.role == "gate":
                found[latent.name] = gates[latent.name]
            elif latent.role == "slab":
                found[latent.name] = self._slab_alone(latent, gates)
            else:
                found[latent.name] = self._other_law(latent)
        return found

    def _slab_alone(self, latent: Latent, gates: dict[str, GateLaw]) -> GatedSlab:
        median = {name: law.median for name, law in gates.items()}
        is_open = self._open(latent, median)
        identity = torch.eye(is_open.numel(), dtype=is_open.dtype, device=is_open.device)
        each = torch.maximum(is_open, identity.reshape(-1, *is_open.shape))  # one law a weight, itself open
        law = self._joint_slab(latent, each)
        diagonal = torch.arange(is_open.numel(), device=is_open.device)

        def own(moment: Tensor) -> Tensor:
            picked: Tensor = moment.reshape(is_open.numel(), -1)[diagonal, diagonal]
            return picked.reshape(is_open.shape)

        activity = self._open(latent, {name: law.prob_active for name, law in gates.items()})
        return GatedSlab(dist.Normal(own(law.mean), own(law.variance).sqrt()), activity)

    def draw(self, num_draws: int) -> dict[str, Tensor]:
        """Joint draws of all sites, of torch's global generator.

        Args:
            num_draws: Number of draws.

        Returns:
            Site name to values with a leading dimension of draws, without gradient.
        """
        values: dict[str, Tensor] = {}
        with torch.no_grad():
            for latent in self._latents:
                if latent.role == "gate":
                    values[latent.name] = self._joint_gates(latent).sample((num_draws,))
                elif latent.role == "slab":
                    is_open = self._open(latent, values, torch.Size((num_draws,)))
                    values[latent.name] = self._joint_slab(latent, is_open).sample()
                else:
                    values[latent.name] = self._other_law(latent).sample((num_draws,))
        return values

    # ---- training and reading ----------------------------------------------------------------------

    def objective(self, num_particles: int = 1) -> ScoreELBO:
        """The objective that the guide is trained on.

        Args:
            num_particles: Sets of ``num_draws`` draws.
        """
        return ScoreELBO(num_particles=num_particles, num_draws=self.num_draws)

    def harden(self) -> Self:
        """A copy of the guide, whose gates are binary already."""
        hard = super().harden()
        hard.hardened = False
        return hard

    @torch.no_grad()
    def quantiles(self, quantiles: Sequence[float] | Tensor, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Posterior quantiles of every value, by the marginal laws that :meth:`laws` gives.

        Args:
            quantiles: Probabilities in [0, 1].
            *args: Ignored, as in Pyro's guides.
            **kwargs: Ignored.

        Returns:
            Site name to a tensor with the quantiles along the first dimension.
        """
        found, gates = super().quantiles(quantiles), self.gates()
        for latent in self._latents:
            if latent.role == "slab":
                law = self._slab_alone(latent, gates)
                found[latent.name] = law.icdf(quantile_levels(quantiles, law.mean))
        return found
