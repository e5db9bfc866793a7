"""From a gate's law to its one deployed value."""

import pytest
import torch

from l0bayes.distributions import (
    BernoulliGate,
    BinaryConcrete,
    DeploymentRule,
    GateLaw,
    HardConcrete,
    deployed_gates,
)
from l0bayes.testing.gate_law_case import close
from tests.distributions.references import BinaryConcreteReference, HardConcreteReference

LOG_ALPHA = torch.tensor([-6.0, -2.5, -2.0, -1.2, -0.5, 0.5, 3.0, 8.0], dtype=torch.float64)
LAWS: list[GateLaw] = [HardConcrete(LOG_ALPHA), BinaryConcrete(LOG_ALPHA), BernoulliGate(LOG_ALPHA)]
RULES: list[DeploymentRule] = ["median", "mean", "eq13", "sample", "top_k"]
by_law = pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)


@by_law
@pytest.mark.parametrize("rule", RULES)
def test_values_are_gates_of_the_batch_shape(law: GateLaw, rule: DeploymentRule) -> None:
    law = law.expand((3, 8))
    torch.manual_seed(0)
    gates = deployed_gates(law, rule)
    assert gates.shape == (3, 8)
    assert gates.dtype == torch.float64
    assert ((gates >= 0) & (gates <= 1)).all()


@by_law
def test_median_is_open_where_the_gate_is_more_likely_open(law: GateLaw) -> None:
    gates = deployed_gates(law)
    assert torch.equal(gates > 0, law.activity_logits > 0)
    assert torch.equal(gates[gates > 0], law.median[gates > 0])


@by_law
def test_mean_is_shut_nowhere(law: GateLaw) -> None:
    gates = deployed_gates(law, "mean")
    assert (gates > 0).all()
    assert torch.equal(gates, law.mean)


def test_eq13_is_the_papers() -> None:
    """clip(sigmoid(log alpha) (zeta - gamma) + gamma), which still opens at log alpha = -2."""
    wanted = (torch.sigmoid(LOG_ALPHA) * 1.2 - 0.1).clamp(0, 1)
    gates = deployed_gates(HardConcrete(LOG_ALPHA), "eq13")
    close(gates, wanted.numpy(), 1e-15)
    assert (gates > 0).tolist() == [False, False, True, True, True, True, True, True]
    assert (deployed_gates(HardConcrete(LOG_ALPHA)) > 0).sum() < (gates > 0).sum()


def test_eq13_of_the_unstretched_laws() -> None:
    wanted = torch.where(LOG_ALPHA > 0, torch.sigmoid(LOG_ALPHA), 0.0)
    close(deployed_gates(BinaryConcrete(LOG_ALPHA), "eq13"), wanted.numpy(), 1e-15)
    close(deployed_gates(BernoulliGate(LOG_ALPHA), "eq13"), (LOG_ALPHA > 0).double().numpy(), 1e-15)


@by_law
def test_sample_is_one_draw_with_inactive_values_shut(law: GateLaw) -> None:
    torch.manual_seed(4)
    gates = deployed_gates(law, "sample")
    torch.manual_seed(4)
    draw = law.sample()
    assert torch.equal(gates, torch.where(draw > law.activity_threshold, draw, 0.0))


@by_law
def test_top_k_has_the_expected_size(law: GateLaw) -> None:
    gates = deployed_gates(law, "top_k")
    k = round(law.prob_active.sum().item())
    assert 0 < k < 8
    assert (gates > 0).sum() == k
    assert (gates[-k:] > 0).all()


@pytest.mark.parametrize(
    ("law", "reference"),
    [(HardConcrete(LOG_ALPHA), HardConcreteReference), (BinaryConcrete(LOG_ALPHA), BinaryConcreteReference)],
    ids=["HardConcrete", "BinaryConcrete"],
)
def test_top_k_opens_to_the_mean_of_an_open_gate(law: GateLaw, reference: type) -> None:
    gates = deployed_gates(law, "top_k")
    for value, log_alpha in zip(gates[-3:], LOG_ALPHA[-3:].tolist(), strict=True):
        close(value, reference(log_alpha, 2.0 / 3.0).mean_given_active(), 1e-10)


@pytest.mark.parametrize("log_alpha", [-50.0, 50.0])
def test_top_k_of_decided_gates(log_alpha: float) -> None:
    gates = deployed_gates(HardConcrete(torch.full((4, 5), log_alpha)), "top_k")
    close(gates, torch.full((4, 5), float(log_alpha > 0)).numpy(), 1e-6)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="rule must be one of median, mean, eq13, sample, top_k; got 'mode'"):
        deployed_gates(LAWS[0], "mode")  # type: ignore[arg-type]
