r"""The ELBO of a guide whose gates depend on one another: score function, leave-one-out baseline."""

from __future__ import annotations

from typing import Any, ClassVar

import pyro
import torch
from pyro import poutine
from pyro.distributions import Delta
from pyro.infer.util import is_validation_enabled
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from l0bayes.distributions import ConditionalSlab, GateLaw, JointGateLaw
from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.objectives.elbo import MeanFieldELBO, RecaptureError
from l0bayes.infer.objectives.pair_traces import PairTraces
from l0bayes.infer.objectives.site_densities import log_density, masked, open_log_density
from l0bayes.infer.objectives.site_terms import (
    ELBOTerms,
    analytic_kl,
    check_scales,
    terms_at_draw,
)
from l0bayes.infer.randomness import GeneratorState, private_randomness
from l0bayes.sites import inner_law

__all__ = ["HELD", "ScoreELBO", "elbo_of"]

HELD = "l0bayes_held_law"
"""Key in a guide site's ``infer`` under which it gives its law with the parameters held fixed."""


class ScoreELBO(MeanFieldELBO):
    r"""Evidence lower bound of a guide with joint gate laws, from K draws of everything.

    .. math:: f = \log p(D \mid z, \theta, \eta) + \log\frac{p(z)}{q(z)}
        + \sum_{j \text{ open}} \log p(\theta_j) - \log q(\theta_o \mid z) + \log\frac{p(\eta)}{q(\eta)},
        \qquad \mathrm{ELBO} = E_q[f]

    Slabs behind shut gates follow their prior and drop out. The gradient of the parameters φ is

    .. math:: \frac1K \sum_k \nabla_\phi f_k \Big|_{z_k}
        + \frac{1}{K-1} \sum_k (f_k - \bar f)\, \nabla_\phi \log q(z_k),

    pathwise in slabs and other latents, and the score function for gates with the mean of the other draws
    as baseline (Kool, van Hoof and Welling 2019), with the whole of f as reward. It is unbiased. Where a
    site offers its law with parameters held fixed (:data:`HELD`), as the guides of this library do, their own
    score, of expectation zero, is left out of the first sum (Roeder, Wu and Duvenaud 2017). Then every draw
    has the same f once q is the posterior, and the gradient no noise at all.

    Sites whose gates are independent, and slabs of :class:`~l0bayes.distributions.GatedSlab`, keep their
    analytic KL. The draws are batched by ``torch.vmap``; a model that it cannot batch, whose control flow
    depends on values, is run K times.

    Args:
        num_particles: How many sets of draws an estimate takes; all of them are one another's baseline.
        num_draws: Draws a set; K is the product of the two, at least 2.
        kl_weight: Weight of all terms but the likelihood, 1 for the bound; see
            :class:`~l0bayes.infer.MeanFieldELBO`.

    Raises:
        ValueError: If a number is out of range.
    """

    gate_laws: ClassVar[tuple[type, ...]] = (GateLaw, JointGateLaw, Delta)
    independent_gates: ClassVar[bool] = False

    def __init__(self, num_particles: int = 1, num_draws: int = 16, kl_weight: float = 1.0) -> None:
        super().__init__(num_particles=num_particles, kl_weight=kl_weight)
        if num_draws < 1 or num_draws * num_particles < 2:
            raise ValueError(f"a baseline takes at least 2 draws in all, got num_draws={num_draws!r}")
        self.num_draws = num_draws
        self._batches, self._batched = True, False
        self._validated = False

    def terms(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> ELBOTerms:
        """Likelihood and KLs, averaged over the draws, with the gradient of all parameters.

        Args:
            model: A Pyro model.
            guide: A guide that covers the model's latent sites.
            *args: Positional arguments of both.
            **kwargs: Keyword arguments of both.

        Raises:
            ValueError: If a latent site has no guide or a guide site no model.
            NotImplementedError: If a site has no analytic KL and does not allow a sampled one.
        """

        def one(_: Tensor) -> dict[str, Tensor]:
            traces = self.traces(model, guide, *args, **kwargs)
            terms = self.terms_at(traces)
            score = sum(
                (log_density(site).sum() for site in _without_gradient(traces.guide)), torch.zeros(())
            )
            likelihood = torch.as_tensor(terms.log_likelihood)
            return {"score:": score, "likelihood:": likelihood, **{f"kl:{n}": v for n, v in terms.kl.items()}}

        values = self._at_draws(one)
        score = values.pop("score:")
        change = score - score.detach()

        def estimate(f: Tensor) -> Tensor:
            centred = f.detach() - f.detach().mean()
            return f.mean() + (centred * change).sum() / (len(f) - 1)

        likelihood = estimate(values.pop("likelihood:"))
        return ELBOTerms(likelihood, {name[len("kl:") :]: estimate(f) for name, f in values.items()})

    def _at_draws(self, one: Any) -> dict[str, Tensor]:
        index = torch.arange(self.num_particles * self.num_draws)
        if is_validation_enabled() and not self._validated:
            with torch.no_grad(), private_randomness(), poutine.block(), pyro.get_param_store().scope():
                one(index[0])  # validation branches on values, which a batch cannot
            self._validated = True
        if self._batches:
            generator = None if self._batched else GeneratorState()
            try:
                with pyro.validation_enabled(False):
                    batch: dict[str, Tensor] = torch.vmap(one, randomness="different")(index)
                self._batched = True
                return batch
            except RuntimeError as error:
                self._batches = False
                if get_proxy_mode() is not None:  # the graph holds the failed trial
                    raise RecaptureError("the draws cannot be batched") from error
                if generator is not None:
                    generator.put_back()
        draws = [one(i) for i in index]
        return {name: torch.stack([draw[name] for draw in draws]) for name in draws[0]}

    def terms_at(self, traces: PairTraces) -> ELBOTerms:
        """The value at one draw, without the gates' gradient.

        Args:
            traces: One run of guide and model.
        """
        return terms_at_draw(traces.model, traces.guide, _site_kl_at_draw)


def elbo_of(guide: Any, num_particles: int = 1, per_example_gates: bool = False) -> MeanFieldELBO:
    """The objective that a guide is trained on: the one that it asks for by a method ``objective``, or the
    mean-field ELBO.

    Args:
        guide: Any guide, or a combination of guides.
        num_particles: Draws, or sets of draws, an estimate takes.
        per_example_gates: Whether gates are drawn for each example.

    Raises:
        ValueError: If the guide's objective does not take gates drawn for each example.
    """
    own = GuideAbilities(guide).objective
    if own is None:
        return MeanFieldELBO(num_particles=num_particles, per_example_gates=per_example_gates)
    if per_example_gates:
        raise ValueError(f"per_example_gates=True does not go with the objective of {type(guide).__name__}")
    objective: MeanFieldELBO = own(num_particles)
    return objective


def _without_gradient(guide_trace: Any) -> list[Any]:
    """The gate sites whose draws carry no gradient."""
    sites = [site for site in guide_trace.nodes.values() if site["type"] == "sample"]
    laws = [(site, inner_law(site["fn"])) for site in sites if not site["is_observed"]]
    return [site for site, law in laws if isinstance(law, GateLaw | JointGateLaw) and not law.has_rsample]


def _site_kl_at_draw(name: str, model_site: Any, guide_site: Any) -> Tensor:
    """The log ratio at the draw where gates are joint, slabs depend on gates, or a held law is offered."""
    law, value, scale = inner_law(guide_site["fn"]), guide_site["value"], model_site["scale"]
    held = guide_site["infer"].get(HELD)
    if not isinstance(law, JointGateLaw | ConditionalSlab) and held is None:
        return analytic_kl(name, model_site, guide_site)
    check_scales(name, scale, guide_site["scale"])
    if isinstance(law, ConditionalSlab):
        log_p = open_log_density(model_site["fn"], value, (law.open > 0.5).to(value))
        log_q = (law if held is None else held).log_prob_open(value)
    else:
        log_p = model_site["fn"].log_prob(value)
        log_q = (guide_site["fn"] if held is None else held).log_prob(value)
        if isinstance(law, JointGateLaw):  # its score is part of the estimate, with the rest as reward
            log_q = log_q.detach()
    masks = (guide_site["mask"], model_site["mask"])
    return masked(log_q * scale, *masks).sum() - masked(log_p * scale, *masks).sum()
