r"""The engine "svi": gates and slabs by stochastic variational inference, all restarts in one batch."""

from __future__ import annotations

import math
from functools import singledispatch

import torch
from torch import Tensor

from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.engines.engine import Engine, Progress, silent
from l0bayes.selection.engines.svi_records import SVIDiagnostics, SVIOptions
from l0bayes.selection.engines.svi_run import SVIRun
from l0bayes.selection.kernels.mean_field import hardened_elbos
from l0bayes.selection.kernels.mixture import mixture_of_modes
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["SVIEngine"]


class SVIEngine(Engine[SVIOptions]):
    r"""Mean-field posteriors of several runs, mixed with weights :math:`\propto e^{\mathrm{ELBO}}`.

    Every run maximises the ELBO with relaxed gates,

    .. math:: E_q[\log p(y \mid z \odot \theta, \alpha)] - \mathrm{KL}(q(z \ne 0)\,\|\,p)
        - \sum_j q(z_{g(j)} \ne 0)\,\mathrm{KL}(q(\theta_j)\,\|\,p(\theta_j)) - \dots,

    over gates of one gate law, Normal slabs, Normal coefficients without a gate and a log-normal noise
    variance; gates and coefficients are drawn, by every run its own. Gates of the law ``"bernoulli"`` are not
    relaxed: the objective is the ELBO itself, for a Gaussian problem in closed form, otherwise estimated
    without bias by :func:`~l0bayes.selection.kernels.relaxations.binary_log_likelihood`. π ~ Beta(a, b) is
    integrated out under its optimal law. Afterwards gates count as Bernoulli with the same activity, each
    mode found counts once, and modes are mixed
    (:func:`~l0bayes.selection.kernels.mixture.mixture_of_modes`). There is no evidence, but a lower bound on
    it.
    """

    name = "svi"
    options = SVIOptions

    def supports(self, problem: SelectionProblem, options: SVIOptions) -> str | None:
        if problem.prior.restriction is not None:
            return "its gates are independent, and always_in and heredity tie them. Use 'exact' or 'gibbs'"
        return problem.mixes_slabs or _not_by_row(problem)

    def accuracy(self, problem: SelectionProblem, options: SVIOptions) -> float:
        if GATE_FAMILIES[options.gate_law].is_relaxed:
            return 0.3
        return 0.06 if problem.is_gaussian else 0.12

    @torch.no_grad()
    def infer(
        self,
        problem: SelectionProblem,
        options: SVIOptions,
        *,
        start: Tensor | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> SelectionPosterior:
        with private_randomness(seed):
            factors = SVIRun(problem, options).optimise(progress)
            hardened = hardened_elbos(problem, factors)
            mixture = mixture_of_modes(problem, factors, hardened, options.num_draws)
        pip = mixture.weights @ mixture.pip
        mean, second_moment = mixture.moments(problem.groups)
        best = int(hardened.elbo.argmax())
        progress(1.0)
        return SelectionPosterior(
            engine=self.name,
            problem=problem,
            pip=pip,
            pip_mcse=torch.full_like(pip, math.nan),
            mean=mean,
            second_moment=second_moment,
            log_evidence=math.nan,
            size_probabilities=mixture.size_probabilities,
            draws=mixture.draws,
            exact_joint=mixture.joint,
            diagnostics=SVIDiagnostics(
                gate_law=options.gate_law,
                elbo=float(hardened.elbo[best]),
                elbo_error=float(hardened.standard_error[best]),
                restart_elbo=hardened.elbo,
                restart_pip=torch.sigmoid(factors.logits),
                mode=mixture.mode,
                mode_weights=mixture.weights,
                mode_factors=mixture.factors,
                k_hat=mixture.k_hat,
                effective_share=mixture.effective_share,
                disagreement=mixture.disagreement,
            ),
        )


@singledispatch
def _not_by_row(problem: SelectionProblem) -> str | None:
    """Why a response is none that the fit takes, if so."""
    return None


@_not_by_row.register
def _(problem: GeneralisedProblem) -> str | None:
    if not problem.likelihood.by_row:
        return "its likelihood is of all rows together. Use 'exact' or 'gibbs'"
    if not problem.likelihood.log_concave:
        return "its likelihood is not concave in the linear predictor. Use 'exact' or 'gibbs'"
    return None


@_not_by_row.register
def _(problem: LearnedProblem) -> str | None:
    names = " and ".join(one.name for one in problem.scalars)
    return f"its likelihood learns {names}, over which 'exact' and 'gibbs' integrate. Use one of these"
