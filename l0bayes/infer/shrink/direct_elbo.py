r"""The mean-field ELBO of a network, computed without running Pyro."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from l0bayes.distributions.slab import is_free
from l0bayes.infer.guide_abilities import DirectGuide
from l0bayes.infer.model_abilities import ShrinkableModel
from l0bayes.infer.objectives.elbo import BoundELBO, MeanFieldELBO
from l0bayes.infer.objectives.per_example import num_examples

__all__ = ["DirectELBO"]


class DirectELBO(BoundELBO):
    r"""The value of :class:`~l0bayes.infer.MeanFieldELBO` for gates and slabs, from the laws themselves.

    .. math:: \mathrm{ELBO} = E_q[\log p(D \mid z \odot \theta)] - w\,\bigl(\sum_{\text{sites}}
        \mathrm{KL}(q\,\|\,p) + c\bigr)

    Running model and guide as Pyro programs costs more than a small network's forward and backward pass; here
    laws are read off the guide, priors and likelihood off the model. The constant c is the KL of what was
    decided and taken out, which starts at 0 and is set by a cut.

    Args:
        model: The model.
        guide: Its guide, whose laws are known without running it.
        elbo: The objective.
        sites: Names of all gates and slabs.
        keywords: Keyword arguments of model and guide.
    """

    decided_kl: Tensor

    def __init__(
        self,
        model: ShrinkableModel,
        guide: DirectGuide,
        elbo: MeanFieldELBO,
        sites: list[str],
        keywords: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(model, guide, elbo, keywords)
        gates = guide.gates()
        priors = model.prior_laws(sites)
        self.slabs = [site for site in sites if site not in gates]
        # A point under a flat prior costs nothing, so that its gates' probabilities need not be multiplied.
        free = {site for site in self.slabs if is_free(guide.slab_given_open(site), priors[site])}
        self.charged = [site for site in sites if site not in free]
        like = next(self.parameters())
        self.register_buffer("decided_kl", like.new_zeros(()))

    def with_terms(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
        return self.terms_for(self.guide.gates(), args)

    def terms_for(self, gates: Mapping[str, Any], args: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, log likelihood and KL (unweighted), each a scalar in nats.

        Args:
            gates: The laws of the gates by site.
            args: The model's arguments.
        """
        total: Tensor | float = 0.0
        for _ in range(self.elbo.num_particles):
            values = {site: self._draw_gate(law, args) for site, law in gates.items()}
            values |= {site: self.guide.draw_slab(site) for site in self.slabs}
            total = total + self.model.log_likelihood(values, *args, **self.keywords)
        likelihood = torch.as_tensor(total) / self.elbo.num_particles
        kl = self.total_kl(gates)
        return self.kl_weight * kl - likelihood, likelihood, kl

    def total_kl(self, gates: Mapping[str, Any] | None = None) -> Tensor:
        """The KL of all sites with the constant of what was taken out, in nats.

        Args:
            gates: The laws of the gates by site, where they are known.
        """
        known: Mapping[str, Any] = self.guide.gates() if gates is None else gates
        return sum(self.direct_kls(known).values(), start=self.decided_kl)

    def direct_kls(self, gates: Mapping[str, Any]) -> dict[str, Tensor]:
        """The KL of every site that costs anything, in nats.

        Args:
            gates: The laws of the gates by site.
        """
        priors, found = self.model.prior_laws(self.charged), {}
        for site in self.charged:
            q = gates[site] if site in gates else self.guide.weighted_slab(site, gates)
            found[site] = kl_divergence(q, priors[site]).sum()
        return found

    def _draw_gate(self, law: Any, args: tuple[Any, ...]) -> Tensor:
        shape = (num_examples(args),) if self.elbo.per_example_gates else ()
        draw: Tensor = law.rsample(torch.Size(shape))
        return draw
