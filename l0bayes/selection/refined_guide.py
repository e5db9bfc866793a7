r"""A refined posterior in the form of a guide, for whatever draws from guides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.distributions import BernoulliGate, GateLaw
from l0bayes.selection.kernels.between_nodes import between_nodes
from l0bayes.selection.kernels.resampling import independent_indices
from l0bayes.selection.pooled_scales import ScaleComponent
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.recognise.inclusion_latents import InclusionLatent
from l0bayes.selection.recognise.linear_model import LinearModel
from l0bayes.selection.summaries.coefficient_draws import Coefficients
from l0bayes.selection.summaries.coefficients import coefficients_of

__all__ = ["RefinedGuide"]

# Open with a probability that is 1 to all digits.
_LARGEST_LOGIT = 36.0


class RefinedGuide:
    """Joint draws of all latents of a model from its refined posterior, as a guide has them.

    Gates, slabs, ungated latents of the predictor, the noise and inclusion probabilities are drawn together,
    a slab behind a shut gate from its prior. It has no density, and is not trained.

    Args:
        posterior: The engine's posterior.
        linear_model: The sites of its columns and groups.
        prototypes: A value of every latent, whose shape and precision the draws have.
        components: What the posterior is an average of, where it is one over a scale.
    """

    def __init__(
        self,
        posterior: SelectionPosterior,
        linear_model: LinearModel,
        prototypes: dict[str, Tensor],
        components: Sequence[ScaleComponent] = (),
    ) -> None:
        self.posterior, self.linear_model, self.prototypes = posterior, linear_model, prototypes
        self.components = [*components] or [ScaleComponent(math.nan, 1.0, posterior)]
        self._coefficients: dict[int, Coefficients] = {}

    def gates(self) -> dict[str, GateLaw]:
        """The refined inclusion probabilities, as the law of every gate by itself."""
        logits = self.posterior.log_odds.clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT)
        return {
            site: BernoulliGate(logits[groups].to(self.prototypes[site]))
            for site, groups in self.linear_model.gates.items()
        }

    @torch.no_grad()
    def draw(self, num_draws: int) -> dict[str, Tensor]:
        """Joint draws of all sites, of torch's global generator.

        Args:
            num_draws: Number of draws.

        Returns:
            Site name to values with a leading dimension of draws.
        """
        weights = torch.tensor([one.weight for one in self.components], dtype=torch.float64)
        which = torch.bincount(independent_indices(weights, num_draws), minlength=len(weights)).tolist()
        parts = [self._from(index, count) for index, count in enumerate(which) if count]
        if self.linear_model.pooled_scale is not None:
            scales = self._scales(torch.tensor(which)).split([count for count in which if count])
            for part, scale in zip(parts, scales, strict=True):
                part[self.linear_model.pooled_scale.name] = scale
        order, like = torch.randperm(num_draws), self.prototypes
        return {
            site: torch.cat([part[site] for part in parts])[order]
            .to(like[site])
            .reshape(-1, *like[site].shape)
            for site in parts[0]
        }

    def _scales(self, counts: Tensor) -> Tensor:
        """Draws of the pooled scale, so many near the value of each component, in their order."""
        logs = torch.tensor([one.value for one in self.components], dtype=torch.float64).log()
        masses = torch.tensor([one.weight for one in self.components], dtype=torch.float64).log()
        nodes = torch.arange(len(logs))
        places = between_nodes(nodes[:, None], masses, nodes.repeat_interleave(counts))[:, 0]
        step = logs[1] - logs[0] if len(logs) > 1 else logs.new_zeros(())
        return (logs[0] + step * places).exp()

    def _from(self, index: int, count: int) -> dict[str, Tensor]:
        """Draws of one component, but for the scale."""
        posterior, linear = self.components[index].posterior, self.linear_model
        if index not in self._coefficients:
            self._coefficients[index] = coefficients_of(posterior)
        models, drawn = posterior.draws, self._coefficients[index]
        chosen = independent_indices(models.weights.double(), count)
        gates, beta, variances = models.gates[chosen].double(), drawn.beta[chosen], models.variances[chosen]
        found = {site: gates[:, groups] for site, groups in linear.gates.items()}
        scales = posterior.problem.slab_variance(variances).sqrt()
        is_open = gates[:, posterior.problem.groups] > 0.5
        slabs = torch.where(is_open, beta, scales * torch.randn_like(beta))
        for weight, columns in linear.weights.items():
            found[linear.slabs[weight]] = slabs[:, columns]
        found |= self._ungated(drawn.unpenalised[chosen] + linear.unpenalised_mean)
        for site, power in linear.noise.items():
            found[site] = variances.pow(0.5 / power)
        for site, latent in linear.inclusion.items():
            found[site] = self._inclusion(latent, gates)
        return found

    def _ungated(self, columns: Tensor) -> dict[str, Tensor]:
        """Ungated latents from their columns: of one whose mean follows from others, what is left of it."""
        linear = self.linear_model
        found = {site: columns[:, places] for site, places in linear.unpenalised.items()}
        for site in reversed([*linear.unpenalised]):  # others stand behind those that follow from them
            if site not in linear.pooled_means:
                continue
            for other, slope in linear.pooled_means[site].slopes.items():
                moved = found[other].reshape(len(found[other]), -1) @ slope.T
                found[site] = found[site] + moved.reshape(found[site].shape)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """One draw of every latent site.

        Args:
            *args: Positional arguments of the model, on which nothing depends.
            **kwargs: Its keyword arguments.
        """
        return {
            site: pyro.sample(site, dist.Delta(value[0], event_dim=value.dim() - 1))
            for site, value in self.draw(1).items()
        }

    def _inclusion(self, latent: InclusionLatent, gates: Tensor) -> Tensor:
        """Draws given the gates: Beta(a + open, b + shut) of the block, or the prior without gates."""
        blocks = self.posterior.problem.prior.blocks
        if blocks is None:
            opened, counts = gates.sum(-1, keepdim=True), torch.tensor([float(gates.shape[1])])
        else:
            opened, counts = blocks.sizes(gates), blocks.counts
        used, place = latent.block >= 0, latent.block.clamp(min=0)
        here = torch.where(used, opened[:, place], 0.0)
        shut = torch.where(used, counts.double()[place], 0.0) - here
        return dist.Beta(latent.a + here, latent.b + shut).sample()
