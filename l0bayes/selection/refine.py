r"""Refining any fit whose gated weights enter through a linear predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from l0bayes.infer.callbacks.history import History
from l0bayes.infer.loop.fit_result import Fit, check_is_fit
from l0bayes.infer.loop.restart_result import Restart
from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.infer.objectives.model_reading import ModelReading
from l0bayes.infer.objectives.objective import Objective
from l0bayes.posterior.to_arviz import Group, to_arviz
from l0bayes.selection.engines.engine import Progress
from l0bayes.selection.engines.engine_registry import choose_engine
from l0bayes.selection.engines.infer_gates import check_options, infer_gates
from l0bayes.selection.pooled_scales import ScaleComponent, average_over_scale
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.recognise.linear_model import LinearModel, NotLinearError, read_linear_model
from l0bayes.selection.refined_guide import RefinedGuide
from l0bayes.sites import latent_sites

__all__ = ["Refinement", "refine"]


@dataclass(frozen=True)
class Refinement:
    """The refined posterior of a fit's gates and weights, by the names of their sites.

    Attributes:
        posterior: The engine's posterior, in columns and groups.
        linear_model: The sites of the columns and groups in the model.
        fit: The fit that was refined.
        guide: Draws of all latents from the refined posterior, for whatever draws from guides:
            ``predict(model, refined.guide, new_data)``.
        arguments: The model's arguments.
    """

    posterior: SelectionPosterior
    linear_model: LinearModel
    fit: Fit
    guide: RefinedGuide
    arguments: ModelArguments

    @property
    def engine(self) -> str:
        """The engine that was used."""
        return self.posterior.engine

    @property
    def problem(self) -> SelectionProblem:
        """The regression that the model is."""
        return self.linear_model.problem

    @property
    def log_evidence(self) -> float:
        """Log evidence in nats, NaN where the engine does not give it."""
        return self.posterior.log_evidence

    def pip(self, site: str) -> Tensor:
        """Inclusion probabilities.

        Args:
            site: Name of a gate site, or of a weight (one for each of its entries).

        Raises:
            ValueError: If there is no such site.
        """
        if site in self.linear_model.gates:
            return self.posterior.pip[self.linear_model.gates[site]]
        return self.posterior.pip[self.problem.groups[self._columns(site)]]

    def mean(self, site: str) -> Tensor:
        """Posterior mean of a weight, zeros included, in the shape of its site.

        Args:
            site: Name of the weight.

        Raises:
            ValueError: If there is no such site.
        """
        return self.posterior.mean[self._columns(site)]

    def sd(self, site: str) -> Tensor:
        """Posterior standard deviation of a weight, zeros included, in the shape of its site.

        Args:
            site: Name of the weight.

        Raises:
            ValueError: If there is no such site.
        """
        return self.posterior.sd[self._columns(site)]

    def changes(self) -> dict[str, float]:
        """Largest change of an inclusion probability of the fit, for every gate site."""
        laws = gate_laws(self.fit.guide)
        found = {}
        with torch.no_grad():
            for site in self.linear_model.gates:
                if site in laws:
                    off = laws[site].prob_active.double() - self.pip(site).reshape(laws[site].batch_shape)
                    found[site] = float(off.abs().max())
        return found

    def to_arviz(self, **options: Any) -> Any:
        """Draws of the refined posterior, with predictions and log likelihoods, as ArviZ data.

        Args:
            **options: Those of :func:`l0bayes.to_arviz`. There are no ``sample_stats``, since the draws have
                no density that is known.

        Returns:
            What :func:`l0bayes.to_arviz` returns, with one chain.
        """
        best = self.fit.best
        run = Restart(self.guide, best.model, History(), 0, 0.0, "refined", parameters=best.parameters)
        objective = Objective(
            f"posterior by engine {self.engine!r}",
            False,
            "not variational",
            "none",
            "Normal",
            has_points=True,
        )
        args, kwargs = self.arguments.args, dict(self.arguments.kwargs)
        drawn = Fit([run], objective, {}, args, self.problem.num_groups, 0.0, "none", kwargs=kwargs)
        groups = [group for group in get_args(Group) if group != "sample_stats"]
        return to_arviz(drawn, **{"groups": groups, **options})

    def __repr__(self) -> str:
        problem = self.problem
        off = ", ".join(f"{site} {change:.3f}" for site, change in self.changes().items())
        return (
            f"Refinement by engine {self.engine!r}: {problem.num_groups} gates, {problem.num_columns} "
            f"columns, {problem.num_rows} rows\n  largest change of an inclusion probability: {off}"
        )

    def _columns(self, site: str) -> Tensor:
        if site not in self.linear_model.weights:
            known = [*self.linear_model.weights, *self.linear_model.gates]
            raise ValueError(f"site must be one of {known}, got {site!r}")
        return self.linear_model.weights[site]


def refine(
    fit: Fit,
    engine: str = "auto",
    *,
    data: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    options: Any = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Refinement:
    r"""Recompute the gate posteriors of a fit without the guide's errors, for models with a linear predictor.

    The model is run at a few points drawn from its prior, to read off the regression: columns, offset,
    likelihood and priors; and to check that none of these depends on other latents, as a prior that depends
    on other gates or weights would. ``pyro.param`` takes the values of the parameter store, as after
    training. An engine then computes the posterior of the gates with the coefficients integrated out; a
    sampler starts from the fit's own probabilities.

    It takes gated weights with one gate each and Normal slabs around 0, of fixed scale or in units of the
    noise; Normal latents without a gate, such as an intercept, or one for each group whose mean is a Normal
    latent and whose scale is fixed or a latent (averaged over by quadrature, by an engine that gives
    evidences); gates of fixed inclusion probabilities, or of Beta latents, one for all or one a group; and a
    Normal likelihood of known noise, with an InverseGamma prior on its variance (Gamma on the precision), or
    with another prior of one positive latent that its scale, variance or precision is proportional to, such
    as HalfNormal or LogNormal (averaged over by quadrature as well; a model may have one such scale);
    or Bernoulli, Binomial, Poisson, NegativeBinomial, or another registered
    likelihood with derivatives, see :mod:`l0bayes.likelihoods`. Rows that are masked are left out.

    Args:
        fit: The result of :func:`l0bayes.fit`, or ``Fit.of(model, guide, data)``.
        engine: ``"auto"``, ``"exact"``, ``"gibbs"``, ``"svi"``, or the name of an engine that was registered;
            see :func:`~l0bayes.selection.infer_gates`.
        data: The model's positional arguments, all data; default: what was fitted, which must then be a
            tuple.
        kwargs: Its keyword arguments; default: those of the fit.
        options: The engine's options.
        seed: Seed.
        progress: Called with the share of the engine's work that is done, up to 1.

    Returns:
        The refined posterior by site names.

    Raises:
        NotLinearError: If the model is not such a regression; the message says what does not fit.
        TypeError: If the fit is none, or was on a loader and ``data`` is not given, or options are of another
            engine.
        ValueError: If the engine is unknown or cannot take the problem.

    Example::

        refined = l0bayes.refine(fit)
        refined.pip("beta"), refined.mean("beta")
    """
    check_options(engine, options)
    check_is_fit(fit)
    if data is None and not isinstance(fit.data, tuple | Tensor):
        raise TypeError(
            f"the fit was trained on a {type(fit.data).__name__}; give all data as data=(x, y, ...)"
        )
    arguments, parameters = fit.arguments(data, kwargs), fit.best.parameters
    try:
        reading = ModelReading.of(fit.model, fit.guide, arguments, parameters)
    except ValueError as error:
        raise NotLinearError(str(error)) from error
    with reading.open():
        linear = read_linear_model(fit.model, arguments)
    start = _start(fit, linear) if choose_engine(engine, linear.problem).takes_start else None

    def infer(problem: SelectionProblem, shown: Progress | None = None) -> SelectionPosterior:
        return infer_gates(problem, engine, options=options, start=start, seed=seed, progress=shown)

    components: list[ScaleComponent] = []
    if linear.pooled_scale is None:
        posterior = infer(linear.problem, progress)
    else:
        posterior, components = average_over_scale(linear.problem, linear.pooled_scale, infer)
    prototypes = {name: site["value"] for name, site in latent_sites(reading.traces()[0].nodes).items()}
    guide = RefinedGuide(posterior, linear, prototypes, components)
    return Refinement(posterior, linear, fit, guide, arguments)


@torch.no_grad()
def _start(fit: Fit, linear: LinearModel) -> Tensor | None:
    """Inclusion probabilities of the fit's restarts, averaged; ``None`` where a gate has none."""
    start = torch.zeros(linear.problem.num_groups, dtype=torch.float64)
    for run in fit.restarts:
        laws = gate_laws(run.guide)
        if not all(site in laws for site in linear.gates):
            return None
        for site, index in linear.gates.items():
            start[index.flatten()] += laws[site].prob_active.double().flatten() / len(fit.restarts)
    # Away from 0 and 1, so that chains start from different models.
    return start.clamp(0.02, 0.98)
