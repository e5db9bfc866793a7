"""The estimators for binary gates, against exact enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from l0bayes.infer import RLOO, DisARM, GateGradient

LOGITS = torch.tensor([-2.5, -0.4, 0.0, 0.7, 3.0], dtype=torch.float64)
ESTIMATORS = [DisARM(), RLOO(), RLOO(5)]


def curved(z: Tensor) -> Tensor:
    """Neither linear nor symmetric, and it couples all gates."""
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.5], dtype=torch.float64)
    return torch.exp(0.3 * (z * weights).sum(-1)) - (z[..., 0] - 2.0 * z[..., 2]).square()


def expectation(logits: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    z = torch.tensor(list(itertools.product([0.0, 1.0], repeat=len(logits))), dtype=torch.float64)
    log_p = (
        z * torch.nn.functional.logsigmoid(logits) + (1 - z) * torch.nn.functional.logsigmoid(-logits)
    ).sum(-1)
    return (log_p.exp() * function(z)).sum()


def draws(
    estimator: GateGradient, logits: Tensor, function: Callable[[Tensor], Tensor], count: int
) -> Tensor:
    torch.manual_seed(4)
    first = torch.bernoulli(torch.sigmoid(logits).expand(count, -1))
    gates = [first, *estimator.companions(logits, first)]
    assert len(gates) == estimator.num_evaluations
    return estimator.gradient(logits, gates, [function(z)[:, None] for z in gates])


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_the_mean_is_the_exact_gradient(estimator: GateGradient) -> None:
    """Each coordinate within 4.5 standard errors: probability 3e-5 of failing by chance."""
    logits = LOGITS.clone().requires_grad_()
    (exact,) = torch.autograd.grad(expectation(logits, curved), logits)
    found = draws(estimator, LOGITS, curved, 200_000)
    error = (found.mean(0) - exact).abs() / (found.std(0) / len(found) ** 0.5)
    assert (error < 4.5).all(), error
    # and a wrong sign or a factor of two would be seen
    assert (exact.abs() > 20 * found.std(0) / len(found) ** 0.5).all()


@pytest.mark.parametrize("logit", [-3.0, -0.2, 0.0, 0.2, 3.0])
def test_companions_of_disarm_are_antithetic(logit: float) -> None:
    """z and its companion are [u < p] and [1 - u < p]: both open with probability max(0, 2p - 1)."""
    logits = torch.full((400_000,), logit, dtype=torch.float64)
    torch.manual_seed(1)
    first = torch.bernoulli(torch.sigmoid(logits))
    (second,) = DisARM().companions(logits, first)
    p = float(torch.sigmoid(logits[0]))
    assert float(second.mean()) == pytest.approx(p, abs=0.004)  # five standard errors
    assert float((first * second).mean()) == pytest.approx(max(0.0, 2 * p - 1), abs=0.004)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("logit", [-50.0, 50.0])
def test_decided_gates_get_finite_gradients(
    estimator: GateGradient, dtype: torch.dtype, logit: float
) -> None:
    logits = torch.full((100,), logit, dtype=dtype)
    gates = [torch.bernoulli(torch.sigmoid(logits))]
    gates += estimator.companions(logits, gates[0])
    values = [torch.tensor(1e6 * index, dtype=dtype) for index in range(len(gates))]
    gradient = estimator.gradient(logits, gates, values)
    assert gradient.dtype == dtype
    assert (gradient.abs() < 1e-12).all()  # 1e6 times a probability of 2e-22


def test_a_function_that_does_not_change_has_no_gradient() -> None:
    for estimator in ESTIMATORS:
        assert (draws(estimator, LOGITS, lambda z: torch.full_like(z[..., 0], 7.0), 50) == 0).all()


@pytest.mark.parametrize("count", [1, 0, -3])
def test_rloo_needs_two(count: int) -> None:
    with pytest.raises(ValueError, match=f"num_evaluations must be at least 2, got {count}"):
        RLOO(count)
