"""Binary gates."""

import math

import mpmath
import pytest
import torch
from hypothesis import strategies as st
from torch.distributions import kl_divergence

from l0bayes.distributions import BernoulliGate, BinaryConcrete, HardConcrete
from l0bayes.testing.gate_law_case import close
from l0bayes.testing.gate_law_suite import GateLawSuite
from tests.distributions.references import BernoulliReference, HardConcreteReference


class TestBernoulliGate(GateLawSuite):
    law = BernoulliGate
    cases = [{"logits": logits} for logits in (0.3, -6.0, -0.5, 4.0)]
    extreme_cases = [{"logits": 50.0}, {"logits": -50.0}]
    parameters = {"logits": st.floats(-20.0, 20.0)}
    has_interior = False

    def reference(self, logits: float) -> BernoulliReference:
        return BernoulliReference(logits)

    def exact_active(self, logits: float) -> mpmath.mpf:
        return 1 / (1 + mpmath.exp(-mpmath.mpf(logits)))


def test_support_is_enumerated_with_the_batch_shape() -> None:
    law = BernoulliGate(torch.zeros(3, 1, dtype=torch.float64))
    assert law.enumerate_support().shape == (2, 3, 1)
    assert law.enumerate_support(expand=False).shape == (2, 1, 1)
    assert law.enumerate_support(expand=False).flatten().tolist() == [0.0, 1.0]
    assert law.enumerate_support().dtype == torch.float64
    close(law.log_prob(law.enumerate_support()).exp().sum(0), torch.ones(3, 1).numpy(), 1e-15)


def test_entropy_and_own_kl_are_finite_sums() -> None:
    q, p = BernoulliGate(torch.tensor(0.75).double()), BernoulliGate(torch.tensor(-1.25).double())
    values = torch.tensor([0.0, 1.0]).double()
    log_q, log_p = q.log_prob(values), p.log_prob(values)
    close(q.entropy(), -(log_q.exp() * log_q).sum().item(), 1e-14)
    close(kl_divergence(q, p), (log_q.exp() * (log_q - log_p)).sum().item(), 1e-14)


@pytest.mark.parametrize("logits", [-50.0, -2.0, 0.4, 50.0])
@pytest.mark.parametrize(
    "prior", [{"log_alpha": -1.0, "temperature": 0.5}, {"log_alpha": 3.0, "temperature": 2.0}]
)
def test_kl_to_hard_concrete_is_the_sum_over_the_atoms(logits: float, prior: dict[str, float]) -> None:
    q, p = BernoulliReference(logits), HardConcreteReference(**prior)
    atoms = [(q.zero, p.zero), (q.one, p.one)]
    wanted = math.fsum(mine * math.log(mine / theirs) for mine, theirs in atoms)
    law = HardConcrete(torch.tensor(prior["log_alpha"], dtype=torch.float64), prior["temperature"])
    close(kl_divergence(BernoulliGate(torch.tensor(logits, dtype=torch.float64)), law), wanted, 1e-13)


def test_kl_to_hard_concrete_broadcasts_and_differentiates() -> None:
    logits = torch.tensor([[-50.0], [0.0], [50.0]], requires_grad=True)
    kl = kl_divergence(BernoulliGate(logits), HardConcrete(torch.zeros(2)))
    assert kl.shape == (3, 2)
    (gradient,) = torch.autograd.grad(kl.sum(), logits)
    assert torch.isfinite(gradient).all()


def test_a_kl_that_is_infinite_or_unknown_is_not_offered() -> None:
    """A law with an interior against a law without has infinite KL; it must not be a number."""
    with pytest.raises(NotImplementedError):
        kl_divergence(HardConcrete(torch.zeros(())), BernoulliGate(torch.zeros(())))
    with pytest.raises(NotImplementedError):
        kl_divergence(BinaryConcrete(torch.zeros(())), HardConcrete(torch.zeros(())))
    with pytest.raises(NotImplementedError, match="BinaryConcrete, which has no atoms: it is infinite"):
        kl_divergence(BernoulliGate(torch.zeros(())), BinaryConcrete(torch.zeros(())))


def test_numbers_and_integers_become_floats() -> None:
    assert BernoulliGate(0).logits.dtype == torch.get_default_dtype()
    assert BernoulliGate(torch.tensor([0, 1])).sample().dtype == torch.get_default_dtype()


def test_median_of_a_fair_gate_is_shut() -> None:
    assert BernoulliGate(torch.zeros(())).median == 0.0
    assert BernoulliGate(torch.tensor(1e-6)).median == 1.0
