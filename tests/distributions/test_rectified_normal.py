"""The rectified Normal law."""

import math
import shutil
import warnings

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_ndtr, ndtr
from torch import Tensor
from torch.distributions import kl_divergence
from torch.fx.experimental.proxy_tensor import make_fx

from l0bayes.distributions import BernoulliGate, RectifiedNormal
from l0bayes.testing.gate_law_case import PROPERTY, close
from l0bayes.testing.gate_law_suite import GateLawSuite
from tests.distributions.references import BernoulliReference, RectifiedNormalReference


class TestRectifiedNormal(GateLawSuite):
    law = RectifiedNormal
    cases = [
        {"loc": 0.5, "scale": 0.5},
        {"loc": -1.0, "scale": 0.5},
        {"loc": 1.5, "scale": 0.5},
        {"loc": 0.3, "scale": 0.1},
        {"loc": 0.45, "scale": 0.05},
        {"loc": -0.2, "scale": 3.0},
        {"loc": 2.0, "scale": 1.0},
    ]
    extreme_cases = [
        {"loc": sign * loc, "scale": scale}
        for sign in (1.0, -1.0)
        for loc, scale in ((5.0, 0.5), (30.0, 3.0), (1.5, 0.125))
    ]
    parameters = {"loc": st.floats(-5.0, 5.0), "scale": st.floats(0.05, 3.0)}

    def reference(self, **case: float) -> RectifiedNormalReference:
        return RectifiedNormalReference(**case)

    def exact_active(self, loc: float, scale: float) -> mpmath.mpf:
        return mpmath.ncdf(mpmath.mpf(loc) / mpmath.mpf(scale))


def law_of(loc: float, scale: float = 0.5) -> RectifiedNormal:
    return RectifiedNormal(torch.tensor(loc, dtype=torch.float64), scale)


def exact_moments(loc: float, scale: float) -> tuple[float, float, float]:
    """Mean, variance and entropy in closed form; 400 digits, since they cancel in the tails.

    With standardised ends a, b and phi, Phi at them, the truncated moments are
    I0 = Phi(b) - Phi(a), I1 = phi(a) - phi(b), I2 = I0 + a phi(a) - b phi(b).
    """
    with mpmath.workdps(400):
        loc_, scale_ = mpmath.mpf(loc), mpmath.mpf(scale)
        a, b = -loc_ / scale_, (1 - loc_) / scale_
        zero, one = mpmath.ncdf(a), mpmath.ncdf(-b)
        i0 = 1 - zero - one
        i1 = mpmath.npdf(a) - mpmath.npdf(b)
        i2 = i0 + a * mpmath.npdf(a) - b * mpmath.npdf(b)
        mean = one + loc_ * i0 + scale_ * i1
        second = one + loc_**2 * i0 + 2 * loc_ * scale_ * i1 + scale_**2 * i2
        entropy = -zero * mpmath.log(zero) - one * mpmath.log(one)
        entropy += i0 * mpmath.log(scale_ * mpmath.sqrt(2 * mpmath.pi)) + i2 / 2
        return float(mean), float(second - mean**2), float(entropy)


@pytest.mark.parametrize("scale", [1e-3, 0.02, 0.5, 3.0, 50.0])
@pytest.mark.parametrize("loc", [-4.0, -0.3, 0.0, 0.45, 1.0, 1.2, 6.0])
def test_moments_in_closed_form(loc: float, scale: float) -> None:
    """Relative to their own size while float64 holds it, however near the gate is to decided."""
    law = law_of(loc, scale)
    mean, variance, entropy = exact_moments(loc, scale)
    for actual, wanted in ((law.mean, mean), (law.variance, variance), (law.entropy(), entropy)):
        if abs(wanted) > 1e-290:
            close(actual / wanted, 1.0, 1e-11 if wanted == entropy else 1e-12)
        else:
            close(actual, 0.0, 1e-290)


@pytest.mark.parametrize("loc", [-2.0, 0.0, 0.7, 3.0])
@pytest.mark.parametrize("scale", [0.1, 0.5, 2.0])
def test_atoms_in_closed_form(loc: float, scale: float) -> None:
    law = law_of(loc, scale)
    close(law.prob_active, ndtr(loc / scale), 1e-15)
    close(law.prob_one, ndtr((loc - 1.0) / scale), 1e-15)
    close(law.log_prob(torch.zeros(()).double()), log_ndtr(-loc / scale), 1e-14)
    close(law.log_prob(torch.ones(()).double()), log_ndtr((loc - 1.0) / scale), 1e-14)


@PROPERTY
@given(loc=st.floats(-5.0, 5.0), scale=st.floats(0.05, 3.0))
def test_exchanging_open_and_shut_reflects_the_location(loc: float, scale: float) -> None:
    law, mirror = law_of(loc, scale), law_of(1.0 - loc, scale)
    close(law.mean + mirror.mean, 1.0, 1e-13)
    close(law.variance, mirror.variance.item(), 1e-13)
    close(law.entropy(), mirror.entropy().item(), 1e-11)
    # 1 - loc is rounded, which a slope of up to 100 / 0.05 in loc turns into this.
    close(law.activity_logits, -mirror.saturation_logits.item(), 1e-12)


@PROPERTY
@given(
    q=st.tuples(st.floats(-3.0, 4.0), st.floats(0.02, 5.0)),
    p=st.tuples(st.floats(-3.0, 4.0), st.floats(0.02, 5.0)),
)
def test_kl_between_scales_in_closed_form(q: tuple[float, float], p: tuple[float, float]) -> None:
    with mpmath.workdps(60):
        (loc, scale), (other, wide) = (tuple(map(mpmath.mpf, pair)) for pair in (q, p))
        a, b = -loc / scale, (1 - loc) / scale
        i0 = mpmath.ncdf(b) - mpmath.ncdf(a)
        i1 = mpmath.npdf(a) - mpmath.npdf(b)
        i2 = i0 + a * mpmath.npdf(a) - b * mpmath.npdf(b)
        shift, ratio = (loc - other) / wide, scale / wide
        wanted = -i0 * mpmath.log(ratio) - i2 / 2
        wanted += (shift**2 * i0 + 2 * shift * ratio * i1 + ratio**2 * i2) / 2
        for mine, theirs in (
            (mpmath.ncdf(a), mpmath.ncdf(-other / wide)),
            (mpmath.ncdf(-b), mpmath.ncdf((other - 1) / wide)),
        ):
            wanted += mine * mpmath.log(mine / theirs)
    # The two laws' log densities, thousands of nats at these scales, are what is rounded.
    close(kl_divergence(law_of(*q), law_of(*p)), float(wanted), 1e-11)


@pytest.mark.parametrize("logits", [-50.0, -2.0, 0.4, 50.0])
@pytest.mark.parametrize("prior", [{"loc": -1.0, "scale": 0.5}, {"loc": 2.0, "scale": 0.75}])
def test_kl_from_a_binary_gate_is_the_sum_over_the_atoms(logits: float, prior: dict[str, float]) -> None:
    q, p = BernoulliReference(logits), RectifiedNormalReference(**prior)
    wanted = math.fsum(a * math.log(a / b) for a, b in ((q.zero, p.zero), (q.one, p.one)))
    binary = BernoulliGate(torch.tensor(logits, dtype=torch.float64))
    close(kl_divergence(binary, law_of(**prior)), wanted, 1e-13)


def test_small_scale_limit_is_the_clipped_location() -> None:
    for loc in (-0.5, 0.25, 1.5):
        law = law_of(loc, 1e-6)
        close(law.mean, min(max(loc, 0.0), 1.0), 1e-12)
        close(law.noise_free, min(max(loc, 0.0), 1.0), 0.0)
        assert law.variance <= 1.1e-12
        assert torch.isfinite(law.entropy())


def test_large_scale_limit_is_a_fair_bernoulli() -> None:
    law = law_of(0.2, 1e6)
    close(law.prob_active, 0.5, 1e-6)
    close(law.mean, 0.5, 1e-6)
    close(law.variance, 0.25, 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tiny_and_large_parameters_have_finite_gradients(dtype: torch.dtype) -> None:
    loc = torch.tensor([-50.0, -1.0, 0.0, 0.5, 1.0, 50.0], dtype=dtype).repeat(4, 1).requires_grad_()
    scale = torch.tensor([[0.01], [0.5], [10.0], [1000.0]], dtype=dtype, requires_grad=True)
    law = RectifiedNormal(loc, scale)
    torch.manual_seed(0)
    for value in (law.rsample((100,)), law.mean, law.variance, law.entropy(), law.prob_one, law.prob_active):
        assert torch.isfinite(value).all()
        for gradient in torch.autograd.grad(value.sum(), (loc, scale)):
            assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("uniform", [0.0, 1.0])
def test_the_rarest_draw_is_as_rare_as_it_looks(
    dtype: torch.dtype, uniform: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the atoms moved out of the way; to a factor of 4, as for the hard concrete."""
    eps = torch.finfo(dtype).eps
    most = 1.0 - eps / 2 if uniform else 0.0
    monkeypatch.setattr(torch, "rand", lambda shape, dtype, device: torch.full(shape, most, dtype=dtype))
    law = RectifiedNormal(torch.tensor(0.5, dtype=dtype), 0.05)
    draw = law.rsample()
    assert 0.0 < draw < 1.0
    tail = law.survival(draw) if uniform else law.cdf(draw)
    assert eps / 8 <= tail <= 2 * eps


def test_draws_have_exact_zeros_and_ones_and_only_inner_ones_a_gradient() -> None:
    loc = torch.full((1000,), 0.5, requires_grad=True)
    torch.manual_seed(0)
    draws = RectifiedNormal(loc).rsample()
    (slope,) = torch.autograd.grad(draws.sum(), loc)
    inner = (draws > 0) & (draws < 1)
    assert (draws == 0).any()
    assert (draws == 1).any()
    assert (slope[inner] == 1).all()
    assert (slope[~inner] == 0).all()


def _transform(loc: Tensor, scale: Tensor, u: Tensor) -> Tensor:
    law = RectifiedNormal(loc, scale, validate_args=False)
    return (law.icdf(u) * law.scale).sum()


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_draws_are_batched_traced_and_compiled() -> None:
    torch.manual_seed(0)
    loc, scale, u = torch.randn(4, 30), torch.rand(4, 30) + 0.1, torch.rand(4, 30)
    wanted = torch.func.grad(_transform)(loc, scale, u)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batched = torch.func.vmap(torch.func.grad(_transform))(loc, scale, u)
    torch.testing.assert_close(batched, wanted)

    def with_atoms(loc: Tensor, scale: Tensor, u: Tensor) -> Tensor:
        law = RectifiedNormal(loc, scale, validate_args=False)
        return _transform(loc, scale, u) + (law.activity_logits - law.saturation_logits).sum()

    wanted = torch.func.grad(with_atoms)(loc, scale, u)
    graph = make_fx(torch.func.grad(with_atoms))(loc, scale, u)
    torch.testing.assert_close(graph(loc, scale, u), wanted)
    # Not torch.compile, which turns the validation of all distributions off for good.
    compiled = torch._inductor.compile(graph, [loc, scale, u])
    torch.testing.assert_close(compiled(loc, scale, u), wanted, rtol=1e-5, atol=1e-5)


def test_scale_buffer_may_change_in_place() -> None:
    scale = torch.tensor(1.0, dtype=torch.float64)
    law = RectifiedNormal(torch.full((3,), 0.2, dtype=torch.float64), scale)
    scale.fill_(0.25)
    close(law.mean, np.full(3, RectifiedNormalReference(0.2, 0.25).mean()))
    close(law.prob_active, np.full(3, ndtr(0.8)))


def test_arguments_broadcast() -> None:
    law = RectifiedNormal(torch.zeros(3, 1), torch.tensor([0.1, 1.0]))
    assert law.batch_shape == (3, 2)
    assert law.mean.shape == (3, 2)
    assert RectifiedNormal(0.5).batch_shape == ()
    assert RectifiedNormal(0.5).scale == 0.5


@pytest.mark.parametrize("scale", [0.0, -0.5, math.nan])
def test_a_scale_that_is_not_positive_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="parameter scale"):
        RectifiedNormal(torch.zeros(2), scale)
