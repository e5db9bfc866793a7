r"""What a run with a cut is made of, checked before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.guide_abilities import DirectGuide, GuideAbilities
from l0bayes.infer.model_abilities import ModelAbilities, ShrinkableModel
from l0bayes.infer.objectives.elbo import BoundELBO, MeanFieldELBO
from l0bayes.infer.objectives.pair_traces import PairTraces
from l0bayes.infer.shrink.direct_elbo import DirectELBO
from l0bayes.infer.shrink.search_elbo import SearchELBO
from l0bayes.infer.shrink.search_steering import SearchSteering
from l0bayes.infer.shrink.shrinking import Shrinking
from l0bayes.infer.targets.kept_gates import gates_left, kept_gates
from l0bayes.infer.targets.observations import num_observations
from l0bayes.infer.targets.rank_decision import reason_not_decided
from l0bayes.infer.targets.target import Target

__all__ = ["check_shrinkable", "shrinking_run"]

# Parts of a run without a target after which gates that have closed for good are looked for.
_WITHOUT_TARGET = (0.25, 0.5, 0.75)


def shrinking_run(
    elbo: MeanFieldELBO,
    model: Any,
    guide: Any,
    traces: PairTraces,
    batch: tuple[Any, ...],
    keywords: Mapping[str, Any],
    *,
    target: Target | None,
    round_to: int | None,
    search: int,
    gate_rate: float,
    steps: int,
    auto: bool,
    optimizer_of: Callable[[BoundELBO], Optimizer],
) -> tuple[BoundELBO, Callback | None, Callback]:
    """The objective of the search, and the callbacks that steer and cut it.

    Args:
        elbo: The objective.
        model: The model.
        guide: Its guide.
        traces: One run of guide and model.
        batch: Model arguments.
        keywords: Keyword arguments of model and guide.
        target: The target; ``None`` where gate priors alone shut gates.
        round_to: What numbers of units are to be multiples of.
        search: Number of steps before a network with a target is cut.
        gate_rate: Learning rate of the gates, in logits.
        steps: Number of steps of the run.
        auto: Whether steps of the network that was cut are captured where that pays.
        optimizer_of: Makes the optimiser of an objective.

    Returns:
        The objective, what steers it towards a target, and what cuts it.

    Raises:
        ValueError: If model, guide or objective cannot be cut.
    """
    if target is not None and target.schedule is not None:
        raise ValueError("a Target with a schedule goes without shrink=True, whose search has its own")
    able, given = check_shrinkable(elbo, model, guide)
    sites = [
        name
        for name, site in traces.model.nodes.items()
        if site["type"] == "sample" and not site["is_observed"]
    ]
    _check_sites(guide, sites)
    if target is None:
        objective: DirectELBO = DirectELBO(able, given, elbo, sites, keywords)
        several = [round(part * steps) for part in _WITHOUT_TARGET if 0 < round(part * steps) < steps]
        cuts = Shrinking(several, gates_left, False, optimizer_of, batch)
        return objective, None, cuts
    objective = SearchELBO(
        able,
        given,
        elbo,
        sites,
        target=target,
        steps=search,
        observations=num_observations(traces),
        gate_rate=gate_rate,
        data_sites=ModelAbilities(model).data_sites,
        keywords=keywords,
    )

    def choose(model: Any, guide: Any) -> dict[str, Tensor]:
        return kept_gates(model, guide, target, round_to)

    steering = SearchSteering(objective, ModelAbilities(model))
    return objective, steering, Shrinking([search], choose, True, optimizer_of, batch, auto)


def check_shrinkable(elbo: MeanFieldELBO, model: Any, guide: Any) -> tuple[ShrinkableModel, DirectGuide]:
    """The model and its guide, as what can be cut.

    Args:
        elbo: The objective.
        model: The model.
        guide: Its guide.

    Raises:
        ValueError: If model, guide or objective cannot be cut, with the reason.
    """
    able, guide_able = ModelAbilities(model).shrinkable, GuideAbilities(guide)
    if able is None:
        raise ValueError(
            f"shrink=True needs a model that can be cut, such as SparseNetwork; got {type(model).__name__}"
        )
    if (reason := able.reason_not_cut()) is not None:
        raise ValueError(f"shrink=True: {reason}")
    direct = guide_able.direct
    if direct is None or guide_able.cut is None or guide_able.decide is None or not elbo.independent_gates:
        raise ValueError(
            f"shrink=True needs a guide of independent gates that can be cut, such as AutoHardConcrete; "
            f"got {type(guide).__name__}"
        )
    gates = direct.gates()
    if not gates:
        raise ValueError(f"shrink=True is given, but {type(guide).__name__} has no gates")
    for site, law in gates.items():
        if not law.has_rsample:
            raise ValueError(
                f"shrink=True needs gates whose draws carry a gradient; those of {site!r} follow "
                f"{type(law).__name__}. Take AutoHardConcrete"
            )
    if (reason := reason_not_decided(guide)) is not None:
        raise ValueError(f"shrink=True: {reason}. Take AutoHardConcrete")
    return able, direct


def _check_sites(guide: Any, sites: list[str]) -> None:
    gates = guide.gates()
    for site in sites:
        if site not in gates and not site.endswith(".slab"):
            raise ValueError(
                f"shrink=True: the model has a latent site {site!r} that is neither gate nor slab, which is "
                "not taken along; give it a value"
            )
