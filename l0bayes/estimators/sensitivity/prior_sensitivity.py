r"""``sensitivity()`` of the estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

from l0bayes import validate
from l0bayes.estimators.original_scale import OriginalScalePosterior
from l0bayes.estimators.sensitivity.prior_axes import gate_priors, settings_of
from l0bayes.estimators.sensitivity.sensitivity_words import sensitivity_words
from l0bayes.selection.engines.infer_gates import infer_gates
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.sensitivity.model_evidences import has_evidences
from l0bayes.selection.sensitivity.model_tables import gates_at_most
from l0bayes.selection.sensitivity.prior_changes import PriorChanges

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PriorSensitivity"]


class PriorSensitivity:
    """Mixin of the estimators: inclusion probabilities under other priors."""

    get_params: Callable[..., dict[str, Any]]
    _engine_options: Callable[[], Any]
    posterior_: SelectionPosterior
    original_scale_: OriginalScalePosterior

    def sensitivity(
        self,
        *,
        slab_scale: Iterable[float] | None = None,
        inclusion: Iterable[Any] | None = None,
        noise_prior: Iterable[Any] | None = None,
        slab: Iterable[Any] | None = None,
        threshold: float = 0.5,
        refit: bool = True,
    ) -> pd.DataFrame:
        r"""Inclusion probabilities under every combination of other priors, that of the fit among them.

        Where all models can be listed (to 18 gates, 12 of a generalised linear model), their evidences
        are, and nothing is fitted again:

        .. math:: P(\gamma \mid D) \propto p(\gamma)\,p(D \mid \gamma),

        with the first factor changed by ``inclusion`` and the second by the others. Elsewhere the draws of
        the fit are weighted by the ratio of both at the new and the old prior; where fewer than 400
        effective draws are left, the engine runs again. It does so for every prior where a likelihood learns
        numbers, such as a dispersion or degrees of freedom, and where importance sampling had to correct the
        evidences of the fit.

        ======================  ====================================================================
        column                  content
        ======================  ====================================================================
        ``slab_scale``          these say which prior; ``slab`` in place of the first where slabs are
        ``noise_prior``         Zellner's, and no ``noise_prior`` where there is no unknown noise
        ``inclusion``
        ``variable``            name of the gate
        ``pip``                 its posterior inclusion probability
        ``selected``            whether that is above the threshold
        ``own_prior``           whether this is the prior of the fit
        ``method``              ``"all models"``, ``"reweighted"``, ``"refitted"`` or ``"too few draws"``
        ``effective_draws``     effective number of the weighted draws
        ``log_evidence``        log evidence under the prior, where it is known, in units of the engine
        ======================  ====================================================================

        ``attrs["words"]`` says which variables are selected under all priors, which under none, and which
        cross the threshold, from where to where.

        Args:
            slab_scale: Slab scales to try; by default a quarter, a half, twice and four times that of the
                fit. Where the fit has one for each column, these are multiples of them.
            inclusion: Arguments ``inclusion`` to try; by default 0.5, ``(1, 1)`` and ``(1, G)`` for G gates,
                under which few are expected.
            noise_prior: Arguments ``noise_prior`` to try. Of a Normal response by default ``"weak"``,
                ``"jeffreys"`` (where no model fits perfectly) and ``(2, 0.5)``, about four observations; of
                Student-t noise those that are given, ``"weak"`` or pairs.
            slab: Arguments ``slab`` to try where it is one of Zellner's, also as ``("g", "bric")`` and
                ``("jzs", 1.0)``; by default all of them.
            threshold: A variable is selected above this.
            refit: Whether the engine may run again where draws do not reach.

        Raises:
            ValueError: If something is no prior, or has no part in this model.
        """
        import pandas as pd

        check_is_fitted(self)
        validate.inside("(0, 1)", threshold=threshold)
        arguments, found = self.get_params(deep=False), self.original_scale_
        problem = found.posterior.problem
        asked = {"slab_scale": slab_scale, "noise_prior": noise_prior, "slab": slab}
        gates = gate_priors(arguments["inclusion"], inclusion, problem)
        settings = settings_of(problem, arguments, {name: _listed(one) for name, one in asked.items()})
        if not refit and problem.num_groups > gates_at_most(problem) and not has_evidences(problem):
            raise ValueError(
                "refit=False asks for answers without another run of the engine, which there are none of "
                "here: where numbers are learned, a model has no evidence by itself. Leave it True"
            )
        changes = PriorChanges(found.posterior, self._again if refit else None)
        rows: list[dict[str, Any]] = []
        for setting in settings:
            outcomes = changes.under(setting.problem, [gate.prior for gate in gates])
            for gate, outcome in zip(gates, outcomes, strict=True):
                same = {**setting.labels, "inclusion": gate.label}
                for name, pip in zip(found.gate_names, outcome.pip.tolist(), strict=True):
                    rows.append(
                        {
                            **same,
                            "variable": name,
                            "pip": pip,
                            "selected": pip > threshold,
                            "own_prior": setting.own and gate.own,
                            "method": outcome.method,
                            "effective_draws": outcome.effective,
                            "log_evidence": outcome.log_evidence,
                        }
                    )
        table = pd.DataFrame(rows)
        axes = [*settings[0].labels, "inclusion"]
        table.attrs = {
            "axes": axes,
            "threshold": threshold,
            "words": sensitivity_words(table, axes, threshold),
        }
        return table

    def _again(self, problem: SelectionProblem) -> SelectionPosterior:
        """The engine's answer to a changed problem."""
        return infer_gates(
            problem, self.posterior_.engine, options=self._engine_options(), seed=self.original_scale_.seed
        )


def _listed(values: Iterable[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)
