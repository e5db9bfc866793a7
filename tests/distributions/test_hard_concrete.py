"""The hard concrete law."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from torch.distributions import kl_divergence

from l0bayes.distributions import HardConcrete
from l0bayes.testing.gate_law_case import PROPERTY, close
from l0bayes.testing.gate_law_suite import GateLawSuite
from tests.distributions.references import HardConcreteReference

NARROW, VERY_NARROW = (-0.01, 1.01), (-0.001, 1.001)
UNEVEN = (-0.3, 1.02)


class TestHardConcrete(GateLawSuite):
    law = HardConcrete
    cases = [
        {"log_alpha": 0.3, "temperature": 2.0 / 3.0},
        {"log_alpha": -3.0, "temperature": 2.0 / 3.0},
        {"log_alpha": 4.0, "temperature": 1.0},
        {"log_alpha": -0.4, "temperature": 0.1},
        {"log_alpha": 0.2, "temperature": 0.05},
        {"log_alpha": 1.5, "temperature": 5.0},
        {"log_alpha": -1.0, "temperature": 5.0, "stretch": NARROW},
        {"log_alpha": 0.5, "temperature": 0.5, "stretch": NARROW},
        {"log_alpha": 1.0, "temperature": 1.5, "stretch": UNEVEN},
    ]
    extreme_cases = [
        {"log_alpha": sign * 50.0, "temperature": temperature}
        for sign in (1.0, -1.0)
        for temperature in (0.1, 2.0 / 3.0, 3.0)
    ]
    parameters = {
        "log_alpha": st.floats(-20.0, 20.0),
        "temperature": st.floats(0.1, 3.0),
        "stretch": st.tuples(st.floats(-0.5, -0.01), st.floats(1.01, 1.5)),
    }

    def reference(self, **case: float) -> HardConcreteReference:
        return HardConcreteReference(**case)

    def exact_active(
        self, log_alpha: float, temperature: float, stretch: tuple[float, float] = (-0.1, 1.1)
    ) -> mpmath.mpf:
        gamma, zeta = (mpmath.mpf(edge) for edge in stretch)
        logit = mpmath.mpf(log_alpha) - mpmath.mpf(temperature) * mpmath.log(-gamma / zeta)
        return 1 / (1 + mpmath.exp(-logit))


def law_of(log_alpha: float, temperature: float = 2.0 / 3.0, **more: tuple[float, float]) -> HardConcrete:
    return HardConcrete(torch.tensor(log_alpha, dtype=torch.float64), temperature, **more)


def closed_form_kl(q: float, p: float, temperature: float, stretch: tuple[float, float]) -> float:
    r"""KL between hard concretes that differ in log alpha only, by integration by parts.

    With L = beta y - log alpha_q logistic and d = log alpha_q - log alpha_p, the interior is the integral
    of sigma'(L) (2 softplus(L + d) - 2 softplus(L) - d), and

        int sigma'(L) softplus(L + d) dL = sigma(L) softplus(L + d) - int sigma(L) sigma(L + d) dL,
        int sigma(L) sigma(L + d) dL = softplus(L) / (1 - exp(-d)) - softplus(L + d) / (exp(d) - 1),

    the last by partial fractions in exp(L); it is softplus(L) - sigma(L) where d = 0.
    """
    gamma, zeta = stretch
    d = q - p
    low = temperature * math.log(-gamma / zeta) - q
    high = temperature * math.log((1 - gamma) / (zeta - 1)) - q

    def softplus(x: float) -> float:
        return float(np.logaddexp(0.0, x))

    def primitive(at: float, shift: float) -> float:
        if shift == 0.0:
            product = softplus(at) - expit(at)
        else:
            product = -softplus(at) / math.expm1(-shift) - softplus(at + shift) / math.expm1(shift)
        return float(expit(at) * softplus(at + shift) - product)

    interior = 2.0 * (primitive(high, d) - primitive(low, d) - primitive(high, 0.0) + primitive(low, 0.0))
    interior -= d * float(expit(high) - expit(low))
    shut = expit(low) * (softplus(-low - d) - softplus(-low))
    saturated = expit(-high) * (softplus(high + d) - softplus(high))
    return interior + float(shut + saturated)


@pytest.mark.parametrize("stretch", [(-0.1, 1.1), NARROW, UNEVEN])
@pytest.mark.parametrize("temperature", [0.05, 2.0 / 3.0, 3.0])
@pytest.mark.parametrize(("q", "p"), [(0.5, -1.0), (-3.0, 2.0), (4.0, 3.5), (-2.0, -12.0)])
def test_kl_in_closed_form(q: float, p: float, temperature: float, stretch: tuple[float, float]) -> None:
    """Tolerance 1e-10: the closed form subtracts numbers about ten times its result."""
    actual = kl_divergence(law_of(q, temperature, stretch=stretch), law_of(p, temperature, stretch=stretch))
    close(actual, closed_form_kl(q, p, temperature, stretch), 1e-10)


@pytest.mark.parametrize(
    ("q_stretch", "p_stretch"),
    [((-0.5, 1.5), VERY_NARROW), (VERY_NARROW, (-0.5, 1.5)), ((-0.5, 1.001), (-0.001, 1.5))],
)
def test_kl_between_very_different_stretches(
    q_stretch: tuple[float, float], p_stretch: tuple[float, float]
) -> None:
    q = {"log_alpha": 0.4, "temperature": 0.7, "stretch": q_stretch}
    p = {"log_alpha": -0.6, "temperature": 1.3, "stretch": p_stretch}
    wanted = HardConcreteReference(**q).kl(HardConcreteReference(**p))
    close(kl_divergence(law_of(**q), law_of(**p)), wanted, 1e-11)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("stretch", [(-0.1, 1.1), NARROW, VERY_NARROW])
@pytest.mark.parametrize("log_alpha", [-20.0, -2.0, 0.3, 5.0])
def test_quadrature_holds_at_every_temperature_and_stretch(
    log_alpha: float, temperature: float, stretch: tuple[float, float]
) -> None:
    law = law_of(log_alpha, temperature, stretch=stretch)
    reference = HardConcreteReference(log_alpha, temperature, stretch)
    close(law.mean, reference.mean(), 1e-12)
    close(law.variance, reference.variance(), 1e-12)
    close(law.entropy(), reference.entropy(), 1e-11)


def test_activity_at_the_papers_setting() -> None:
    """P(z != 0) = sigmoid(log alpha + 1.599), to the three decimals given."""
    log_alpha = torch.linspace(-8, 8, 9, dtype=torch.float64)
    torch.testing.assert_close(HardConcrete(log_alpha).activity_logits, log_alpha + 1.599, atol=5e-4, rtol=0)


def test_eq13_closes_late() -> None:
    """Eq. 13 shuts at log alpha <= -2.398, where the gate is still open with probability 0.31."""
    edge = -math.log(11.0)
    assert edge == pytest.approx(-2.398, abs=5e-4)
    assert law_of(edge - 1e-9).noise_free == 0.0
    assert law_of(edge + 1e-9).noise_free > 0.0
    assert law_of(edge).prob_active.item() == pytest.approx(0.31, abs=5e-3)


@pytest.mark.parametrize("temperature", [0.1, 2.0 / 3.0, 2.0])
def test_median_closes_where_the_gate_is_as_likely_open_as_shut(temperature: float) -> None:
    edge = -temperature * math.log(11.0)
    assert law_of(edge, temperature).prob_active.item() == pytest.approx(0.5, abs=1e-15)
    assert law_of(edge - 1e-13, temperature).median == 0.0
    assert law_of(edge + 1e-12, temperature).median > 0.0


@PROPERTY
@given(log_alpha=st.floats(-20.0, 20.0), temperature=st.floats(0.1, 3.0), reach=st.floats(0.01, 0.5))
def test_exchanging_open_and_shut_changes_the_sign_of_log_alpha(
    log_alpha: float, temperature: float, reach: float
) -> None:
    stretch = (-reach, 1.0 + reach)
    law, mirror = (
        law_of(log_alpha, temperature, stretch=stretch),
        law_of(-log_alpha, temperature, stretch=stretch),
    )
    close(law.mean + mirror.mean, 1.0, 1e-13)
    close(law.variance, mirror.variance.item(), 1e-13)
    close(law.entropy(), mirror.entropy().item(), 1e-11)
    close(law.activity_logits, -mirror.saturation_logits.item(), 1e-12)


def test_draws_have_exact_zeros_and_ones() -> None:
    torch.manual_seed(0)
    draws = HardConcrete(torch.zeros(1000)).sample()
    assert (draws == 0).any()
    assert (draws == 1).any()
    assert ((draws > 0) & (draws < 1)).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("uniform", [0.0, 1.0])
def test_the_rarest_draw_is_as_rare_as_it_looks(
    dtype: torch.dtype, uniform: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch.rand gives 0 once in 1/eps draws or so; the gate must not read it as a far rarer event.

    With the atoms moved out of the way by temperature, the draw's own tail probability is compared
    with the spacing of torch.rand, eps / 2, to a factor of 4.
    """
    eps = torch.finfo(dtype).eps
    most = 1.0 - eps / 2 if uniform else 0.0
    monkeypatch.setattr(torch, "rand", lambda shape, dtype, device: torch.full(shape, most, dtype=dtype))
    law = HardConcrete(torch.tensor(0.0, dtype=dtype), temperature=20.0)
    draw = law.rsample()
    assert 0.0 < draw < 1.0
    tail = law.survival(draw) if uniform else law.cdf(draw)
    assert eps / 8 <= tail <= 2 * eps


def test_temperature_buffer_may_change_in_place() -> None:
    temperature = torch.tensor(1.0, dtype=torch.float64)
    law = HardConcrete(torch.zeros(3, dtype=torch.float64), temperature)
    temperature.fill_(0.25)
    close(law.mean, np.full(3, HardConcreteReference(0.0, 0.25).mean()))
    close(law.activity_logits, np.full(3, 0.25 * math.log(11.0)))


def test_arguments_broadcast() -> None:
    law = HardConcrete(torch.zeros(3, 1), torch.tensor([0.1, 1.0]))
    assert law.batch_shape == (3, 2)
    assert law.mean.shape == (3, 2)
    assert HardConcrete(0.5).batch_shape == ()


def test_a_clipped_draw_has_no_gradient_and_an_inner_one_has() -> None:
    log_alpha = torch.zeros(500, requires_grad=True)
    torch.manual_seed(1)
    draws = HardConcrete(log_alpha).rsample()
    (slope,) = torch.autograd.grad(draws.sum(), log_alpha)
    inner = (draws > 0) & (draws < 1)
    assert (slope[~inner] == 0).all()
    assert (slope[inner] > 0).all()


@pytest.mark.parametrize("stretch", [(0.0, 1.1), (-0.1, 1.0), (0.1, 0.9), (1.1, -0.1), (math.nan, 1.1)])
def test_a_stretch_that_leaves_no_atoms_is_refused(stretch: tuple[float, float]) -> None:
    with pytest.raises(
        ValueError, match=r"stretch must be a pair \(gamma, zeta\) with gamma < 0 and zeta > 1"
    ):
        HardConcrete(torch.zeros(2), stretch=stretch)


@pytest.mark.parametrize("temperature", [0.0, -0.5, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="parameter temperature"):
        HardConcrete(torch.zeros(2), temperature)


def test_stretch_survives_expand() -> None:
    law = HardConcrete(torch.zeros(2), stretch=NARROW).expand((3, 2))
    assert law.stretch == NARROW
