r"""The mean-field ELBO: analytic KLs where they exist, an error where they do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyro
import torch
from pyro import poutine
from pyro.distributions import Delta
from pyro.infer.elbo import ELBO, ELBOModule
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor
from torch.distributions import Independent

from l0bayes import validate
from l0bayes.distributions import GateLaw, JointGateLaw
from l0bayes.infer.objectives.binary_gates import binary_sites, terms_with_score
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.infer.objectives.per_example import PerExampleGates, check_per_example, num_examples
from l0bayes.infer.objectives.site_densities import auxiliary_mask, log_density, masked, pair_kl
from l0bayes.sites import gate_record

__all__ = ["MONTE_CARLO", "BoundELBO", "ELBOTerms", "MeanFieldELBO"]

MONTE_CARLO = "l0bayes_monte_carlo_kl"
"""Key in a guide site's ``infer`` that allows a one-draw estimate of a KL that has no closed form."""

SiteKL = Callable[[str, Any, Any], Tensor]


@dataclass
class ELBOTerms:
    r"""The terms of one ELBO estimate, in nats, still attached to the graph.

    Attributes:
        log_likelihood: Sum over observed sites and factors of their log density at the draw.
        kl: Latent site to its KL from the guide to the model.
    """

    log_likelihood: Tensor | float = 0.0
    kl: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total_kl(self) -> Tensor | float:
        """Sum of the KLs."""
        return sum(self.kl.values(), start=torch.zeros(())) if not self.kl else sum(self.kl.values())


class MeanFieldELBO(ELBO):
    r"""Evidence lower bound of a mean-field pair of model and guide.

    .. math:: \mathrm{ELBO} = E_q[\log p(D \mid z, \theta, \eta)]
        - w \sum_{\text{sites}} \mathrm{KL}(q(\cdot)\,\|\,p(\cdot))

    The likelihood is estimated with one draw a particle. The KL of a site is

    * the registered analytic KL where there is one: all gates, and slabs weighted by P(z != 0);
    * for a ``Delta`` site of the guide, :math:`\log q - \log p` at the point, *including* the
      ``log_density`` that holds the Jacobian of a transformed site, which Pyro's own
      ``TraceMeanField_ELBO`` leaves out;
    * :math:`\log q - \log p` at the draw, only where the guide asks for it with
      ``infer={l0bayes.infer.MONTE_CARLO: True}``, as the gate guides do for latents that are neither
      gate nor slab.

    Anything else raises. Binary gates, whose draws carry no gradient, name an unbiased estimator
    (:class:`~l0bayes.infer.GateGradient`) with ``infer={l0bayes.infer.GATE_GRADIENT: DisARM()}``; the
    model is then evaluated at several draws of the gates, and the estimate of the gradient goes with
    likelihood and KL. No other log probability is computed, so that the estimate is cheap and can
    be captured as one graph. Whether the value is a bound depends on the priors: with
    :class:`~l0bayes.distributions.L0Penalty` it is the paper's objective and not a bound.

    It is a Pyro loss: ``SVI(model, guide, optim, MeanFieldELBO())`` works, and so does
    ``MeanFieldELBO()(model, guide)``, an ``nn.Module`` for plain torch optimisers that touches neither
    the parameter store nor ``pyro.settings``.

    Args:
        num_particles: Draws an estimate is averaged over.
        vectorize_particles: Draw them in one batched pass, in a plate to the left of all others; the
            model must broadcast.
        max_plate_nesting: Depth of the model's plates, of use with ``vectorize_particles`` alone; found
            by running the model once where it is not given.
        kl_weight: Weight w of the KL terms, 1 for the bound. It is kept in a tensor, ``kl_weight``,
            to be changed in place.
        per_example_gates: Draw every gate once for each example of the batch, the rows of the first
            tensor argument: the same expectation at a lower variance. For models with the attribute
            ``supports_per_example_gates = True``, whose gate sites then take a value with the examples
            as its first dimension.

    Raises:
        ValueError: If ``num_particles`` is not positive, ``kl_weight`` is negative, or
            ``per_example_gates`` and ``vectorize_particles`` are both asked for.
    """

    gate_laws: ClassVar[tuple[type, ...]] = (GateLaw, Delta)
    """What a guide may put on a gate site."""

    def __init__(
        self,
        num_particles: int = 1,
        vectorize_particles: bool = False,
        max_plate_nesting: float = float("inf"),
        kl_weight: float = 1.0,
        per_example_gates: bool = False,
    ) -> None:
        if per_example_gates and vectorize_particles:
            raise ValueError(
                "per_example_gates=True does not go with vectorize_particles=True; give one of them"
            )
        validate.at_least(1, num_particles=num_particles)
        validate.not_negative(kl_weight=kl_weight)
        super().__init__(
            num_particles=num_particles,
            vectorize_particles=vectorize_particles,
            max_plate_nesting=max_plate_nesting,
        )
        self.kl_weight = torch.tensor(float(kl_weight))
        self.per_example_gates = per_example_gates

    def __call__(self, model: Callable[..., Any], guide: Callable[..., Any]) -> BoundELBO:
        """Fix model and guide.

        Args:
            model: A Pyro model, possibly an ``nn.Module``.
            guide: A guide, an ``nn.Module``.

        Returns:
            A module whose forward takes the model's arguments and returns the loss.
        """
        return BoundELBO(model, guide, self)

    def _run(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Any:
        with ExitStack() as stack:
            if self.per_example_gates:
                check_per_example(model)
                stack.enter_context(PerExampleGates(num_examples(args)))
            guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
        # Not poutine.replay: that overwrites the records that l0bayes.sites leaves on the model's sites.
        with Given.sampled_in(guide_trace):
            model_trace = poutine.trace(model).get_trace(*args, **kwargs)
        return model_trace, guide_trace

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Any:
        model_trace, guide_trace = map(prune_subsample_sites, self._run(model, guide, args, kwargs))
        self._check_cover(model_trace, guide_trace)
        return model_trace, guide_trace

    def terms(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> ELBOTerms:
        """Likelihood and KLs, averaged over the particles.

        Args:
            model: A Pyro model.
            guide: A guide that covers the model's latent sites.
            *args: Positional arguments of both.
            **kwargs: Keyword arguments of both.

        Raises:
            ValueError: If a latent site has no guide, a guide site no model, or a site with an analytic KL
                different scales in the two; or if binary gates that are trained name no estimator, or meet
                ``vectorize_particles``.
            NotImplementedError: If a site has no analytic KL and does not allow a sampled one.
        """
        total = ELBOTerms()
        for one in self._particles(model, guide, args, kwargs):
            total.log_likelihood = total.log_likelihood + one.log_likelihood / self.num_particles
            for name, value in one.kl.items():
                share = value / self.num_particles
                total.kl[name] = total.kl[name] + share if name in total.kl else share
        return total

    def _particles(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Iterator[ELBOTerms]:
        if self.vectorize_particles and self.num_particles > 1:
            if self.max_plate_nesting == math.inf:
                self._guess_max_plate_nesting(model, guide, args, kwargs)
            model_trace, guide_trace = self._get_vectorized_trace(model, guide, args, kwargs)
            if binary_sites(guide_trace):
                raise ValueError(
                    "vectorize_particles=True does not go with binary gates, which are drawn several times "
                    "for each particle; leave it out"
                )
            yield _particle_terms(model_trace, guide_trace)
        else:
            for _ in range(self.num_particles):
                yield self._one_particle(model, guide, args, kwargs)

    def _one_particle(self, model: Any, guide: Any, args: Any, kwargs: Any) -> ELBOTerms:
        with_subsamples, guide_trace = self._run(model, guide, args, kwargs)
        model_trace, guide_trace = map(prune_subsample_sites, (with_subsamples, guide_trace))
        self._check_cover(model_trace, guide_trace)
        terms = _particle_terms(model_trace, guide_trace)
        sites = binary_sites(guide_trace)
        if not sites:
            return terms
        drawn = Given.sampled_in(with_subsamples).values

        def run(gates: dict[str, Tensor]) -> Any:
            with Given(drawn | gates):
                return prune_subsample_sites(poutine.trace(model).get_trace(*args, **kwargs))

        examples = num_examples(args) if self.per_example_gates else None

        def total_kl(trace: Any) -> Tensor | float:
            return terms.total_kl if trace is model_trace else ELBOTerms(kl=_kls(trace, guide_trace)).total_kl

        terms.log_likelihood, scores = terms_with_score(
            sites, guide_trace, model_trace, run, total_kl, examples
        )
        for name, score in scores.items():
            terms.kl[name] = terms.kl[name] + score
        return terms

    def _check_cover(self, model_trace: Any, guide_trace: Any) -> None:
        for name, site in model_trace.nodes.items():
            if site["type"] != "sample" or site["is_observed"]:
                continue
            covered = guide_trace.nodes.get(name)
            kind = "gate site" if gate_record(site) is not None else "latent site"
            if covered is None:
                raise ValueError(f"{kind} {name!r} of the model is not covered by the guide")
            law = _unwrapped(covered["fn"])
            if kind == "gate site" and not isinstance(law, self.gate_laws):
                if isinstance(law, JointGateLaw):
                    raise ValueError(
                        f"the gates of site {name!r} depend on one another, which {type(self).__name__} does "
                        "not take; use l0bayes.infer.ScoreELBO, or guide.objective()"
                    )
                raise ValueError(
                    f"gate site {name!r} is given {type(law).__name__} by the guide, which is no "
                    "gate law; use a gate guide such as l0bayes.guides.AutoHardConcrete"
                )
        for name, site in guide_trace.nodes.items():
            if site["type"] != "sample" or site["is_observed"] or site["infer"].get("is_auxiliary"):
                continue
            if name not in model_trace.nodes:
                raise ValueError(f"guide site {name!r} does not exist in the model")

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Negative ELBO with its graph, KLs weighted by ``kl_weight``; arguments as in :meth:`terms`."""
        terms = self.terms(model, guide, *args, **kwargs)
        loss = self.kl_weight * terms.total_kl - terms.log_likelihood
        return torch.as_tensor(loss)

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Negative ELBO as a number; arguments as in :meth:`terms`."""
        with torch.no_grad():
            return float(self.differentiable_loss(model, guide, *args, **kwargs))

    def loss_and_grads(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Negative ELBO as a number, its gradients added to the parameters; arguments as in :meth:`terms`.
        What ``pyro.infer.SVI`` calls.
        """
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward()
        return float(loss.detach())


class BoundELBO(ELBOModule):
    """An ELBO with its model and guide, as one module.

    Parameters of the guide, and of the model where it is a module, are its parameters. ``kl_weight``
    is a buffer of it, the same tensor that the ELBO holds.

    Args:
        model: A Pyro model.
        guide: A guide.
        elbo: The objective.
    """

    kl_weight: Tensor
    elbo: MeanFieldELBO
    model: Any
    guide: Any

    def __init__(self, model: Any, guide: Any, elbo: MeanFieldELBO) -> None:
        super().__init__(model, guide, elbo)
        self.register_buffer("kl_weight", elbo.kl_weight, persistent=False)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The loss (negative ELBO) for the model's arguments."""
        return self.with_terms(*args, **kwargs)[0]

    def kl_by_site(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """The KL of every latent site, in nats, at one draw."""
        with pyro.get_param_store().scope():
            return self.elbo.terms(self.model, self.guide, *args, **kwargs).kl

    def with_terms(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, log likelihood and KL (unweighted), each a scalar in nats."""
        # An empty parameter store for the time of the call: modules keep their own parameters, also
        # where torch.func puts others in their place, and the global store is left alone.
        with pyro.get_param_store().scope():
            terms = self.elbo.terms(self.model, self.guide, *args, **kwargs)
        likelihood, kl = torch.as_tensor(terms.log_likelihood), torch.as_tensor(terms.total_kl)
        return self.kl_weight * kl - likelihood, likelihood, kl

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        result = super()._apply(fn, recurse)
        self.elbo.kl_weight = self.kl_weight  # .to(device) replaces buffers: keep the two one tensor
        return result


def _unwrapped(fn: Any) -> Any:
    return fn.base_dist if isinstance(fn, Independent) else fn


def _particle_terms(model_trace: Any, guide_trace: Any, site_kl: SiteKL | None = None) -> ELBOTerms:
    terms = ELBOTerms(kl=_kls(model_trace, guide_trace, site_kl))
    for site in model_trace.nodes.values():
        if site["type"] == "sample" and site["is_observed"] and not site["infer"].get("_deterministic"):
            terms.log_likelihood = terms.log_likelihood + log_density(site).sum()
    return terms


def _kls(model_trace: Any, guide_trace: Any, site_kl: SiteKL | None = None) -> dict[str, Tensor]:
    kls = {
        name: (site_kl or _site_kl)(name, site, guide_trace.nodes[name])
        for name, site in model_trace.nodes.items()
        if site["type"] == "sample" and not site["is_observed"]
    }
    for name, site in guide_trace.nodes.items():
        if site["type"] == "sample" and name not in model_trace.nodes:
            # auxiliary: its entropy belongs to a Delta site's density
            kls[name] = masked(log_density(site), auxiliary_mask(name, model_trace.nodes)).sum()
    return kls


def _site_kl(name: str, model_site: Any, guide_site: Any) -> Tensor:
    q, p = guide_site["fn"], model_site["fn"]
    if isinstance(_unwrapped(q), Delta):
        return log_ratio(model_site, guide_site)
    try:
        kl = pair_kl(q, p)
    except NotImplementedError:
        if guide_site["infer"].get(MONTE_CARLO):
            return log_ratio(model_site, guide_site)
        raise NotImplementedError(
            f"site {name!r}: no KL is registered from {_name(q)} to {_name(p)}. Register one with "
            "torch.distributions.register_kl, or allow a one-draw estimate with "
            "infer={l0bayes.infer.MONTE_CARLO: True} at the guide's site"
        ) from None
    _check_scales(name, model_site["scale"], guide_site["scale"])
    if kl.shape != q.batch_shape:
        kl = kl.expand(torch.broadcast_shapes(kl.shape, q.batch_shape))
    return masked(kl * guide_site["scale"], guide_site["mask"], model_site["mask"]).sum()


def log_ratio(model_site: Any, guide_site: Any) -> Tensor:
    """Log density under the guide less that under the model, at the guide's draw, of what is not masked."""
    log_q, log_p = log_density(guide_site), log_density(model_site, guide_site["value"])
    return masked(log_q, model_site["mask"]).sum() - masked(log_p, guide_site["mask"]).sum()


def _check_scales(name: str, ours: float | Tensor, guides: float | Tensor) -> None:
    """An analytic KL has one scale. Tensors are not compared: that would branch on values."""
    if isinstance(ours, Tensor) or isinstance(guides, Tensor) or math.isclose(ours, guides):
        return
    raise ValueError(
        f"site {name!r} has scale {ours} in the model and {guides} in the guide, so that its KL has none; "
        "put poutine.scale on both, or weight all KLs by kl_weight"
    )


def _name(fn: Any) -> str:
    base = _unwrapped(fn)
    inner = getattr(base, "base", None)
    return f"{type(base).__name__}({type(inner).__name__})" if inner is not None else type(base).__name__
