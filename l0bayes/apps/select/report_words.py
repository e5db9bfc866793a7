r"""The model, its priors and its trustworthiness, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from l0bayes.apps.select.coding_words import describe_coding
from l0bayes.apps.select.formulas import FormulaData
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.selection import (
    GateRestriction,
    GaussianProblem,
    LearnedProblem,
    LearnedSlabProblem,
    SelectionPosterior,
    SelectionProblem,
    Trust,
    ZellnerProblem,
)
from l0bayes.selection.summaries.credible_sets import credible_sets

__all__ = ["SetOfVariables", "advice_on", "describe_model", "describe_sets"]

_ADVICE = {
    "exact": (
        "Every possible model was computed, so there is no sampling error. What remains is whether the model "
        "and its priors suit the question: try other priors (--inclusion, --slab-scale) and see what stays."
    ),
    "reliable": (
        "The models were sampled, and the error of sampling is known and small beside any decision one would "
        "take. Another --seed should give the same picture; other priors (--inclusion, --slab-scale) may not."
    ),
    "plausible": (
        "This is a variational approximation in which no sign of an error was found. Before anything depends "
        "on it, run it again with --engine auto, which samples the models themselves."
    ),
    "unchecked": (
        "This is a variational approximation of which nothing could be checked. Run it again with --engine "
        "auto, which samples the models themselves."
    ),
    "doubtful": (
        "Do not build on single numbers yet. Run it again with --engine gibbs and another --seed, compare "
        "the two reports, and read correlated variables as the sets below, not one by one."
    ),
    "wrong": (
        "The numbers contradict one another and should not be used. Run it again with --engine auto or "
        "gibbs; where that was the engine, take out variables that say nearly the same."
    ),
}
_NAMES = {"df": "number of degrees of freedom", "noise_variance": "scale σ"}
_LAPLACE = "The evidence of each model is that of Laplace's method, checked by importance sampling. "


@dataclass(frozen=True)
class SetOfVariables:
    """Variables that stand for one another.

    Attributes:
        number: As in the table.
        members: Names, the most probable first.
        probability: That at least one of them matters.
        purity: Smallest absolute correlation between two of them.
    """

    number: int
    members: list[str]
    probability: float
    purity: float


def describe_model(
    likelihood: Likelihood, data: FormulaData, posterior: SelectionPosterior, parameters: dict[str, Any]
) -> dict[str, Any]:
    """Kind of regression, formulas (as HTML) and sentences on priors and scales.

    Args:
        likelihood: Law of the response.
        data: What the formula made of the table.
        posterior: What the engine found.
        parameters: Arguments of the estimator.
    """
    from markupsafe import Markup, escape

    prior = posterior.problem.prior
    count = posterior.problem.num_groups
    if prior.beta is None:
        odds = prior.inclusion(count)
        gate = f"z<sub>g</sub> ~ Bernoulli({float(odds[0]):.4g})"
        expects = f"{float(odds.sum()):.3g} of {count} variables are expected to matter"
    else:
        a, b = prior.beta
        gate = f"z<sub>g</sub> ~ Bernoulli(π), π ~ Beta({a:g}, {b:g})"
        expects = (
            f"{count * _mean_of_beta(a, b):.3g} of {count} variables are expected to matter, give or take"
        )
        expects += f" {_beta_binomial_sd(a, b, count):.2g}"
    if prior.restriction is not None:
        expects = f"{float(prior.inclusion(count).sum()):.3g} of {count} variables are expected to matter"
    slabs = _slabs(posterior.problem)
    intercept = data.intercept and likelihood.takes_intercept
    alpha = "α + " if intercept else ""
    event = _classes(data)[1] if likelihood.has_classes else "1"
    formulas = [
        likelihood.words.html(str(escape(event))),
        f"η<sub>i</sub> = {alpha}Σ<sub>j</sub> z<sub>g(j)</sub> θ<sub>j</sub> x<sub>ij</sub>",
        gate,
        *slabs,
    ]
    sentences = [
        "Every variable has a gate z: open, it is in the model with an effect of its own; shut, its effect "
        "is exactly 0. The posterior inclusion probability (PIP) is the probability, given the data, that "
        "the gate is open.",
        f"Before the data are seen, {expects}.",
    ]
    shared = [name for name in data.gates if data.groups.count(name) > 1]
    if shared:
        sentences.append(
            "All columns of a factor or spline share a gate, and are in or out together: "
            + ", ".join(f"{name} ({data.groups.count(name)} columns)" for name in shared[:12])
            + (", ..." if len(shared) > 12 else "")
            + "."
        )
    sentences += describe_coding(data)
    sentences += _restricted(prior.restriction, data.gates)
    if intercept:
        sentences.append("The intercept α has no gate: it is always in.")
    for option, value in likelihood.settings.items():
        if isinstance(value, float) and not likelihood.conjugate:
            sentences.append(f"The likelihood's {option} is {value:g}.")
    sentences += [f"The likelihood's {one} is learned with the model." for one in _learned(posterior.problem)]
    sentences += data.row_columns.words
    of_event = f" of {event}" if likelihood.has_classes else ""
    sentences.append(
        f"An effect is the change of {likelihood.words.effects}{of_event} per unit of a variable."
    )
    sentences.append(_standardised(likelihood, data, parameters))
    return {
        "kind": likelihood.words.kind,
        "formulas": [Markup(text) for text in formulas],
        "sentences": sentences,
    }


@singledispatch
def _learned(problem: SelectionProblem) -> list[str]:
    """Numbers of the likelihood that are integrated out, as one reads them."""
    return []


@_learned.register
def _(problem: LearnedProblem) -> list[str]:
    return [_NAMES.get(one.name, one.name) for one in problem.scalars]


def _restricted(restriction: GateRestriction | None, names: list[str]) -> list[str]:
    """Which models have no prior probability."""
    if restriction is None:
        return []
    sentences = []
    always = [name for name, one in zip(names, restriction.always.tolist(), strict=True) if one]
    if always:
        sentences.append(f"In every model: {', '.join(always)}. The prior above is of the other variables.")
    if any(restriction.parents):
        needs = "all of them" if restriction.heredity == "strong" else "one of them"
        sentences.append(
            f"Heredity is {restriction.heredity}: a product or power is in a model only beside the terms it "
            f"is made of, {needs}. Models without have no prior probability; the others have the prior above "
            "in proportion."
        )
    return sentences


def _normal_slabs(problem: SelectionProblem, unit: str = "") -> str:
    scale = sorted({round(float(value), 10) for value in problem.slab_scale})
    size = f"{scale[0]:.4g}²" if len(scale) == 1 else "s<sub>j</sub>²"
    return f"θ<sub>j</sub> ~ N(0, {size}{unit})"


@singledispatch
def _slabs(problem: SelectionProblem) -> list[str]:
    """Formulas of the slabs and of the noise, if there is one."""
    return [_normal_slabs(problem)]


@_slabs.register
def _(problem: GaussianProblem) -> list[str]:
    prior = problem.noise_prior
    if prior is None:
        formula = f"σ = {math.sqrt(problem.noise_variance):g}"
    else:
        formula = f"σ² ~ {prior.words}" if prior.is_proper else "p(σ²) ∝ 1/σ² (Jeffreys' prior)"
    return [_normal_slabs(problem, " σ²" if problem.slab_scaled_by_noise else ""), formula]


@_slabs.register
def _(problem: LearnedSlabProblem) -> list[str]:
    unit = " σ²" if problem.slab_scaled_by_noise else ""
    _, noise = _slabs(problem.given)
    return [f"θ<sub>j</sub> ~ N(0, s²{unit})", problem.slab_law.words, noise]


@_slabs.register
def _(problem: ZellnerProblem) -> list[str]:
    return [
        "θ<sub>z</sub> ~ N(0, g σ² (X<sub>z</sub>′X<sub>z</sub>)<sup>−1</sup>), of the open gates together",
        problem.slab.words(problem.setting),
        f"p({'α, ' if problem.num_unpenalised else ''}σ²) ∝ 1/σ²",
    ]


def _standardised(likelihood: Likelihood, data: FormulaData, parameters: dict[str, Any]) -> str:
    if not parameters.get("standardize", True):
        return "Nothing was standardised: priors are in the units of the data."
    how = "centred and divided by" if data.intercept else "divided by"
    which = (
        "Columns (dummies too) and the response were"
        if likelihood.has_noise
        else "Columns (dummies too) were"
    )
    return (
        f"{which} {how} their standard deviation before the fit, and the priors above are in those units; "
        "every number in the tables is back in the units of the data."
    )


def _mean_of_beta(a: float, b: float) -> float:
    """Also where the sum of both would be infinite."""
    largest = max(a, b)
    return (a / largest) / (a / largest + b / largest)


def _beta_binomial_sd(a: float, b: float, count: int) -> float:
    mean = _mean_of_beta(a, b)
    rest = _mean_of_beta(b, a)  # 1 - mean, to all its digits
    # (a + b + count) / (a + b + 1), without a square of the sum
    spread = 1.0 + (count - 1) / (a + b + 1.0)
    return math.sqrt(count * mean * rest * spread)


def _classes(data: FormulaData) -> list[str]:
    return [str(value) for value in np.unique(data.y.to_numpy())]


def advice_on(trust: Trust, posterior: SelectionPosterior) -> str:
    """What to do about a verdict.

    Args:
        trust: The verdict.
        posterior: What it is on.
    """
    if trust.contradiction is not None:
        return (
            "More computation does not help: the numbers are right for a likelihood that is wrong for these "
            "data, and noise may pass for effects. Choose another one (--likelihood), or change the response."
        )
    if trust.verdict == "exact" and posterior.diagnostics.evidence == "laplace":
        return _LAPLACE + _ADVICE["exact"]
    return _ADVICE[trust.verdict]


def describe_sets(posterior: SelectionPosterior, names: list[str]) -> list[SetOfVariables]:
    """Sets of several variables: at least one of them matters, and the data do not distinguish which.

    Args:
        posterior: What the engine found.
        names: Names of the gates.
    """
    return [
        SetOfVariables(number, [names[gate] for gate in one.gates], one.probability, one.purity)
        for number, one in enumerate(credible_sets(posterior), start=1)
        if len(one.gates) > 1
    ]
