r"""The observed site of a regression: its linear predictor, rows, and likelihood."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.likelihoods.derivatives import Bernoulli, Binomial, Likelihood, NegativeBinomial, Poisson
from l0bayes.selection.recognise.model_runs import ModelRuns, NotLinearError, Run

__all__ = ["Response"]

_LOGISTIC = dist.Bernoulli | dist.Binomial | dist.NegativeBinomial


class Response:
    """The observed site of a model that has one.

    Args:
        runs: Runs of the model.

    Attributes:
        name: Its name.
        rows: Entries that are not masked, of the flattened site.
        y: The response there, float64.
        gaussian: Whether the likelihood is the Normal.
        from_probabilities: Whether it was given probabilities, of which the predictor is the logit.
        precision: Relative rounding error of the predictor.
        limit: How far the predictor can be told from the law, see :meth:`told`.

    Raises:
        NotLinearError: If there are none or several observed sites, a plate holds a part of its rows, all
            rows are masked, or the likelihood is not one that the engines know.
    """

    def __init__(self, runs: ModelRuns) -> None:
        nodes = runs.base.nodes
        observed = [
            name
            for name, site in nodes.items()
            if site["is_observed"] and not site["infer"].get("_deterministic")
        ]
        if len(observed) != 1:
            raise NotLinearError(f"refinement takes a model with one observed site; this one has {observed}")
        self.name = observed[0]
        site = nodes[self.name]
        for frame in site["cond_indep_stack"]:
            if frame.full_size is not None and frame.full_size != frame.size:
                raise NotLinearError(
                    f"plate {frame.name!r} holds {frame.size} of {frame.full_size} rows; refinement needs "
                    "all data at once: give it data=(...)"
                )
        self._law = runs.base.law(self.name)
        if not isinstance(self._law, dist.Normal | dist.Poisson | _LOGISTIC):
            raise NotLinearError(
                f"the likelihood {type(self._law).__name__} of site {self.name!r} has no refinement; there "
                "is one for Normal, Bernoulli, Binomial, Poisson and NegativeBinomial"
            )
        self.gaussian = isinstance(self._law, dist.Normal)
        self.from_probabilities = isinstance(self._law, _LOGISTIC) and "probs" in vars(self._law)
        self._shape = site["value"].shape
        self.rows = self.kept(runs.base).nonzero()[:, 0]
        if not len(self.rows):
            raise NotLinearError(f"all rows of site {self.name!r} are masked, so that nothing is observed")
        self.y = self.per_row(site["value"]).double()
        info = torch.finfo(self.predictor(runs.base).dtype)
        self.precision = info.eps
        self._from_rates = isinstance(self._law, dist.Poisson) and not hasattr(self._law, "log_rate")
        self._centre, self.limit = torch.zeros((), dtype=torch.float64, device=self.y.device), math.inf
        if isinstance(self._law, dist.NegativeBinomial):
            self._centre = self.per_row(self._law.total_count).double().log()
        if self.from_probabilities:
            self.limit = math.log(0.01 / info.eps)
        elif self._from_rates:
            self.limit = 0.9 * math.log(info.max)

    def per_row(self, value: Tensor) -> Tensor:
        """A parameter of the law, one entry for each row that is not masked.

        Args:
            value: What broadcasts to the site.
        """
        flat = value.expand(self._shape).flatten()
        return flat if len(self.rows) == len(flat) else flat[self.rows]

    # ---- the predictor ---------------------------------------------------------------------------

    def predictor(self, run: Run) -> Tensor:
        """The likelihood's parameter that is linear in the weights, one entry a row.

        Args:
            run: Where.
        """
        law = run.law(self.name)
        if isinstance(law, dist.Normal):
            return self.per_row(law.loc)
        if isinstance(law, dist.NegativeBinomial):
            return self.per_row(law.logits) + self.per_row(law.total_count.log())
        if isinstance(law, _LOGISTIC):
            return self.per_row(law.logits)
        rate = getattr(law, "log_rate", None)
        return self.per_row(law.rate.log() if rate is None else rate)

    def told(self, eta: Tensor) -> Tensor:
        """A predictor as far as the law tells it: probabilities next to 0 and 1 and rates that overflow
        do not.

        Args:
            eta: η.
        """
        return (eta.double() - self._centre).clamp(-self.limit, self.limit)

    def blur(self, eta: Tensor) -> Tensor:
        """Absolute rounding error of a predictor that is read from the law.

        Args:
            eta: η.
        """
        told = self.told(eta).abs()
        error = told.exp() if self.from_probabilities else told * float(self._from_rates)
        return 8.0 * self.precision * (error + self._centre.abs())

    # ---- what else the law holds -------------------------------------------------------------------

    def kept(self, run: Run) -> Tensor:
        """Whether an entry of the flattened site is observed: not masked by the law, nor by a handler.

        Args:
            run: Where.
        """
        kept = torch.ones(self._shape, dtype=torch.bool, device=run.nodes[self.name]["value"].device)
        for mask, event_dim in run.masks(self.name):
            kept = kept & self._beside(mask, event_dim).to(kept)
        return kept.flatten()

    def weights(self, run: Run) -> Tensor:
        """What multiplies each row's log likelihood.

        Args:
            run: Where.
        """
        site = run.nodes[self.name]
        return self.per_row(self._beside(site["scale"], len(site["fn"].event_shape)).to(self.y))

    def count(self, run: Run) -> Tensor:
        """Number of trials, or the negative binomial's parameter of that name; ones for other laws.

        Args:
            run: Where.
        """
        return self.per_row(torch.as_tensor(getattr(run.law(self.name), "total_count", 1.0))).double()

    def scale(self, run: Run) -> Tensor:
        """The Normal's scale.

        Args:
            run: Where.
        """
        return self.per_row(run.law(self.name).scale).double()

    def likelihood(self, run: Run) -> Likelihood | None:
        """The likelihood as the engines know it; ``None`` for the Normal.

        Args:
            run: Where.

        Raises:
            NotLinearError: If rows have different dispersions.
        """
        if self.gaussian:
            return None
        if isinstance(self._law, dist.Bernoulli):
            return Bernoulli()
        if isinstance(self._law, dist.Poisson):
            return Poisson()
        count = self.count(run)
        if isinstance(self._law, dist.Binomial):
            return Binomial(count)
        if not torch.allclose(count, count[0], atol=0.0):
            raise NotLinearError(f"the dispersion of site {self.name!r} differs between rows")
        return NegativeBinomial(1.0 / float(count[0]))

    def _beside(self, value: Any, event_dim: int) -> Tensor:
        """A value of the site's batch shape, to broadcast against its entries."""
        whole: Tensor = torch.as_tensor(value)
        return whole.reshape(whole.shape + (1,) * event_dim).expand(self._shape)
