"""Stable Bernoulli terms and fixed quadrature rules, against mpmath."""

import math

import mpmath
import pytest
import torch

from l0bayes.distributions.numerics import (
    as_float,
    bernoulli_entropy,
    bernoulli_kl,
    gauss_legendre,
    log1mexp,
    logistic_rule,
    logit,
    panelled_gauss_legendre,
    softplus,
)
from l0bayes.testing.gate_law_case import close

LOGITS = [-800.0, -50.0, -21.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 21.0, 50.0, 800.0]


def tensor(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def relative(actual: torch.Tensor, wanted: mpmath.mpf, tolerance: float) -> None:
    """Relative to the wanted number, however small; equal where float64 cannot hold it."""
    if abs(wanted) < 1e-300:
        assert abs(actual.item()) < 1e-300
    else:
        assert abs(mpmath.mpf(actual.item()) / wanted - 1) < tolerance


@pytest.mark.parametrize("x", LOGITS)
def test_softplus_is_exact_in_the_whole_range(x: float) -> None:
    """torch's own is off by 2e-9 beyond 20."""
    with mpmath.workdps(400):
        relative(softplus(tensor(x)), mpmath.log1p(mpmath.exp(x)), 1e-15)


@pytest.mark.parametrize("x", [-700.0, -40.0, -1.0, -0.7, -0.69, -0.1, -1e-8, -1e-300])
def test_log1mexp_is_exact_at_both_ends(x: float) -> None:
    with mpmath.workdps(400):
        relative(log1mexp(tensor(x)), mpmath.log(-mpmath.expm1(mpmath.mpf(x))), 4e-16)


def test_log1mexp_has_exact_gradients() -> None:
    x = torch.tensor([-700.0, -40.0, -1.0, -0.69, -1e-8, -1e-30], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(log1mexp(x).sum(), x)
    torch.testing.assert_close(slope, -1.0 / torch.expm1(-x.detach()), rtol=1e-15, atol=0.0)
    assert log1mexp(tensor(0.0)) == -math.inf


@pytest.mark.parametrize("x", [1e-300, 1e-10, 0.25, 0.5, 1 - 1e-10])
def test_logit(x: float) -> None:
    with mpmath.workdps(40):
        close(logit(tensor(x)), float(mpmath.log(x) - mpmath.log(1 - mpmath.mpf(x))), 1e-15)


def test_logit_at_the_ends_is_infinite() -> None:
    assert logit(tensor(0.0)) == -math.inf
    assert logit(tensor(1.0)) == math.inf


@pytest.mark.parametrize("x", LOGITS)
def test_bernoulli_entropy_keeps_its_digits_in_the_tails(x: float) -> None:
    with mpmath.workdps(800):
        p = 1 / (1 + mpmath.exp(-mpmath.mpf(x)))
        wanted = -p * mpmath.log(p) - (1 - p) * mpmath.log(1 - p)
    relative(bernoulli_entropy(tensor(x)), wanted, 1e-14)


@pytest.mark.parametrize("q", LOGITS)
@pytest.mark.parametrize("p", [-700.0, -30.0, 0.5, 49.0])
def test_bernoulli_kl_keeps_its_digits_in_the_tails(q: float, p: float) -> None:
    """1e-12, for the three terms may be a thousand times their sum where q is near p."""
    with mpmath.workdps(800):
        a, b = 1 / (1 + mpmath.exp(-mpmath.mpf(q))), 1 / (1 + mpmath.exp(-mpmath.mpf(p)))
        wanted = a * mpmath.log(a / b) + (1 - a) * mpmath.log((1 - a) / (1 - b))
    actual = bernoulli_kl(tensor(q), tensor(p))
    assert actual >= 0
    relative(actual, wanted, 1e-12)


@pytest.mark.parametrize("function", [bernoulli_entropy, lambda x: bernoulli_kl(x, tensor(-0.7))])
def test_derivatives_at_the_fold_are_those_of_a_smooth_function(function) -> None:  # type: ignore[no-untyped-def]
    """Both are evaluated at -|x|; neither slope nor curvature may notice."""
    x = torch.tensor([-0.4, -1e-9, 0.0, 1e-9, 0.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, x, eps=1e-6)
    assert torch.autograd.gradgradcheck(function, x, eps=1e-6)


def test_kl_of_a_decided_gate_in_float32() -> None:
    """Terms of size 50 would leave an error of 4e-6 on a KL of 1e-22."""
    kl = bernoulli_kl(torch.tensor(50.0), torch.tensor(49.0))
    assert kl.item() == pytest.approx(math.exp(-49) - 2 * math.exp(-50), rel=1e-5)


@pytest.mark.parametrize("order", [5, 64, 184])
def test_gauss_legendre_is_exact_for_polynomials(order: int) -> None:
    """Degree 2n - 1, on [-1, 2]; 184 nodes is what a stretch of (-0.001, 1.001) asks for."""
    nodes, weights = gauss_legendre(tensor(0.0), -1.0, 2.0, order)
    assert nodes.shape == weights.shape == (order,)
    centred = (nodes - 0.5) / 1.5
    for degree in (0, 2, 2 * order - 2):
        close((weights * centred**degree).sum(), 3.0 / (degree + 1), 1e-13)


def test_panels_are_joined() -> None:
    nodes, weights = panelled_gauss_legendre(tensor(0.0), (0.0, 0.5, 2.0, 5.0), 12)
    assert nodes.shape == (36,)
    assert (nodes.diff() > 0).all()
    close((weights * torch.exp(-nodes)).sum(), 1 - math.exp(-5.0), 1e-14)


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (torch.ones_like, 1.0),
        (torch.square, math.pi**2 / 3),
        (softplus, 1.0),
        (torch.sigmoid, 0.5),
        (lambda t: torch.sigmoid(t).square(), 1.0 / 3.0),
        # Singular at distance pi off another point, as in the moments of a shifted law.
        (lambda t: torch.sigmoid(t + 3.0), (math.e**6 - 4.0 * math.e**3) / (math.e**3 - 1.0) ** 2),
    ],
)
def test_logistic_rule(function, wanted: float) -> None:  # type: ignore[no-untyped-def]
    """1e-13: where singularities of weight and function meet at distance pi the rule leaves 3e-14."""
    nodes, weights = logistic_rule(tensor(0.0), 0)
    close((weights * function(nodes)).sum(), wanted, 1e-13)


def test_rules_follow_dtype_and_shape() -> None:
    nodes, weights = logistic_rule(torch.zeros((), dtype=torch.float32), 2)
    assert nodes.shape == weights.shape == (161, 1, 1)
    assert nodes.dtype == weights.dtype == torch.float32
    nodes, weights = gauss_legendre(torch.zeros((), dtype=torch.float32), 0.0, 1.0, 8)
    assert nodes.dtype == weights.dtype == torch.float32


def test_as_float_keeps_float_tensors_and_converts_the_rest() -> None:
    double = tensor(1.5)
    assert as_float(double) is double
    assert as_float(2).dtype == torch.get_default_dtype()
    assert as_float(torch.tensor([1, 2])).dtype == torch.get_default_dtype()
