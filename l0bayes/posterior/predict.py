r"""Predictions averaged over the posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import pyro
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from l0bayes import validate
from l0bayes.distributions import DeploymentRule
from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.loop.fit_result import Fit
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.latent_draws import Given, draw_latents, map_draws
from l0bayes.infer.objectives.reading_mode import reading_mode
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.row_parts import num_rows, parts_of_rows
from l0bayes.infer.whole_plates import whole_plates
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name, names, registered

__all__ = ["PredictionKind", "predict", "predict_probabilities"]

PredictionKind = Literal["posterior", "mean", "deployed"]


def predict(
    model: Any,
    guide: Any,
    data: Any,
    *,
    kwargs: Mapping[str, Any] | None = None,
    num_draws: int = 100,
    seed: int = 0,
    chunk_size: int | None = 25,
) -> Tensor:
    """What the model returns for draws from the guide: linear predictors, logits, means.

    A model that is a module runs in eval mode, and is left in the mode it was in. Values of ``pyro.param``
    are those in Pyro's parameter store. A plate that draws a part of its rows holds all of them where the
    model runs so; where it is its arguments that are a part, it runs with them.

    Args:
        model: A Pyro model that returns a tensor.
        guide: Its guide.
        data: The model's positional arguments, new inputs among them; responses may be left out.
        kwargs: Its keyword arguments.
        num_draws: Number of draws S.
        seed: Seed of the draws.
        chunk_size: Draws computed at a time, to bound memory; ``None`` for all.

    Returns:
        The model's return values with a leading dimension of size S.

    Raises:
        ValueError: If ``num_draws`` is not positive.
        TypeError: If the model returns no tensor.

    Example::

        effects = predict(model, guide, (x,)).quantile(torch.tensor([0.05, 0.95]), dim=0)
    """
    arguments = ModelArguments.of(data, kwargs)
    latents = draw_latents(guide, arguments, num_draws, seed)
    with reading_mode(model, guide, whole=_runs_whole(model, arguments, latents)):
        return _run(model, arguments, latents, seed, chunk_size)


def predict_probabilities(
    fit: Fit | tuple[Any, Any],
    x: Any,
    *,
    kwargs: Mapping[str, Any] | None = None,
    how: PredictionKind = "posterior",
    num_draws: int = 100,
    seed: int = 0,
    rule: DeploymentRule = "median",
    likelihood: str | Likelihood | None = None,
    batch_size: int = 256,
    chunk_size: int = 10,
) -> Tensor:
    r"""Class probabilities of new inputs, from the posterior, its mean, or the deployed network.

    =============  ================================================================================
    ``how``        probabilities
    =============  ================================================================================
    ``posterior``  :math:`\tfrac1S \sum_s p(y \mid x, z_s, \theta_s)`, the posterior predictive: an
                   average of probabilities, not of logits
    ``mean``       :math:`p(y \mid x, E[z], E[\theta \mid z \ne 0])`, one pass; latents without a
                   closed mean take their median
    ``deployed``   what ``deploy(guide, rule)`` computes: the small plain network
    =============  ================================================================================

    A model that is a module runs in eval mode, and is left in the mode it was in. Neither ``batch_size`` nor
    ``chunk_size`` changes the draws, which are the same for every row.

    Args:
        fit: A fit, whose best run is taken, or a pair of a Pyro model and its guide. ``model(x)``
            returns logits, and its latents stand outside the plate of the rows.
        x: Inputs of shape (n, ...); several as a tuple, or a dictionary by name.
        kwargs: The model's keyword arguments; default: those of the fit.
        how: One of the above.
        num_draws: Number of draws S, for ``"posterior"``.
        seed: Seed of the draws.
        rule: Deployment rule, for ``"deployed"``.
        likelihood: ``"categorical"`` for a softmax over the last dimension, ``"bernoulli"`` for the
            probability of 1 of each logit, or another likelihood of classes; default ``model.likelihood``.
        batch_size: Rows computed at a time, to bound memory.
        chunk_size: Draws computed at a time, to bound memory.

    Returns:
        Probabilities of shape (n, classes); for ``"bernoulli"`` of the logits' shape.

    Raises:
        ValueError: If an argument is not one of the accepted values, or ``x`` has no rows.
        TypeError: If the model cannot be deployed, or the guide has no means, where that is asked for.

    Example::

        scores = prediction_scores(predict_probabilities(fit, x), y)
    """
    model, guide = (fit.model, fit.guide) if isinstance(fit, Fit) else fit
    if kwargs is None:
        kwargs = fit.kwargs if isinstance(fit, Fit) else {}
    validate.one_of(get_args(PredictionKind), how=how)
    validate.at_least(1, num_draws=num_draws, batch_size=batch_size, chunk_size=chunk_size)
    if not num_rows((x,)):
        raise ValueError(f"x must have at least one row, got shape {tuple(getattr(x, 'shape', ()))}")
    link = _link(model, likelihood)
    parts = [part for (part,) in parts_of_rows((x,), batch_size)]
    batches = [ModelArguments((part,), kwargs) for part in parts]
    if how == "deployed":
        return _deployed(model, guide, parts, rule, seed, link)
    if how == "mean":
        means = {name: value[None] for name, value in _means(guide).items()}
        return torch.cat([link(_run(model, batch, means, seed)[0]) for batch in batches])
    # A seed for every draw, so that draws do not depend on how many are made at a time.
    seeds = torch.randint(2**62, (num_draws,), generator=torch.Generator().manual_seed(seed))
    totals: list[Tensor | float] = [0.0] * len(batches)
    for chunk in seeds.split(chunk_size):
        draws = [draw_latents(guide, batches[0], 1, int(one)) for one in chunk]
        latents = {name: torch.cat([draw[name] for draw in draws]) for name in draws[0]}
        for index, batch in enumerate(batches):
            totals[index] = totals[index] + link(_run(model, batch, latents, seed)).sum(0)
    return torch.cat([torch.as_tensor(total) / num_draws for total in totals])


@torch.no_grad()
def _runs_whole(model: Any, arguments: ModelArguments, latents: dict[str, Tensor]) -> bool:
    """Whether plates draw a part of their rows, and the model runs with all of them."""
    first = {name: value[0] for name, value in latents.items()}
    quiet, mode = pyro.validation_enabled(False), reading_mode(model, whole=False)
    with quiet, private_randomness(), mode, evaluating(model), whole_plates() as widened, Given(first):
        try:
            arguments.call(model)
        except (ValueError, RuntimeError, IndexError):  # it is run again as it is, and then says the same
            return False
    return bool(widened)


def _run(
    model: Any,
    arguments: ModelArguments,
    latents: dict[str, Tensor],
    seed: int,
    chunk_size: int | None = None,
) -> Tensor:
    def one(values: dict[str, Tensor]) -> dict[str, Tensor]:
        with Given(values):
            value = arguments.call(model)
        if not isinstance(value, Tensor):
            raise TypeError(
                f"model must return a tensor, what is to be predicted; it returned {_in_words(value)}. Let "
                "it return its linear predictor, or the value of its observed site"
            )
        return {"value": value}

    # The fused kernels of attention cannot be batched over draws; the plain one can.
    mode = reading_mode(model, whole=False)
    with torch.no_grad(), mode, evaluating(model), sdpa_kernel(SDPBackend.MATH):
        return map_draws(one, latents, seed, chunk_size)["value"]


def _in_words(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _link(model: Any, likelihood: str | Likelihood | None) -> Callable[[Tensor], Tensor]:
    given = likelihood or ModelAbilities(model).likelihood
    found = likelihood_by_name(given) if isinstance(given, str) and given in names() else given
    if isinstance(found, Likelihood) and found.has_classes:
        return found.inverse_link
    source = "likelihood" if likelihood else "the model's likelihood"
    classes = [name for name in names() if registered(name).has_classes]
    name = found.name if isinstance(found, Likelihood) else given
    raise ValueError(
        f"{source} must be one of {', '.join(classes)} to have class probabilities, got {name!r}"
    )


@torch.no_grad()
def _means(guide: Any) -> dict[str, Tensor]:
    laws = GuideAbilities(guide).laws
    if laws is None:
        raise TypeError(
            f"how='mean' needs a guide with laws(), as the gate guides are; got {type(guide).__name__}"
        )
    medians, means = guide.median(), {}
    for name, law in laws().items():
        try:
            means[name] = law.mean.detach()
        except NotImplementedError:  # a Normal pushed through a bijection
            means[name] = medians[name]
    return means


@torch.no_grad()
def _deployed(
    model: Any,
    guide: Any,
    batches: list[Any],
    rule: DeploymentRule,
    seed: int,
    link: Callable[[Tensor], Tensor],
) -> Tensor:
    deploy = ModelAbilities(model).deploy
    if deploy is None:
        raise TypeError(f"how='deployed' needs a model with deploy(), got {type(model).__name__}")
    with private_randomness(seed):  # the rule may be one draw
        net = deploy(guide, rule).eval()
    run = ModelAbilities(model).run_deployed
    return torch.cat([link(net(batch) if run is None else run(net, batch)) for batch in batches])
