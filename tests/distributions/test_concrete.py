"""The binary concrete law."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch.distributions import kl_divergence

from l0bayes.distributions import BinaryConcrete, Gate
from l0bayes.testing.gate_law_case import close
from l0bayes.testing.gate_law_suite import GateLawSuite
from tests.distributions.references import BinaryConcreteReference


class TestBinaryConcrete(GateLawSuite):
    law = BinaryConcrete
    cases = [
        {"log_alpha": 0.3, "temperature": 2.0 / 3.0},
        {"log_alpha": -3.0, "temperature": 2.0 / 3.0},
        {"log_alpha": 4.0, "temperature": 1.0},
        {"log_alpha": -0.4, "temperature": 0.1},
        {"log_alpha": 1.5, "temperature": 5.0},
    ]
    extreme_cases = [
        {"log_alpha": sign * 50.0, "temperature": temperature}
        for sign in (1.0, -1.0)
        for temperature in (0.1, 2.0 / 3.0, 3.0)
    ]
    parameters = {"log_alpha": st.floats(-20.0, 20.0), "temperature": st.floats(0.1, 3.0)}
    edge = 1e-6
    has_atoms = False

    def reference(self, **case: float) -> BinaryConcreteReference:
        return BinaryConcreteReference(**case)

    def exact_active(self, log_alpha: float, temperature: float) -> mpmath.mpf:
        return 1 / (1 + mpmath.exp(-mpmath.mpf(log_alpha)))


def law_of(log_alpha: float, temperature: float) -> BinaryConcrete:
    return BinaryConcrete(torch.tensor(log_alpha, dtype=torch.float64), temperature)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("log_alpha", [-20.0, -2.0, 0.3, 5.0, 20.0])
def test_expectations_hold_at_every_temperature(log_alpha: float, temperature: float) -> None:
    law, reference = law_of(log_alpha, temperature), BinaryConcreteReference(log_alpha, temperature)
    close(law.mean, reference.mean(), 1e-12)
    close(law.variance, reference.variance(), 1e-12)
    close(law.entropy(), reference.entropy(), 1e-12)


@pytest.mark.parametrize("delta", [1e-3, 0.5, 3.0, 40.0])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
def test_kl_at_equal_temperature_in_closed_form(delta: float, temperature: float) -> None:
    """delta coth(delta / 2) - 2; mpmath, since it cancels for small delta."""
    with mpmath.workdps(40):
        d = mpmath.mpf(0.7 + delta) - mpmath.mpf(0.7)
        wanted = float(d * mpmath.coth(d / 2) - 2)
    close(kl_divergence(law_of(0.7 + delta, temperature), law_of(0.7, temperature)), wanted, 1e-13)
    close(kl_divergence(law_of(0.7, temperature), law_of(0.7 + delta, temperature)), wanted, 1e-13)


@pytest.mark.parametrize(("q_temperature", "p_temperature"), [(0.1, 3.0), (3.0, 0.1), (0.05, 2.0 / 3.0)])
@pytest.mark.parametrize(("q", "p"), [(0.0, 0.0), (1.0, -2.0), (20.0, -20.0)])
def test_kl_between_very_different_temperatures(
    q: float, p: float, q_temperature: float, p_temperature: float
) -> None:
    wanted = BinaryConcreteReference(q, q_temperature).kl(BinaryConcreteReference(p, p_temperature))
    close(kl_divergence(law_of(q, q_temperature), law_of(p, p_temperature)), wanted, 1e-11)


@pytest.mark.parametrize("dropout", [0.1, 0.2, 0.5, 0.8])
def test_tied_gate_at_one_half_is_concrete_dropouts_regulariser(dropout: float) -> None:
    """Per layer, p log p + (1 - p) log(1 - p) + log 2, p the probability of *dropping*."""
    keep = torch.tensor(math.log((1.0 - dropout) / dropout), dtype=torch.float64)
    law = BinaryConcrete(keep, temperature=0.1)
    negative_entropy = dropout * math.log(dropout) + (1 - dropout) * math.log(1 - dropout)
    close(kl_divergence(law, Gate(torch.tensor(0.5).double())), negative_entropy + math.log(2.0), 1e-14)


def test_mirror_image() -> None:
    law, mirror = law_of(1.7, 0.4), law_of(-1.7, 0.4)
    close(law.mean + mirror.mean, 1.0, 1e-14)
    close(law.variance, mirror.variance.item(), 1e-15)
    close(law.entropy(), mirror.entropy().item(), 1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_draws_rounded_to_the_ends_have_finite_scores(dtype: torch.dtype, temperature: float) -> None:
    """sigmoid(40) is 1 in either precision; there is no atom, and no gradient may be an accident."""
    log_alpha = torch.zeros(20_000, dtype=dtype, requires_grad=True)
    torch.manual_seed(5)
    law = BinaryConcrete(log_alpha, temperature)
    draws = law.rsample().detach()
    assert ((draws > 0) & (draws < 1)).all()
    if temperature < 0.1:
        assert (draws == 1 - torch.finfo(dtype).eps / 2).any()
    draws[:2] = torch.tensor([0.0, 1.0])  # read as the nearest numbers inside
    score = law.log_prob(draws)
    assert torch.isfinite(score).all()
    assert torch.isfinite(law.log_density(draws)).all()
    (gradient,) = torch.autograd.grad(score.sum(), log_alpha)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_draw_and_no_median_is_exactly_zero(dtype: torch.dtype) -> None:
    """Not even where the sigmoid underflows."""
    law = BinaryConcrete(torch.tensor([-90.0, -8.0, 8.0, 90.0], dtype=dtype), 0.01)
    torch.manual_seed(0)
    for values in (law.sample((500,)), law.median, law.icdf(torch.tensor([[0.0], [1.0]], dtype=dtype))):
        assert ((values > 0) & (values < 1)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_in_the_temperature_are_finite(dtype: torch.dtype) -> None:
    """Nodes far out in logit z round to z = 1, whose logit is infinite; no gradient may pass there."""
    temperature = torch.full((5,), 0.5, dtype=dtype, requires_grad=True)
    law = BinaryConcrete(torch.tensor([-50.0, -3.0, 0.0, 3.0, 50.0], dtype=dtype), temperature)
    ends = law.cdf(torch.zeros(5, dtype=dtype)) + law.cdf(torch.ones(5, dtype=dtype))
    for value in (law.mean, law.variance, law.entropy(), law.mean_given_active, ends):
        (gradient,) = torch.autograd.grad(value.sum(), temperature, allow_unused=True)
        assert gradient is None or torch.isfinite(gradient).all()


def test_low_temperature_limit_is_a_bernoulli() -> None:
    law = law_of(0.8, 1e-3)
    keep = 1.0 / (1.0 + math.exp(-0.8))
    # The correction is of second order in the temperature.
    close(law.mean, keep, 1e-5)
    close(law.variance, keep * (1 - keep), 1e-3)


def test_it_has_no_atoms() -> None:
    law = law_of(2.0, 0.5)
    assert law.prob_one == 0.0
    assert not law.has_atom_at_zero
    assert law.cdf(torch.tensor(0.0).double()) == 0.0
    with pytest.raises(NotImplementedError, match="BinaryConcrete has no quadrature"):
        law.quadrature()


@pytest.mark.parametrize("temperature", [0.0, -0.5, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="parameter temperature"):
        BinaryConcrete(torch.zeros(2), temperature)


def test_temperature_buffer_may_change_in_place() -> None:
    temperature = torch.tensor(1.0, dtype=torch.float64)
    law = BinaryConcrete(torch.full((3,), 0.4, dtype=torch.float64), temperature)
    temperature.fill_(0.25)
    close(law.mean, np.full(3, BinaryConcreteReference(0.4, 0.25).mean()))
