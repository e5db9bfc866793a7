r"""Priors to try, of slabs, gates and noise: as they are asked for, and as engines take them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from l0bayes.estimators.arguments import inclusion_prior, positive
from l0bayes.estimators.noise_argument import check_noise, noise_prior
from l0bayes.estimators.robust_scale import refuse_jeffreys, weak_prior
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.inclusion_prior import InclusionPrior
from l0bayes.selection.problem.learned_problem import LearnedProblem
from l0bayes.selection.problem.learned_slab_problem import LearnedSlabProblem
from l0bayes.selection.problem.selection_problem import SelectionProblem
from l0bayes.selection.problem.zellner_problem import ZellnerProblem
from l0bayes.selection.slab_priors.slab_registry import slab_prior

__all__ = ["GatePrior", "Setting", "gate_priors", "settings_of"]

_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
_NOISES: tuple[Any, ...] = ("weak", "jeffreys", (2.0, 0.5))
_SLABS = (("g", "unit"), ("g", "bric"), ("hyper-g", "unit"), ("hyper-g/n", "unit"), ("jzs", "unit"))


@dataclass(frozen=True)
class Setting:
    """A prior of slabs and noise.

    Attributes:
        labels: What it is, by the name of each argument.
        problem: The problem under it.
        own: Whether it is that of the fit.
    """

    labels: dict[str, Any]
    problem: SelectionProblem
    own: bool


@dataclass(frozen=True)
class GatePrior:
    """A prior of the gates.

    Attributes:
        label: The argument ``inclusion`` in words.
        prior: As engines take it.
        own: Whether it is that of the fit.
    """

    label: str
    prior: InclusionPrior
    own: bool


def gate_priors(own: Any, given: Iterable[Any] | None, problem: SelectionProblem) -> list[GatePrior]:
    """Priors of the gates: that of the fit, and those asked for.

    Args:
        own: The argument of the fit.
        given: Arguments to try; by default 0.5, Beta(1, 1), and Beta(1, G), under which few are expected.
        problem: The problem.

    Raises:
        ValueError: If one of them is no prior.
    """
    tried = [0.5, (1.0, 1.0), (1.0, float(problem.num_groups))] if given is None else list(given)
    found: dict[str, GatePrior] = {}
    for place, value in enumerate([own, *tried]):
        made = replace(inclusion_prior(value, problem.groups), restriction=problem.prior.restriction)
        label = _gate_label(value)
        found.setdefault(label, GatePrior(label, problem.prior if not place else made, not place))
    return list(found.values())


def _gate_label(value: Any) -> str:
    if isinstance(value, tuple):
        return f"Beta({value[0]:g}, {value[1]:g})"
    return f"{float(value):g}" if torch.as_tensor(value).ndim == 0 else "by column"


@singledispatch
def settings_of(problem: SelectionProblem, arguments: dict[str, Any], asked: dict[str, Any]) -> list[Setting]:
    """Priors of slabs and noise: that of the fit first, and those asked for.

    Args:
        problem: The problem of the fit.
        arguments: Arguments of the estimator.
        asked: What to try, by the names ``slab_scale``, ``noise_prior`` and ``slab``; ``None`` for defaults.

    Raises:
        ValueError: If one is of other problems, or no prior.
    """
    _only(asked, ("slab_scale",), "this likelihood")
    return [
        Setting({"slab_scale": label}, problem.replace(slab_scale=scale), own)
        for label, scale, own in _scales(problem, arguments, asked["slab_scale"])
    ]


@settings_of.register
def _(problem: GaussianProblem, arguments: dict[str, Any], asked: dict[str, Any]) -> list[Setting]:
    _only(asked, ("slab_scale", "noise_prior"), "slab='normal'")
    if problem.noise_prior is None and asked["noise_prior"] is not None:
        raise ValueError("noise_prior is of an unknown noise, and this one is known: noise_scale was given")
    settings = []
    for label, noise, own_noise in _noises(problem, arguments, asked["noise_prior"]):
        for scale_label, scale, own_scale in _scales(problem, arguments, asked["slab_scale"]):
            try:
                changed = problem.replace(slab_scale=scale, noise=noise)
            except ValueError:
                if asked["noise_prior"] is not None:
                    raise
                continue  # Jeffreys' prior where a model fits perfectly
            labels = {"slab_scale": scale_label, "noise_prior": label}
            settings.append(Setting(labels, changed, own_noise and own_scale))
    return settings


@settings_of.register
def _(problem: LearnedSlabProblem, arguments: dict[str, Any], asked: dict[str, Any]) -> list[Setting]:
    _only(asked, ("noise_prior",), "slab_scale='learned'")
    if problem.noise_prior is None and asked["noise_prior"] is not None:
        raise ValueError("noise_prior is of an unknown noise, and this one is known: noise_scale was given")
    # Each is a run of the engine: only those that are asked for.
    noises = _noises(problem.given, arguments, asked["noise_prior"] or [])
    return [
        Setting({"slab_scale": "learned", "noise_prior": label}, problem.replace(noise=noise), own)
        for label, noise, own in noises
    ]


@settings_of.register
def _(problem: LearnedProblem, arguments: dict[str, Any], asked: dict[str, Any]) -> list[Setting]:
    noisy = any(one.name == "noise_variance" for one in problem.scalars)
    _only(asked, ("slab_scale", "noise_prior") if noisy else ("slab_scale",), "this likelihood")
    scales = _scales(problem, arguments, asked["slab_scale"])
    if not noisy or asked["noise_prior"] is None:  # each is a run of the engine: only those asked for
        return [
            Setting({"slab_scale": label}, problem.replace(slab_scale=scale), own)
            for label, scale, own in scales
        ]
    own_prior, known = arguments["noise_prior"], dict[str, Any]()
    for value in (own_prior, *asked["noise_prior"]):
        check_noise(None, value)
        refuse_jeffreys(value)
        known.setdefault(_noise_label(value), value)
    settings = []
    for label, value in known.items():
        weak = isinstance(value, str)
        made = weak_prior(problem.y - problem.offset, problem.weights) if weak else tuple(map(float, value))
        own = label == _noise_label(own_prior)
        likelihood = problem.likelihood if own else problem.likelihood.changed(noise_prior=made)
        for scale_label, scale, own_scale in scales:
            labels = {"slab_scale": scale_label, "noise_prior": label}
            changed = problem.replace(slab_scale=scale, likelihood=likelihood)
            settings.append(Setting(labels, changed, own and own_scale))
    return settings


@settings_of.register
def _(problem: ZellnerProblem, arguments: dict[str, Any], asked: dict[str, Any]) -> list[Setting]:
    _only(asked, ("slab",), f"slab={arguments['slab']!r}")
    own = (arguments["slab"], arguments["g"], arguments["rscale"])
    tried = [own, *((slab, g, None) for slab, g in _SLABS)]
    if asked["slab"] is not None:
        tried = [own, *(_slab_arguments(one) for one in asked["slab"])]
    settings: dict[str, Setting] = {}
    for place, (name, g, rscale) in enumerate(tried):
        slab = slab_prior(name, g, rscale)
        if slab is None:
            raise ValueError(
                "slab='normal' has scales of its own, and is not compared with "
                f"slab={arguments['slab']!r} here: call sensitivity() of an estimator that has it"
            )
        label = f"g={g}" if name == "g" else name if rscale is None else f"{name}, rscale={rscale:g}"
        settings.setdefault(label, Setting({"slab": label}, problem.replace(slab=slab), not place))
    return list(settings.values())


def _slab_arguments(one: Any) -> tuple[Any, Any, Any]:
    """``"jzs"``, or ``("g", "bric")``, or ``("jzs", 1.0)``."""
    if isinstance(one, str):
        return one, "unit", None
    name, value = one
    return (name, "unit", value) if name == "jzs" else (name, value, None)


def _only(asked: dict[str, Any], names: Sequence[str], of: str) -> None:
    for name, value in asked.items():
        if value is not None and name not in names:
            raise ValueError(f"{name} has no part in {of}; there is {' and '.join((*names, 'inclusion'))}")


def _scales(
    problem: SelectionProblem, arguments: dict[str, Any], given: Any
) -> list[tuple[float, Tensor, bool]]:
    """Labels and scales: those asked for, and that of the fit; multiples of it where columns differ."""
    own = arguments["slab_scale"]
    single = torch.as_tensor(own).ndim == 0
    unit = float(own) if single else 1.0
    values = [unit * share for share in _SCALES] if given is None else [float(one) for one in given]
    values = sorted({unit, *values})
    for value in values:
        positive("slab_scale", value)
    return [(value, problem.slab_scale * (value / unit), value == unit) for value in values]


def _noises(problem: GaussianProblem, arguments: dict[str, Any], given: Any) -> list[tuple[str, Any, bool]]:
    """Labels and priors of the noise: that of the fit, and those asked for."""
    if problem.noise_prior is None:
        return [("known", problem.noise, True)]
    own, found = arguments["noise_prior"], dict[str, tuple[str, Any, bool]]()
    for place, value in enumerate([own, *(_NOISES if given is None else given)]):
        check_noise(None, value)
        centred = bool(problem.num_unpenalised)
        made = noise_prior(value, problem.y, problem.weights, centred=centred)
        label = _noise_label(value)
        found.setdefault(label, (label, made if place else problem.noise, not place))
    return list(found.values())


def _noise_label(value: Any) -> str:
    return value if isinstance(value, str) else f"({float(value[0]):g}, {float(value[1]):g})"
