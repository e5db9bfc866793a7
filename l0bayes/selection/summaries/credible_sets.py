r"""Credible sets: groups of correlated columns that carry the same signal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.selection.problem.selection_posterior import SelectionPosterior

__all__ = ["CredibleSet", "credible_sets", "gate_correlations"]

# Gates with a smaller PIP are in no set.
_FLOOR = 0.005


@dataclass(frozen=True)
class CredibleSet:
    r"""Gates at least one of which is open, almost surely.

    Attributes:
        gates: Their numbers, the most probable first.
        probability: :math:`P(\gamma_g = 1 \text{ for some } g \text{ of the set} \mid D)`.
        purity: Smallest absolute correlation between two of them; 1 for a set of one.
    """

    gates: tuple[int, ...]
    probability: float
    purity: float


def gate_correlations(posterior: SelectionPosterior) -> Tensor:
    """Largest absolute correlation between a column of one gate and one of another, shape ``(G, G)``.

    Args:
        posterior: The posterior from an engine.
    """
    problem = posterior.problem
    weights = (problem.weights / problem.weights.sum())[:, None]
    # With an intercept, correlations are those of centred columns.
    middle = (weights * problem.x).sum(0) if problem.num_unpenalised else 0.0
    columns = (problem.x - middle) * weights.sqrt()
    columns = columns / columns.norm(dim=0).clamp(min=1e-300)
    correlations: Tensor = (columns.T @ columns).abs().clamp(max=1.0)
    count = problem.num_groups
    if count == problem.num_columns:
        order = torch.argsort(problem.groups)
        ordered: Tensor = correlations[order][:, order]
        return ordered
    across = correlations.new_zeros(count, problem.num_columns)
    index = problem.groups[:, None].expand_as(correlations)
    across.scatter_reduce_(0, index, correlations, "amax")
    result: Tensor = correlations.new_zeros(count, count)
    result.scatter_reduce_(1, problem.groups.expand(count, -1), across, "amax")
    return result


@torch.no_grad()
def credible_sets(
    posterior: SelectionPosterior, *, coverage: float = 0.95, min_correlation: float = 0.5
) -> list[CredibleSet]:
    r"""Sets of gates that share a signal.

    Two columns that are nearly the same have a PIP of about one half each while it is certain that one of
    the two matters. A credible set S is a set of gates with

    1. :math:`P(\gamma_g = 1 \text{ for some } g \in S \mid D) \ge` ``coverage``, which fails if a member is
       removed;
    2. columns that are correlated with one another, :math:`|r| >` ``min_correlation`` for every pair;
    3. gates that exclude one another: for every pair
       :math:`P(\gamma_g \gamma_h = 1 \mid D) < P(\gamma_g = 1 \mid D)\,P(\gamma_h = 1 \mid D)`.

    No gate is in two sets; a gate that is certain by itself is a set of one. Sets are built one after the
    other: each starts with the most probable remaining gate, and the gate that raises the probability most is
    added until the coverage is reached. The idea is that of the single effects of Wang et al. 2020 (SuSiE),
    here computed from a sample of models.

    Args:
        posterior: The posterior from an engine.
        coverage: Least probability that one of the set is open, strictly between 0 and 1.
        min_correlation: Least absolute correlation, from 0 to 1.

    Raises:
        ValueError: If a number is out of range.
    """
    validate.inside("(0, 1)", coverage=coverage)
    if not 0.0 <= min_correlation < 1.0:
        raise ValueError(f"min_correlation must be at least 0 and below 1, got {min_correlation!r}")
    pip, draws = posterior.pip, posterior.draws
    candidates = (pip > _FLOOR).nonzero()[:, 0]
    order = candidates[torch.argsort(pip[candidates], descending=True, stable=True)].tolist()
    if not order:
        return []
    correlations = gate_correlations(posterior)
    joint = posterior.joint
    alike = (correlations > min_correlation) & (joint < pip[:, None] * pip)
    weights = draws.weights / draws.weights.sum()
    found: list[CredibleSet] = []
    free = set(order)
    for seed in order:
        if seed not in free:
            continue
        members = _grow(seed, [g for g in order if g in free], alike, draws.gates, weights, pip, coverage)
        if members is None:
            continue
        free -= set(members)
        purity = correlations[members][:, members].fill_diagonal_(1.0).min()
        probability = _some_open(members, draws.gates, weights, pip)
        found.append(CredibleSet(tuple(members), probability, float(purity)))
    return found


def _grow(
    seed: int,
    free: list[int],
    alike: Tensor,
    gates: Tensor,
    weights: Tensor,
    pip: Tensor,
    coverage: float,
) -> list[int] | None:
    """The set that starts with a gate; ``None`` if it does not reach the coverage."""
    members = [seed]
    while _some_open(members, gates, weights, pip) < coverage:
        nobody = (gates[:, members] == 0).all(1)
        partners = [g for g in free if g not in members and bool(alike[g, members].all())]
        if not partners:
            return None
        gains = (weights[nobody, None] * gates[nobody][:, partners]).sum(0)
        if not float(gains.max()) > 0.0:
            return None
        members.append(partners[int(gains.argmax())])
    for member in sorted(members, key=lambda g: float(pip[g])):
        rest = [g for g in members if g != member]
        if rest and _some_open(rest, gates, weights, pip) >= coverage:
            members = rest
    return sorted(members, key=lambda g: -float(pip[g]))


def _some_open(members: list[int], gates: Tensor, weights: Tensor, pip: Tensor) -> float:
    """Probability that at least one of them is open; of a single gate its PIP, which is more accurate."""
    if len(members) == 1:
        return float(pip[members[0]])
    return min(1.0, float(weights[(gates[:, members] > 0).any(1)].sum()))
