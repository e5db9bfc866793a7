r"""Checks before any training: bad data and unusable pairs are refused by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyro
import torch
from torch import Tensor

from l0bayes.infer.argument_faults import named_arguments, not_finite
from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.loop.unobserved_model import warn_unobserved
from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.elbo import BoundELBO
from l0bayes.infer.objectives.masked_latents import check_masked_latents
from l0bayes.infer.objectives.pair_traces import PairTraces
from l0bayes.infer.randomness import private_randomness
from l0bayes.sites import refuse_hidden

__all__ = ["check_data", "preflight"]


def check_data(
    model: Callable[..., Any], data: tuple[Any, ...] | ModelArguments, *, may_be_masked: bool = False
) -> list[str]:
    """Refuse arguments that are empty or hold NaN or infinity, by the argument's name.

    Args:
        model: The model, whose signature names the arguments.
        data: Its arguments, positional or all.
        may_be_masked: Whether the model may mask what is not finite, so that it is not refused here.

    Returns:
        What is to be said of values that are not finite, unless the model masks them.

    Raises:
        ValueError: If a tensor is empty or holds a value that is not finite.
        TypeError: If the arguments do not bind to the model's signature.
    """
    complaints = []
    for name, value in named_arguments(model, ModelArguments.of(data)):
        if isinstance(value, Tensor) and value.numel() == 0:
            raise ValueError(f"{name} is empty: its shape is {tuple(value.shape)}")
        if (said := not_finite(name, value)) is not None:
            complaints.append(said)
    if complaints and not may_be_masked:
        raise ValueError(complaints[0])
    return complaints


def preflight(objective: BoundELBO, data: tuple[Any, ...], complaints: Sequence[str] = ()) -> PairTraces:
    """Run guide and model once, with Pyro's validation on, so that errors come before training.

    Guides that make their parameters when they first run, as Pyro's own do, have them afterwards.

    Args:
        objective: The ELBO with its model and guide.
        data: Model arguments.
        complaints: What :func:`check_data` has to say of values that are not finite: it is said where the
            model does not mask them, so that they reach the objective or its gradient.

    Returns:
        What the run left, for whatever else is read off model and guide before training.

    Raises:
        ValueError: If the guide does not cover the model, if model or guide use ``pyro.param`` outside
            a module, if the model masks a latent whose value it uses, or if the objective is not finite at
            the start.
        NotImplementedError: If a KL is missing.

    Warns:
        UnobservedModelWarning: If the model observes nothing.
    """
    if complaints:
        _refuse_unmasked(objective, data, complaints[0])
    store = pyro.get_param_store()
    with (
        private_randomness(),
        torch.no_grad(),
        pyro.validation_enabled(True),
        store.scope(),
        evaluating(objective),
    ):
        traces = objective.elbo.traces(objective.model, objective.guide, *data, **objective.keywords)
        terms = objective.elbo.terms_at(traces)

        def model_at(changed: dict[str, Tensor]) -> Any:
            return traces.model_at(objective.model, data, objective.keywords, changed).nodes

        refuse_hidden(traces.model.nodes)
        check_masked_latents(traces.model.nodes, traces.guide.nodes, model_at)
        owned = {id(parameter) for parameter in objective.parameters()}
        loose = sorted(name for name, value in store._params.items() if id(value) not in owned)
    if loose:
        own = GuideAbilities(objective.guide).objective
        loss = "MeanFieldELBO()" if own is None else "guide.objective()"
        raise ValueError(
            f"the parameters {loose} are made by pyro.param outside a module, where they cannot be trained "
            "by fit. Make them PyroParam attributes of a PyroModule, or train with pyro.infer.SVI and the "
            f"loss {loss}"
        )
    for what, value in (("log likelihood", terms.log_likelihood), ("KL", terms.total_kl)):
        if not torch.isfinite(torch.as_tensor(value)):
            raise ValueError(f"the {what} is {float(value)} at the start; check the data and the priors")
    warn_unobserved(traces.model.nodes)
    return traces


def _refuse_unmasked(objective: BoundELBO, data: tuple[Any, ...], complaint: str) -> None:
    """Refuse values that are not finite unless objective and gradient are, so that the model masks them."""
    quiet = pyro.validation_enabled(False)  # it would refuse a value by its support, masked or not
    with private_randomness(), torch.enable_grad(), quiet, evaluating(objective):
        loss = objective(*data)
        trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(loss, trained, allow_unused=True) if loss.requires_grad else ()
    if not all(bool(torch.isfinite(value).all()) for value in (loss, *found) if value is not None):
        raise ValueError(
            f"{complaint}, where the model does not mask them. Leave them out, or mask their site by "
            "poutine.mask or obs_mask"
        )
