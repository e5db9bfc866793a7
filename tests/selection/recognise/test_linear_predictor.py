"""Whether a predictor is linear: squares beside large numbers, bends far out, probabilities that saturate."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Fit
from l0bayes.selection import GaussianProblem, InclusionPrior, infer_gates
from l0bayes.selection.recognise.linear_model import NotLinearError, read_linear_model
from l0bayes.selection.refine import refine

DOUBLE = torch.float64
GENERATOR = torch.Generator().manual_seed(0)
N, P = 40, 4
X = torch.randn(N, P, generator=GENERATOR)
Y = X[:, 0] - 0.4 * X[:, 2] + 0.6 * torch.randn(N, generator=GENERATOR) + 0.3


def slab(size=P, scale=1.0, dtype=torch.float32):
    return dist.Normal(torch.zeros(size, dtype=dtype), scale).to_event(1)


def weights(size=P, scale=1.0, dtype=torch.float32):
    return l0bayes.spike_and_slab("b", 0.3, slab(size, scale, dtype))


def observe(mean, scale, y):
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(mean, scale), obs=y)


# ---- what is not linear ------------------------------------------------------------------------------


def precise(x, y, predictor):
    observe(predictor(x, weights(dtype=x.dtype)), 0.6, y)


def closure(x, y, predictor):
    """A model that holds its columns, and so has them in single precision whatever the data are."""
    observe(predictor(X, weights()), 0.6, y)


def rounding(x, y, predictor):
    """A model that goes to single precision by itself."""
    observe(predictor(x.float(), weights().float()), 0.6, y)


SQUARE = {
    "offset": lambda x, b: 1e5 + x @ b + (x @ b).square(),
    "large column": lambda x, b: (x[:, :3] @ b[:3]).square() + 1e5 * x[:, 3] * b[3],
    "small part": lambda x, b: 1e3 + x @ b + 0.01 * (x @ b).square(),
}


@pytest.mark.parametrize("form", [precise, closure, rounding])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("name", SQUARE)
def test_offsets_and_large_columns_hide_no_squares(form, dtype, name):
    with pytest.raises(NotLinearError, match="predictor of site 'y' is not linear"):
        read_linear_model(lambda x, y: form(x, y, SQUARE[name]), (X.to(dtype), Y.to(dtype)))


@pytest.mark.parametrize("form", [precise, closure, rounding])
def test_offsets_and_large_columns_are_read(form):
    scales = torch.tensor([1.0, 1e5, 1e-3, 1e-5])
    found = read_linear_model(
        lambda x, y: form(x, y, lambda x, b: 1e3 + (x * scales) @ b), (X, Y + 1e3)
    ).problem
    torch.testing.assert_close(found.x, (X * scales).double(), rtol=1e-6, atol=0.0)
    torch.testing.assert_close(found.offset, torch.full((N,), 1e3, dtype=DOUBLE))


def test_a_large_offset_is_answered_as_none():
    def model(x, y):
        observe(1e5 + x @ weights(), 0.6, y)

    data = (X, Y + 1e5)
    found = refine(Fit.of(model, AutoHardConcrete(model, data), data))
    prior = InclusionPrior(log_odds=torch.full((P,), math.log(0.3 / 0.7), dtype=DOUBLE))
    wanted = infer_gates(
        GaussianProblem(X.double(), (Y + 1e5).double() - 1e5, prior, torch.ones(P, dtype=DOUBLE), noise=0.6),
        "exact",
    )
    torch.testing.assert_close(found.pip("b"), wanted.pip, atol=2e-7, rtol=0.0)
    assert found.log_evidence == pytest.approx(wanted.log_evidence, abs=3e-6)


@pytest.mark.parametrize("seed", range(4))
def test_columns_that_cancel_but_for_rounding_are_no_bend(seed):
    columns = X + 300.0
    columns[:, 3] = 300.0

    def model(x, y):
        eta = columns @ weights()
        observe(eta - eta.mean(), 0.6, y)

    found = read_linear_model(model, (X, Y), seed).problem
    torch.testing.assert_close(found.x, (columns - columns.mean(0)).double(), atol=1e-3, rtol=0.0)


@pytest.mark.parametrize("seed", range(6))
def test_vague_priors_are_read(seed):
    """Draws from them are at the ends of their ranges, where arithmetic is not."""

    def model(x, y):
        pi, tau = pyro.sample("pi", dist.Beta(0.05, 0.05)), pyro.sample("tau", dist.Gamma(1e-3, 1e-3))
        b = l0bayes.spike_and_slab("b", pi, slab(P, tau.rsqrt()))
        observe(pyro.sample("a", dist.Normal(0.0, 1e6)) + x @ b, tau.rsqrt(), y)

    problem = read_linear_model(model, (X, Y), seed).problem
    assert problem.prior.beta == pytest.approx((0.05, 0.05))
    assert (problem.noise.shape, problem.noise.rate) == pytest.approx((1e-3, 1e-3))
    assert problem.slab_scaled_by_noise
    torch.testing.assert_close(problem.x, X.double())
    torch.testing.assert_close(problem.slab_scale, torch.ones(P, dtype=DOUBLE))


@pytest.mark.parametrize("bound", [8.0, 150.0])
def test_bends_are_looked_for_on_the_prior_scale(bound):
    def model(x, y):
        observe(x @ weights(scale=100.0).clamp(-bound, bound), 0.6, y)

    with pytest.raises(NotLinearError, match="predictor of site 'y' is not linear"):
        read_linear_model(model, (X, 20 * Y))


def test_bends_out_of_reach_are_let_be():
    found = read_linear_model(lambda x, y: precise(x, y, lambda x, b: (x @ b).clamp(-100, 100)), (X, Y))
    torch.testing.assert_close(found.problem.x, X.double())


def test_a_weak_latent_of_another_prior_is_refused():
    def model(x, y):
        b = weights(dtype=DOUBLE)
        a = pyro.sample("a", dist.Laplace(torch.tensor(0.0, dtype=DOUBLE), 0.05))
        observe(2000 + a + x @ b, 0.6, y)

    with pytest.raises(NotLinearError, match="latent 'a', whose prior is Laplace and not Normal"):
        read_linear_model(model, (X.double(), Y.double() + 2000))


def test_a_model_that_reads_values_and_one_that_leaves_the_graph():
    def reading(x, y):
        b = weights(dtype=x.dtype)
        assert float(b.sum().detach()) < 1e9
        observe(3.0 + x @ b, 0.6, y)

    def leaving(x, y):
        b = weights(dtype=x.dtype)
        observe(torch.as_tensor(3.0 + x.numpy() @ b.numpy()), 0.6, y)

    def bent(x, y):
        b = weights(dtype=x.dtype)
        observe(torch.as_tensor(np.tanh(x.numpy() @ b.numpy())), 0.6, y)

    for model in (reading, leaving):
        for dtype in (torch.float32, DOUBLE):
            problem = read_linear_model(model, (X.to(dtype), Y.to(dtype))).problem
            torch.testing.assert_close(problem.x, X.double(), atol=1e-5, rtol=1e-5)
            assert problem.offset.tolist() == pytest.approx([3.0] * N, rel=1e-6)
    with pytest.raises(NotLinearError, match="not linear"):
        read_linear_model(bent, (X, Y))


def test_latents_of_two_precisions():
    def model(x, y):
        a = pyro.sample("a", dist.Normal(torch.zeros((), dtype=DOUBLE), 2.0))
        observe(X @ weights() + a, 0.6, y)

    problem = read_linear_model(model, (X, Y)).problem
    torch.testing.assert_close(problem.x, X.double())
    assert torch.equal(problem.unpenalised, torch.ones(N, 1, dtype=DOUBLE))


# ---- probabilities and rates -------------------------------------------------------------------------

WIDE = torch.randn(200, 60, generator=GENERATOR)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("law", ["probs", "rate"])
def test_probabilities_and_rates_that_saturate_are_read(dtype, held, law):
    columns = WIDE.to(dtype)

    def model(x, y):
        eta = (columns if held else x) @ weights(60, dtype=dtype)
        with pyro.plate("rows", 200):
            given = dist.Bernoulli(torch.sigmoid(eta)) if law == "probs" else dist.Poisson(torch.exp(eta))
            pyro.sample("y", given, obs=y)

    found = read_linear_model(model, (columns, (WIDE[:, 0] > 0).to(dtype))).problem
    torch.testing.assert_close(found.x, WIDE.double(), rtol=1e-5, atol=1e-5)


def test_a_bend_in_a_probability_is_refused():
    def model(x, y):
        eta = (x @ weights(60)).clamp(-5, 5)
        with pyro.plate("rows", 200):
            pyro.sample("y", dist.Bernoulli(torch.sigmoid(eta)), obs=y)

    with pytest.raises(NotLinearError, match=r"not linear.*give the law logits= rather than probs="):
        read_linear_model(model, (WIDE, (WIDE[:, 0] > 0).float()))


def test_probabilities_that_are_0_and_1_at_once_are_refused():
    def model(x, y):
        eta = 100.0 + x @ weights()
        with pyro.plate("rows", N):
            pyro.sample("y", dist.Bernoulli(torch.sigmoid(eta)), obs=y)

    with pytest.raises(NotLinearError, match=r"end of its range where all weights are 0; .* logits="):
        read_linear_model(model, (X, torch.ones(N)))
