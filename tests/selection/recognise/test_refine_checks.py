"""What refinement reads from models that look like regressions, against enumeration; and what it refuses."""

import itertools
import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.nn import PyroModule, PyroParam

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Fit, UntrainedParameterWarning
from l0bayes.selection.recognise.linear_model import NotLinearError, read_linear_model
from l0bayes.selection.refine import refine

DOUBLE = torch.float64
GENERATOR = torch.Generator().manual_seed(0)
N, P = 40, 4
X = torch.randn(N, P, generator=GENERATOR)
Y = X[:, 0] - 0.4 * X[:, 2] + 0.6 * torch.randn(N, generator=GENERATOR) + 0.3
COUNTS = torch.poisson((0.5 * X[:, 0] + 0.5).exp(), generator=GENERATOR)


def slab(size=P, scale=1.0, dtype=torch.float32):
    return dist.Normal(torch.zeros(size, dtype=dtype), scale).to_event(1)


def weights(size=P, scale=1.0, dtype=torch.float32):
    return l0bayes.spike_and_slab("b", 0.3, slab(size, scale, dtype))


def observe(mean, scale, y, **settings):
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(mean, scale), obs=y, **settings)


def refined(model, data=(X, Y)):
    return refine(Fit.of(model, AutoHardConcrete(model, data), data))


def log_normal_density(y, covariance):
    value, log_det = np.linalg.slogdet(covariance)
    assert value > 0
    return -0.5 * (len(y) * np.log(2 * np.pi) + log_det + y @ np.linalg.solve(covariance, y))


def enumerated(x, y, slab_scale, variances, log_prior_of_variance, inclusion=0.3):
    """PIPs and log evidence by the Normal's covariance of every model, summed over a grid of variances."""
    x, y = (np.asarray(part, dtype=float) for part in (x, y))
    models = [np.array(gates) for gates in itertools.product([0, 1], repeat=x.shape[1])]
    logs = np.empty((len(models), len(variances)))
    for i, gates in enumerate(models):
        signal = slab_scale**2 * (x * gates) @ x.T
        for j, variance in enumerate(variances):
            logs[i, j] = log_normal_density(y, signal + variance * np.eye(len(y)))
        logs[i] += log_prior_of_variance
        logs[i] += gates.sum() * np.log(inclusion) + (1 - gates).sum() * np.log(1 - inclusion)
    evidence = np.logaddexp.reduce(logs.ravel())
    probabilities = np.exp(logs - evidence).sum(1)
    return torch.as_tensor(probabilities @ np.array(models)), evidence


def known_noise(x, y, sigma, **settings):
    return enumerated(x, y, 1.0, [sigma**2], np.zeros(1), **settings)


def inverse_gamma(x, y, slab_scale, shape, rate):
    log_variance = np.linspace(np.log(rate) - 6.0, np.log(rate) + 8.0, 600)
    density = shape * np.log(rate) - math.lgamma(shape) - shape * log_variance - rate * np.exp(-log_variance)
    grid = density + np.log(log_variance[1] - log_variance[0])
    return enumerated(x, y, slab_scale, np.exp(log_variance), grid)


def check(found, wanted):
    torch.testing.assert_close(found.pip("b"), wanted[0], atol=2e-7, rtol=0.0)
    assert found.log_evidence == pytest.approx(wanted[1], abs=3e-6)


# ---- priors that depend on gates, weights and latents ------------------------------------------------


def heredity(x, y):
    main = l0bayes.gate("g", 0.3, shape=[3])
    b = l0bayes.spike_and_slab("b", slab=slab(3), gate=main)
    both = l0bayes.gate("h", 0.02 + 0.5 * main.value[:1] * main.value[1:2], shape=[1])
    c = l0bayes.spike_and_slab("c", slab=slab(1), gate=both)
    observe(x[:, :3] @ b + x[:, 3:] @ c, 0.6, y)


def two_sets(x, y, scale):
    b = weights(2)
    c = l0bayes.spike_and_slab("c", 0.3, dist.Normal(torch.zeros(2), scale(b)).to_event(1))
    observe(x[:, :2] @ b + x[:, 2:] @ c, 0.6, y)


def with_intercept(x, y, law):
    b = weights()
    observe(x @ b + pyro.sample("a", law(b)), 0.6, y)


def latent_layer(x, y):
    b = weights()
    with pyro.plate("layer", N):
        z = pyro.sample("z", dist.Normal(x @ b, 0.1))
    observe(z, 0.6, y)


def with_noise(x, y, law):
    b = weights()
    v = pyro.sample("v", law(b))
    observe(x @ b, v.sqrt(), y)


def beta_that_moves(x, y):
    u = pyro.sample("u", dist.Exponential(1.0))
    pi = pyro.sample("pi", dist.Beta(1.0 + u, 2.0))
    observe(x @ l0bayes.spike_and_slab("b", pi, slab()), 0.6, y)


def only_together(x, y):
    """A scale that moves when all gates of two sites are shut, and no sooner."""
    b = weights(2)
    c = l0bayes.spike_and_slab("c", 0.3, slab(2))
    empty = (b == 0).all() & (c == 0).all()
    a = pyro.sample("a", dist.Normal(0.0, torch.where(empty, 0.1, 2.0)))
    observe(a + x[:, :2] @ b + x[:, 2:] @ c, 0.6, y)


DEPENDENT = {
    "a gate on gates": (heredity, "inclusion probability depends on the gate 'g'; refinement takes fixed"),
    "a slab's scale on a weight": (
        lambda x, y: two_sets(x, y, lambda b: b.abs().sum() + 0.01),
        "slab scale of site 'c.slab' depends on the gate 'b.gate'",
    ),
    "an intercept's mean on weights": (
        lambda x, y: with_intercept(x, y, lambda b: dist.Normal(3 * b.sum(), 0.1)),
        "prior of the ungated latent 'a' depends on the gate 'b.gate'",
    ),
    "an intercept's scale on weights": (
        lambda x, y: with_intercept(x, y, lambda b: dist.Normal(0.0, 0.1 + b.square().sum())),
        "prior of the ungated latent 'a' depends on the gate 'b.gate'",
    ),
    "a layer of latents": (latent_layer, "prior of the ungated latent 'z' depends on the gate 'b.gate'"),
    "the noise's prior on weights": (
        lambda x, y: with_noise(x, y, lambda b: dist.InverseGamma(2.0, 1.0 + b.square().sum())),
        "prior of the noise latent 'v' depends on the gate 'b.gate'",
    ),
    "the inclusion's prior on a latent": (
        beta_that_moves, "prior of the inclusion 'pi' depends on the latent 'u'",
    ),
    "a scale on all gates together": (
        only_together,
        r"prior of the ungated latent 'a' depends on the gates \['b.gate', 'c.gate'\].* together",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEPENDENT)
@pytest.mark.parametrize("seed", [0, 1])
def test_priors_that_move_are_refused(name, seed):
    model, match = DEPENDENT[name]
    with pytest.raises(NotLinearError, match=match):
        read_linear_model(model, (X, Y), seed)


def test_a_latent_of_no_consequence_may_depend_on_anything():
    def model(x, y):
        b = weights()
        pyro.sample("forecast", dist.Normal(b.sum(), 1.0))
        observe(x @ b, 0.6, y)

    check(refined(model), known_noise(X, Y, 0.6))


# ---- masks and scales --------------------------------------------------------------------------------

ROWS = torch.arange(N) < 15


def masked_by_the_law(x, y):
    b = weights()
    with pyro.plate("rows", N):
        pyro.sample("y", dist.Normal(x @ b, 0.6).mask(ROWS), obs=y)


def masked_by_a_handler(x, y):
    b = weights()
    with poutine.mask(mask=ROWS):
        observe(x @ b, 0.6, y)


def masked_by_both(x, y):
    b = weights()
    with poutine.mask(mask=torch.arange(N) < 30):
        law = (
            dist.Normal((x @ b)[:, None], 0.6)
            .to_event(1)
            .mask((torch.arange(N) < 15) | (torch.arange(N) > 35))
        )
        pyro.sample("y", law, obs=y[:, None])


@pytest.mark.parametrize("model", [masked_by_the_law, masked_by_a_handler, masked_by_both])
def test_masked_rows_are_left_out(model):
    unknown = torch.where(ROWS, Y, math.nan)
    found = refined(model, (X, Y))
    check(found, known_noise(X[:15], Y[:15], 0.6))
    torch.testing.assert_close(found.problem.y, Y[:15].double())
    torch.testing.assert_close(read_linear_model(model, (X, unknown)).problem.x, X[:15].double())


def test_masked_rows_of_counts_are_left_out():
    trials = COUNTS + torch.arange(N) % 3 + 1

    def model(x, y):
        law = dist.Binomial(trials, logits=x @ weights()).mask(ROWS)
        with pyro.plate("rows", N), poutine.scale(scale=torch.arange(1.0, N + 1.0)):
            pyro.sample("y", law, obs=y)

    problem = read_linear_model(model, (X, COUNTS)).problem
    assert torch.equal(problem.likelihood.trials, trials[:15].double())
    assert torch.equal(problem.weights, torch.arange(1.0, 16.0, dtype=DOUBLE))


def all_masked(x, y):
    with poutine.mask(mask=False):
        observe(x @ weights(), 0.6, y)


def a_mask_that_moves(x, y):
    b = weights()
    with poutine.mask(mask=ROWS | (b != 0).any()):
        observe(x @ b, 0.6, y)


def prior_by(handler):
    def model(x, y):
        with handler:
            b = weights()
        observe(x @ b, 0.6, y)

    return model


def masked_intercept(x, y):
    observe(x @ weights() + pyro.sample("a", dist.Normal(0.0, 1.0).mask(False)), 0.6, y)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (all_masked, "all rows of site 'y' are masked"),
        (a_mask_that_moves, "mask of site 'y' depends on the gate 'b.gate'"),
        (prior_by(poutine.mask(mask=False)), "log prior of the gate 'b.gate' is masked"),
        (prior_by(poutine.scale(scale=0.01)), "log prior of the gate 'b.gate' is scaled"),
        (masked_intercept, "log prior of the latent 'a' is masked"),
    ],
)
def test_other_masks_and_scales_are_refused(model, match):
    with pytest.raises(NotLinearError, match=match):
        read_linear_model(model, (X, Y))


# ---- parameters --------------------------------------------------------------------------------------


def with_parameter(x, y):
    b = weights()
    observe(x @ b, pyro.param("s", torch.tensor(5.0), constraint=dist.constraints.positive), y)


def test_parameters_are_read_as_they_were_trained():
    store = pyro.get_param_store()
    with store.scope():
        with pytest.warns(UntrainedParameterWarning, match=r"parameters \['s'\] of pyro.param are not in"):
            assert read_linear_model(with_parameter, (X, Y)).problem.noise == pytest.approx(5.0)
        assert not list(store)
        pyro.param("s", torch.tensor(0.55), constraint=dist.constraints.positive)
        pyro.param("unused", torch.tensor(1.0))
        found = refined(with_parameter)
        assert sorted(store) == ["s", "unused"]
    check(found, known_noise(X, Y, float(np.float32(0.55))))


def test_a_module_keeps_its_own_parameters():
    class Regression(PyroModule):
        def __init__(self):
            super().__init__()
            self.s = PyroParam(torch.tensor(0.7), dist.constraints.positive)

        def forward(self, x, y):
            observe(x @ weights(), self.s, y)

    model, store = Regression(), pyro.get_param_store()
    with store.scope():
        pyro.param("s", torch.tensor(9.0), constraint=dist.constraints.positive)
        assert read_linear_model(model, (X, Y)).problem.noise == pytest.approx(0.7)


# ---- dispersion, noise -------------------------------------------------------------------------------


def test_a_dispersion_that_is_a_normal_latent_is_refused():
    def model(x, y):
        b = weights()
        lp = pyro.sample("lp", dist.Normal(0.0, 2.0))
        with pyro.plate("rows", N):
            pyro.sample("y", dist.NegativeBinomial(torch.exp(-lp), logits=x @ b + lp), obs=y)

    with pytest.raises(NotLinearError, match="dispersion of site 'y' depends on the latent 'lp'"):
        read_linear_model(model, (X, COUNTS))


def noise_of(x, y, scale):
    b = weights()
    observe(x @ b, scale(b), y)


@pytest.mark.parametrize(
    ("scale", "match"),
    [
        (
            lambda b: torch.where((b != 0).any(), torch.tensor(0.6), torch.tensor(3.0)),
            "noise of site 'y' depends on the weights: it moves with the gate 'b.gate'",
        ),
        (
            lambda b: 0.6 + 2.4 * pyro.sample("w", dist.Bernoulli(0.001)),
            "noise latent 'w' has the prior Bernoulli",
        ),
        (
            lambda b: pyro.sample("v", dist.InverseGamma(2.0, 1.0)),
            "'v' has the prior InverseGamma, and the noise of site 'y' is not one that goes with it",
        ),
    ],
)
def test_noises_that_are_refused(scale, match):
    with pytest.raises(NotLinearError, match=match):
        read_linear_model(lambda x, y: noise_of(x, y, scale), (X, Y))


def unknown_noise(x, y, slab_scale, rate):
    b = weights(scale=slab_scale, dtype=DOUBLE)
    v = pyro.sample("v", dist.InverseGamma(torch.tensor(2.0, dtype=DOUBLE), rate))
    observe(x @ b, v.sqrt(), y)


@pytest.mark.parametrize(
    ("x", "y", "slab_scale", "rate"),
    [
        (X.double(), Y.double() * 1e-9, 1e-9, 1e-18),
        (X.double() * 1e9, Y.double(), 1e-9, 1.0),
        (X.double(), Y.double() * 1e9, 1e9, 1e18),
    ],
)
def test_units_do_not_matter(x, y, slab_scale, rate):
    found = refined(lambda x, y: unknown_noise(x, y, slab_scale, rate), (x, y))
    assert not found.problem.slab_scaled_by_noise
    assert found.problem.noise.rate == rate
    check(found, inverse_gamma(x, y, slab_scale, 2.0, rate))
