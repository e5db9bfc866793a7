"""The hard Kumaraswamy law."""

import math
import shutil
import warnings

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special
from torch import Tensor
from torch.distributions import kl_divergence
from torch.fx.experimental.proxy_tensor import make_fx

from l0bayes.distributions import BernoulliGate, HardConcrete, HardKumaraswamy
from l0bayes.distributions.hard_kumaraswamy import _log_log, shapes_for
from l0bayes.testing.gate_law_case import PROPERTY, close
from l0bayes.testing.gate_law_suite import GateLawSuite
from tests.distributions.references import BernoulliReference, HardKumaraswamyReference

PAPER = (-0.1, 1.1)
NARROW, VERY_NARROW, UNEVEN = (-0.01, 1.01), (-0.001, 1.001), (-0.3, 1.02)


class TestHardKumaraswamy(GateLawSuite):
    law = HardKumaraswamy
    cases = [
        {"log_a": 0.3, "log_b": 0.2},
        {"log_a": -1.0, "log_b": -1.5},
        {"log_a": 1.5, "log_b": -0.4},
        {"log_a": -3.0, "log_b": -2.0},
        {"log_a": 3.0, "log_b": 3.0},
        {"log_a": -1.5, "log_b": 1.0},
        {"log_a": 2.0, "log_b": -3.0},
        {"log_a": -2.0, "log_b": 0.1, "stretch": NARROW},
        {"log_a": 1.0, "log_b": 3.0, "stretch": NARROW},
        {"log_a": 0.5, "log_b": 0.7, "stretch": UNEVEN},
    ]
    extreme_cases = [
        {"log_a": 3.0, "log_b": 0.0},
        {"log_a": 3.25, "log_b": 1.0},
        {"log_a": 3.25, "log_b": -4.0},
        {"log_a": -3.0, "log_b": 3.25},
        {"log_a": 0.0, "log_b": 6.5},
        {"log_a": -4.0, "log_b": 3.0},
    ]
    parameters = {
        "log_a": st.floats(-4.6, 4.6),
        "log_b": st.floats(-4.6, 4.6),
        "stretch": st.tuples(st.floats(-0.5, -0.01), st.floats(1.01, 1.5)),
    }

    def reference(self, **case: float) -> HardKumaraswamyReference:
        return HardKumaraswamyReference(**case)

    def exact_active(self, log_a: float, log_b: float, stretch: tuple[float, float] = PAPER) -> mpmath.mpf:
        return exact_survival(0.0, log_a, log_b, stretch)


def exact_survival(x: float, log_a: float, log_b: float, stretch: tuple[float, float]) -> mpmath.mpf:
    gamma, zeta = (mpmath.mpf(edge) for edge in stretch)
    t = (mpmath.mpf(x) - gamma) / (zeta - gamma)
    return (1 - t ** mpmath.exp(log_a)) ** mpmath.exp(log_b)


def law_of(log_a: float, log_b: float, stretch: tuple[float, float] = PAPER) -> HardKumaraswamy:
    tensors = (torch.tensor(value, dtype=torch.float64) for value in (log_a, log_b))
    return HardKumaraswamy(*tensors, stretch)


@pytest.mark.parametrize("stretch", [PAPER, NARROW, VERY_NARROW, UNEVEN])
@pytest.mark.parametrize("log_a", [-4.6, -1.0, 0.4, 4.6])
@pytest.mark.parametrize("log_b", [-4.6, 0.3, 2.0, 4.6])
def test_quadrature_holds_at_every_shape_and_stretch(
    log_a: float, log_b: float, stretch: tuple[float, float]
) -> None:
    """The mean against mpmath, which integrates the survival; the others against SciPy."""
    law, reference = law_of(log_a, log_b, stretch), HardKumaraswamyReference(log_a, log_b, stretch)
    with mpmath.workdps(20):
        pieces = [0, 1e-3, 0.01, *np.linspace(0.05, 0.95, 19).tolist(), 0.99, 0.999, 1]
        mean = float(mpmath.quad(lambda x: exact_survival(x, log_a, log_b, stretch), pieces))
    close(law.mean, mean, 1e-12)
    close(law.variance, reference.variance(), 1e-12)
    close(law.entropy(), reference.entropy(), 1e-11)


def test_a_uniform_variable() -> None:
    """a = b = 1: everything is a fraction."""
    law = law_of(0.0, 0.0)
    close(law.prob_active, 11 / 12, 1e-15)
    close(law.prob_one, 1 / 12, 1e-15)
    close(law.mean, 0.5, 1e-15)
    close(law.variance, 2 / 48 + 10 / 144, 1e-15)
    close(law.noise_free, 0.5, 1e-15)
    close(law.entropy(), math.log(12.0) / 6.0 + 10 / 12 * math.log(1.2), 1e-14)


@pytest.mark.parametrize(("log_a", "log_b"), [(-1.0, -1.0), (1.0, 0.5), (2.0, -1.0), (0.3, 2.0)])
def test_the_mean_is_that_of_the_stretched_and_clipped_variable(log_a: float, log_b: float) -> None:
    """Not the naive one, of the variable before: b B(1 + 1/a, b), or that stretched."""
    law = law_of(log_a, log_b)
    torch.manual_seed(0)
    draws = law.sample((400_000,))
    error = 5.0 * math.sqrt(float(law.variance) / len(draws))
    assert abs(float(draws.mean() - law.mean)) < error
    a, b = math.exp(log_a), math.exp(log_b)
    naive = b * special.beta(1.0 + 1.0 / a, b)
    assert abs(float(law.mean) - naive) > error
    close(law.noise_free, min(max(1.2 * naive - 0.1, 0.0), 1.0), 1e-13)
    assert abs(float(law.mean - law.noise_free)) > error


@pytest.mark.parametrize("log_a", [-8.0, -3.0, 0.0, 2.5, 8.0])
@pytest.mark.parametrize("log_b", [-8.0, -3.0, 0.0, 2.5, 8.0])
def test_noise_free_value_at_every_shape(log_a: float, log_b: float) -> None:
    with mpmath.workdps(40):
        a, b = mpmath.exp(log_a), mpmath.exp(log_b)
        wanted = float(b * mpmath.beta(1 + 1 / a, b))
    wanted = min(max(1.2 * wanted - 0.1, 0.0), 1.0)
    close(law_of(log_a, log_b).noise_free, wanted, 1e-12)
    single = HardKumaraswamy(torch.tensor(log_a), torch.tensor(log_b)).noise_free
    close(single, wanted, 3e-5)


@PROPERTY
@given(log_a=st.floats(-6.0, 6.0), log_b=st.floats(-6.0, 6.0), step=st.floats(0.01, 2.0))
def test_a_larger_a_opens_the_gate_and_a_larger_b_shuts_it(log_a: float, log_b: float, step: float) -> None:
    law, opened, shut = law_of(log_a, log_b), law_of(log_a + step, log_b), law_of(log_a, log_b + step)
    assert opened.activity_logits > law.activity_logits > shut.activity_logits
    assert opened.saturation_logits > law.saturation_logits > shut.saturation_logits
    # The rule's weights sum to 1 up to 1e-13 of it.
    assert opened.mean >= law.mean - 1e-12
    assert law.mean >= shut.mean - 1e-12


@PROPERTY
@given(log_a=st.floats(-12.0, 12.0), log_b=st.floats(-12.0, 12.0), x=st.floats(0.0, 0.999))
def test_survival_logits_are_exact_however_decided(log_a: float, log_b: float, x: float) -> None:
    """The logit reaches a million here; the survival would be 0 or 1."""
    law = law_of(log_a, log_b)
    with mpmath.workdps(40):
        gamma, zeta = mpmath.mpf(PAPER[0]), mpmath.mpf(PAPER[1])
        power = ((mpmath.mpf(x) - gamma) / (zeta - gamma)) ** mpmath.exp(log_a)
        rate = -mpmath.log1p(-power)  # the difference from 1 leaves too few of the forty digits
        wanted = float(-mpmath.log(mpmath.expm1(mpmath.exp(log_b) * rate)))
    close(law.survival_logits(torch.tensor(x, dtype=torch.float64)), wanted, 1e-13)


# ---- shapes from atoms --------------------------------------------------------------------------------


@PROPERTY
@given(
    active=st.floats(1e-4, 1 - 1e-6),
    share=st.floats(1e-6, 0.9),
    stretch=st.sampled_from([PAPER, NARROW, UNEVEN]),
)
def test_shapes_have_the_atoms_asked_for(active: float, share: float, stretch: tuple[float, float]) -> None:
    saturated = active * share
    assume(math.log(saturated) / math.log(active) > 1.15)
    log_a, log_b = shapes_for(active, saturated, stretch)
    assert isinstance(log_a, float)
    assert isinstance(log_b, float)
    law = law_of(log_a, log_b, stretch)
    # Small shapes are determined ill by the atoms: log_a moves by the inverse of the difference.
    close(law.prob_active / active, 1.0, 1e-10)
    close(law.prob_one / saturated, 1.0, 1e-10)


@pytest.mark.parametrize("temperature", [0.1, 2.0 / 3.0, 2.0])
@pytest.mark.parametrize("log_alpha", [-3.0, 0.0, 3.0])
def test_shapes_with_the_atoms_of_a_hard_concrete(temperature: float, log_alpha: float) -> None:
    alike = HardConcrete(torch.tensor(log_alpha, dtype=torch.float64), temperature)
    law = law_of(*shapes_for(float(alike.prob_active), float(alike.prob_one)))
    close(law.activity_logits, alike.activity_logits.item(), 1e-11)
    close(law.saturation_logits, alike.saturation_logits.item(), 1e-11)


def test_shapes_of_the_uniform_variable() -> None:
    log_a, log_b = shapes_for(11 / 12, 1 / 12)
    assert log_a == pytest.approx(0.0, abs=1e-14)
    assert log_b == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize(
    ("active", "saturated"), [(0.5, 0.5), (0.5, 0.6), (1.0, 0.5), (0.5, 0.0), (math.nan, 0.1), (0.5, -0.1)]
)
def test_probabilities_in_the_wrong_order_are_refused(active: float, saturated: float) -> None:
    with pytest.raises(ValueError, match=r"0 < saturated < active < 1, got active=.* and saturated="):
        shapes_for(active, saturated)


def test_atoms_too_close_for_any_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"active=0.5 and saturated=0.499 are too close"):
        shapes_for(0.5, 0.499)


def test_shapes_for_no_stretch_are_refused() -> None:
    with pytest.raises(ValueError, match=r"stretch must be a pair \(gamma, zeta\)"):
        shapes_for(0.5, 0.1, (0.0, 1.0))


# ---- KL -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q_stretch", "p_stretch"),
    [((-0.5, 1.5), VERY_NARROW), (VERY_NARROW, (-0.5, 1.5)), ((-0.5, 1.001), (-0.001, 1.5))],
)
def test_kl_between_very_different_stretches(
    q_stretch: tuple[float, float], p_stretch: tuple[float, float]
) -> None:
    q = {"log_a": 0.4, "log_b": 0.7, "stretch": q_stretch}
    p = {"log_a": -0.6, "log_b": -0.3, "stretch": p_stretch}
    wanted = HardKumaraswamyReference(**q).kl(HardKumaraswamyReference(**p))
    close(kl_divergence(law_of(**q), law_of(**p)), wanted, 1e-11)


@pytest.mark.parametrize("logits", [-50.0, -2.0, 0.4, 50.0])
@pytest.mark.parametrize("prior", [{"log_a": -1.0, "log_b": -0.5}, {"log_a": 1.0, "log_b": 2.0}])
def test_kl_from_a_binary_gate_is_the_sum_over_the_atoms(logits: float, prior: dict[str, float]) -> None:
    q, p = BernoulliReference(logits), HardKumaraswamyReference(**prior)
    wanted = math.fsum(a * math.log(a / b) for a, b in ((q.zero, p.zero), (q.one, p.one)))
    binary = BernoulliGate(torch.tensor(logits, dtype=torch.float64))
    close(kl_divergence(binary, law_of(**prior)), wanted, 1e-13)


# ---- draws ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tiny_and_large_shapes_have_finite_gradients(dtype: torch.dtype) -> None:
    shapes = torch.tensor([-40.0, -20.0, -5.0, 0.0, 5.0, 20.0, 40.0], dtype=dtype)
    log_a, log_b = shapes[:, None].clone().requires_grad_(), shapes.clone().requires_grad_()
    law = HardKumaraswamy(log_a, log_b)
    torch.manual_seed(0)
    values = {
        "rsample": law.rsample((1000,)),
        "activity_logits": law.activity_logits,
        "saturation_logits": law.saturation_logits,
        "mean": law.mean,
        "variance": law.variance,
        "entropy": law.entropy(),
        "noise_free": law.noise_free,
        "log_prob": law.log_prob(torch.tensor([0.0, 1e-6, 0.5, 1.0], dtype=dtype)[:, None, None]),
    }
    for name, value in values.items():
        assert torch.isfinite(value).all(), name
        for gradient in torch.autograd.grad(value.sum(), (log_a, log_b), retain_graph=True):
            assert torch.isfinite(gradient).all(), name


@pytest.mark.parametrize("log_b", [-3.0, -1.0, 3.0])
@pytest.mark.parametrize("log_a", [-3.0, 0.0, 3.0])
def test_draws_in_float32_are_those_of_float64(log_a: float, log_b: float) -> None:
    """At equal noise; 1 - (1 - u)^(1/b) by itself would lose all digits at either end."""
    u = torch.cat([torch.logspace(-7, -1, 50), torch.linspace(0.1, 0.9, 50), 1 - torch.logspace(-6, -1, 50)])
    single = HardKumaraswamy(torch.tensor(log_a), torch.tensor(log_b)).unclipped_icdf(u)
    double = law_of(log_a, log_b).unclipped_icdf(u.double())
    torch.testing.assert_close(single.double(), double, rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("uniform", [0.0, 1.0])
def test_the_rarest_draw_is_as_rare_as_it_looks(
    dtype: torch.dtype, uniform: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shapes that put both atoms out of the way; to a factor of 4, as for the hard concrete."""
    eps = torch.finfo(dtype).eps
    most = 1.0 - eps / 2 if uniform else 0.0
    monkeypatch.setattr(torch, "rand", lambda shape, dtype, device: torch.full(shape, most, dtype=dtype))
    law = HardKumaraswamy(torch.tensor(4.0, dtype=dtype), 10.0)
    draw = law.rsample()
    assert 0.0 < draw < 1.0
    tail = law.survival(draw) if uniform else law.cdf(draw)
    assert eps / 8 <= tail <= 2 * eps


def test_draws_have_exact_zeros_and_ones_and_only_inner_ones_a_gradient() -> None:
    log_a = torch.zeros(1000, requires_grad=True)
    torch.manual_seed(0)
    draws = HardKumaraswamy(log_a, 0.0).rsample()
    (slope,) = torch.autograd.grad(draws.sum(), log_a)
    inner = (draws > 0) & (draws < 1)
    assert (draws == 0).any()
    assert (draws == 1).any()
    assert (slope[inner] > 0).all()
    assert (slope[~inner] == 0).all()


def _transform(log_a: Tensor, log_b: Tensor, u: Tensor) -> Tensor:
    law = HardKumaraswamy(log_a, log_b, validate_args=False)
    return (law.icdf(u) + law.activity_logits).sum()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_draws_are_batched_traced_and_compiled() -> None:
    torch.manual_seed(0)
    log_a, log_b, u = torch.randn(4, 30), torch.randn(4, 30), torch.rand(4, 30)
    wanted = torch.func.grad(_transform)(log_a, log_b, u)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batched = torch.func.vmap(torch.func.grad(_transform))(log_a, log_b, u)
    torch.testing.assert_close(batched, wanted)
    graph = make_fx(torch.func.grad(_transform))(log_a, log_b, u)
    torch.testing.assert_close(graph(log_a, log_b, u), wanted)
    # Not torch.compile, which turns the validation of all distributions off for good.
    compiled = torch._inductor.compile(graph, [log_a, log_b, u])
    torch.testing.assert_close(compiled(log_a, log_b, u), wanted, rtol=1e-5, atol=1e-5)


# ---- arguments ------------------------------------------------------------------------------------------


def test_arguments_broadcast() -> None:
    law = HardKumaraswamy(torch.zeros(3, 1), torch.tensor([0.1, 1.0]))
    assert law.batch_shape == (3, 2)
    assert law.mean.shape == (3, 2)
    assert HardKumaraswamy(0.5, 0.5).batch_shape == ()


@pytest.mark.parametrize("stretch", [(0.0, 1.1), (-0.1, 1.0), (1.1, -0.1), (math.nan, 1.1)])
def test_a_stretch_that_leaves_no_atoms_is_refused(stretch: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"stretch must be a pair \(gamma, zeta\)"):
        HardKumaraswamy(torch.zeros(2), 0.0, stretch)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_second_shape_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"parameter log_b .* a finite number"):
        HardKumaraswamy(torch.zeros(2), value)


def test_stretch_survives_expand() -> None:
    assert law_of(0.1, 0.2, NARROW).expand((3, 2)).stretch == NARROW


@pytest.mark.parametrize("logit", [-700.0, -30.0, -3.0, 0.0, 5.0, 19.99, 20.01, 21.0, 25.0, 40.0, 300.0])
def test_the_log_of_a_small_rate_keeps_its_digits(logit: float) -> None:
    r""":math:`\log(-\log\sigma(\ell))` on both sides of where its expansion takes over."""
    with mpmath.workdps(400):
        wanted = float(mpmath.log(mpmath.log(1 + mpmath.exp(-mpmath.mpf(logit)))))
    found = float(_log_log(torch.tensor(logit, dtype=torch.float64)))
    assert found == pytest.approx(wanted, rel=1e-14, abs=1e-15)
