r"""The observed site of a regression: its linear predictor, rows, and likelihood."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from l0bayes.infer.objectives.site_densities import counted_entries
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import laws_for_selection, likelihood_of_law
from l0bayes.likelihoods.predictor_precision import PredictorPrecision
from l0bayes.selection.recognise.model_runs import ModelRuns, NotLinearError, Run
from l0bayes.sites import site_kind

__all__ = ["Response"]


class Response:
    """The observed site of a model that has one.

    Args:
        runs: Runs of the model.

    Attributes:
        name: Its name.
        rows: Entries that are not masked, of the flattened site.
        y: The response there, float64.
        kind: The class of its likelihood, which reads laws.
        likelihood: The likelihood with the parameters that the law has at the base.
        precision: How well the law shows the predictor.

    Raises:
        NotLinearError: If there are none or several observed sites, a plate holds a part of its rows, all
            rows are masked, or the likelihood is not one that the engines support.
    """

    def __init__(self, runs: ModelRuns) -> None:
        nodes = runs.base.nodes
        observed = [name for name, site in nodes.items() if site_kind(site) in ("observed", "factor")]
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
        law = runs.base.law(self.name)
        kind = likelihood_of_law(law)
        self._whole = kind is not None and not kind.by_row
        self._shape = kind.predictor_of(law).shape if kind and self._whole else site["value"].shape
        if self._whole and (len(self._shape) != 1 or not bool(counted_entries(site).all())):
            raise NotLinearError(
                f"the rows of site {self.name!r} are one observation, which can have no mask and no batches"
            )
        self.rows = self.kept(runs.base).nonzero()[:, 0]
        if not len(self.rows):
            raise NotLinearError(f"all rows of site {self.name!r} are masked, so that nothing is observed")
        self.y = (site["value"] if self._whole else self.per_row(site["value"])).double()
        self.kind, self.likelihood = self._recognised(law)
        precision = self.kind.precision_of(law)
        self.precision: PredictorPrecision = replace(
            precision, centre=self.per_row(precision.centre.to(self.y))
        )

    def _recognised(self, law: Any) -> tuple[type[Likelihood], Likelihood]:
        refused = f"the likelihood {type(law).__name__} of site {self.name!r} has no refinement"
        kind = likelihood_of_law(law)
        if kind is None:
            raise NotLinearError(f"{refused}; there is one for {', '.join(laws_for_selection())}")
        try:
            likelihood = kind.of_law(law, lambda value: self.per_row(value).double())
        except ValueError as error:
            raise NotLinearError(f"{refused}: {error}") from None
        reason = likelihood.supports_selection()
        if reason is None and likelihood.unknowns and not likelihood.conjugate:
            reason = "the noise differs between rows; give weights by poutine.scale"
        if reason is not None:
            raise NotLinearError(f"{refused}: {reason}")
        return kind, likelihood

    def per_row(self, value: Tensor) -> Tensor:
        """A parameter of the law, one entry for each row that is not masked.

        Args:
            value: What broadcasts to the site.
        """
        flat = value.expand(self._shape).flatten()
        return flat if len(self.rows) == len(flat) else flat[self.rows]

    # ---- what the law holds ------------------------------------------------------------------------

    def predictor(self, run: Run) -> Tensor:
        """The likelihood's parameter that is linear in the weights, one entry a row.

        Args:
            run: Where.
        """
        return self.per_row(self.kind.predictor_of(run.law(self.name)))

    def parameters(self, run: Run) -> dict[str, Tensor]:
        """The law's positive parameters beside predictor and noise, one entry a row, by what they are.

        Args:
            run: Where.
        """
        found = self.kind.parameters_of(run.law(self.name))
        return {name: self.per_row(value).double() for name, value in found.items()}

    def scale(self, run: Run) -> Tensor:
        """The noise's scale.

        Args:
            run: Where.
        """
        return self.per_row(self.kind.noise_of(run.law(self.name))).double()

    # ---- masks and scales --------------------------------------------------------------------------

    def kept(self, run: Run) -> Tensor:
        """Whether an entry of the flattened site is observed: not masked by the law, nor by a handler.

        Args:
            run: Where.
        """
        if self._whole:
            return torch.ones(self._shape, dtype=torch.bool)
        return counted_entries(run.nodes[self.name]).flatten()

    def weights(self, run: Run) -> Tensor:
        """What multiplies each row's log likelihood.

        Args:
            run: Where.
        """
        site = run.nodes[self.name]
        if self._whole:
            known = self.kind.weights_of(run.law(self.name))
            ones = torch.ones(self._shape, dtype=torch.float64)
            own = ones if known is None else known.double().expand(self._shape)
            return own * torch.as_tensor(site["scale"]).double()
        return self.per_row(self._beside(site["scale"], len(site["fn"].event_shape)).to(self.y))

    def _beside(self, value: Any, event_dim: int) -> Tensor:
        """A value of the site's batch shape, to broadcast against its entries."""
        whole: Tensor = torch.as_tensor(value)
        return whole.reshape(whole.shape + (1,) * event_dim).expand(self._shape)
