"""Latents that are neither gate nor slab keep the density of the constrained variable, Jacobian and all."""

import itertools
import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoNormal
from scipy import stats
from scipy.integrate import quad
from scipy.special import expit
from scipy.special import logit as np_logit

from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO

pytestmark = pytest.mark.usefixtures("float64")

LOC, SCALE = 0.7, 0.6

# prior, value -> unconstrained value, log |d unconstrained / d value|, by hand
CASES = {
    "real": (dist.StudentT(4.0), lambda v: v, lambda v: 0.0),
    "positive": (dist.LogNormal(0.0, 1.0), np.log, lambda v: -np.log(v)),
    "nonnegative": (dist.HalfNormal(2.0), np.log, lambda v: -np.log(v)),
    "gamma": (dist.Gamma(2.0, 1.0), np.log, lambda v: -np.log(v)),
    "unit_interval": (dist.Beta(2.0, 3.0), np_logit, lambda v: -np.log(v) - np.log1p(-v)),
    "interval": (
        dist.Uniform(-1.0, 3.0),
        lambda v: np_logit((v + 1.0) / 4.0),
        lambda v: np.log(4.0) - np.log(v + 1.0) - np.log(3.0 - v),
    ),
    "greater_than": (dist.Pareto(1.0, 3.0), lambda v: np.log(v - 1.0), lambda v: -np.log(v - 1.0)),
}


def set_law(guide, name="v", loc=LOC, scale=SCALE):
    with torch.no_grad():
        setattr(guide.loc, name, torch.as_tensor(loc).expand(getattr(guide.loc, name).shape).clone())
        setattr(guide.scale, name, torch.as_tensor(scale).expand(getattr(guide.scale, name).shape).clone())
    return guide


def guide_for(prior):
    def model():
        pyro.sample("v", prior)

    return model, set_law(AutoHardConcrete(model))


def log_q(case, value):
    _, pull, log_slope = CASES[case]
    return stats.norm(LOC, SCALE).logpdf(pull(value)) + log_slope(value)


@pytest.mark.parametrize("case", CASES)
def test_the_density_is_that_of_the_pushed_normal(case):
    _, guide = guide_for(CASES[case][0])
    torch.manual_seed(2)
    law = guide.laws()["v"]
    values = law.sample((200,))
    expected = log_q(case, values.numpy())
    np.testing.assert_allclose(law.log_prob(values).detach().numpy(), expected, rtol=1e-8, atol=1e-8)
    drawn = CASES[case][1](values.numpy())
    assert stats.kstest(drawn, stats.norm(LOC, SCALE).cdf).pvalue > 1e-3


def gauss_hermite(order=80):
    """Nodes and weights of expectations under a standard Normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    return nodes, weights / math.sqrt(2.0 * math.pi)


def exact_kl(case):
    nodes, weights = gauss_hermite()
    values = push(case, LOC + SCALE * nodes)
    log_p = CASES[case][0].log_prob(torch.tensor(values)).numpy()
    return (weights * (log_q(case, values) - log_p)).sum()


def push(case, x):
    return {
        "real": lambda: x,
        "unit_interval": lambda: expit(x),
        "interval": lambda: 4.0 * expit(x) - 1.0,
        "greater_than": lambda: 1.0 + np.exp(x),
    }.get(case, lambda: np.exp(x))()


PARTICLES = 40_000


def estimate(elbo, model, guide, repeats=4):
    return sum(elbo.loss(model, guide) for _ in range(repeats)) / repeats


@pytest.mark.parametrize("case", CASES)
def test_the_kl_is_that_of_the_constrained_variable(case):
    model, guide = guide_for(CASES[case][0])
    elbo = MeanFieldELBO(num_particles=PARTICLES, vectorize_particles=True, max_plate_nesting=0)
    assert estimate(elbo, model, guide) == pytest.approx(exact_kl(case), abs=0.03)


@pytest.mark.slow
def test_a_simplex_has_the_density_of_stick_breaking():
    """In the first two coordinates y: y₁ = z₁, y₂ = z₂ (1 - z₁), z₁ = σ(x₁ - log 2), z₂ = σ(x₂)."""
    prior = dist.Dirichlet(torch.tensor([2.0, 1.0, 3.0]))
    loc, scale = torch.tensor([0.3, -0.4]), torch.tensor([0.5, 0.8])

    def model():
        pyro.sample("v", prior)

    guide = set_law(AutoHardConcrete(model), loc=loc, scale=scale)
    law = guide.laws()["v"]

    def density(y1, y2):
        z1, z2 = y1, y2 / (1.0 - y1)
        x = np.array([np_logit(z1) + math.log(2.0), np_logit(z2)])
        slope = 1.0 / (z1 * (1.0 - z1)) / (z2 * (1.0 - z2)) / (1.0 - y1)
        return stats.norm(loc.numpy(), scale.numpy()).pdf(x).prod() * slope

    for value in law.sample((20,)):
        expected = math.log(density(value[0].item(), value[1].item()))
        assert law.log_prob(value).item() == pytest.approx(expected, abs=1e-8)

    nodes, weights = gauss_hermite(40)
    kl = 0.0
    for (s1, w1), (s2, w2) in itertools.product(zip(nodes, weights, strict=True), repeat=2):
        z1 = expit(0.3 + 0.5 * s1 - math.log(2.0))
        y1, y2 = z1, expit(-0.4 + 0.8 * s2) * (1.0 - z1)
        log_p = math.lgamma(6.0) - math.lgamma(2.0) - math.lgamma(3.0)
        log_p += math.log(y1) + 2.0 * math.log(1.0 - y1 - y2)
        kl += w1 * w2 * (math.log(density(y1, y2)) - log_p)
    elbo = MeanFieldELBO(num_particles=PARTICLES, vectorize_particles=True, max_plate_nesting=0)
    assert estimate(elbo, model, guide) == pytest.approx(kl, abs=0.03)


@pytest.mark.parametrize(
    ("prior", "shape"),
    [
        (dist.LogNormal(0.0, 1.0).expand([3]).to_event(1), (3,)),
        (dist.Beta(2.0, 2.0).expand([2, 3]).to_event(2), (2, 3)),
        (dist.Normal(0.0, 1.0).expand([3]).to_event(1), (3,)),
        (dist.LKJCholesky(3, 1.0), (3, 3)),
        (dist.Dirichlet(torch.ones(4)).expand([2]).to_event(1), (2, 4)),
    ],
)
def test_event_dimensions_are_those_of_the_model(prior, shape):
    model, guide = guide_for(prior)
    trace = pyro.poutine.trace(guide).get_trace()
    fn = trace.nodes["v"]["fn"]
    assert fn.event_shape == prior.event_shape == shape
    assert fn.batch_shape == ()
    assert fn.log_prob(trace.nodes["v"]["value"]).shape == ()
    assert MeanFieldELBO()(model, guide)().isfinite()


@pytest.mark.parametrize("event", [False, True])
def test_a_normal_latent_has_an_analytic_kl(event):
    """Nothing is sampled for it, so that the loss has no noise and is exact."""
    prior = dist.Normal(0.5, 2.0).expand([3]).to_event(1) if event else dist.Normal(0.5, 2.0)
    model, guide = guide_for(prior)
    exact = math.log(2.0 / SCALE) + (SCALE**2 + (LOC - 0.5) ** 2) / (2.0 * 4.0) - 0.5
    elbo = MeanFieldELBO()
    for _ in range(3):
        assert elbo.loss(model, guide) == pytest.approx(exact * (3 if event else 1), abs=1e-10)


# ---- where Pyro's own mean-field ELBO goes wrong ---------------------------------------------------


def toy():
    """A positive latent and a datum; AutoNormal's Delta holds the Jacobian that is lost."""
    tau = pyro.sample("v", dist.LogNormal(0.0, 1.0))
    pyro.sample("y", dist.Normal(0.0, tau), obs=torch.tensor(1.5))


def toy_free_energy():
    """KL in the logarithm plus the expected misfit, by quadrature."""
    kl = -math.log(SCALE) + (SCALE**2 + LOC**2 - 1.0) / 2.0

    def misfit(x):
        return -stats.norm(0.0, math.exp(x)).logpdf(1.5) * stats.norm(LOC, SCALE).pdf(x)

    return kl + quad(misfit, LOC - 8 * SCALE, LOC + 8 * SCALE)[0]


def auto_normal():
    guide = AutoNormal(toy)
    guide()
    return set_law_of_auto_normal(guide)


def set_law_of_auto_normal(guide):
    guide.locs.v = torch.tensor(LOC)
    guide.scales.v = torch.tensor(SCALE)
    return guide


def test_the_free_energy_is_right_where_the_stock_mean_field_elbo_is_not():
    batch = {"num_particles": PARTICLES, "vectorize_particles": True, "max_plate_nesting": 0}
    exact = toy_free_energy()
    stock = estimate(TraceMeanField_ELBO(**batch), toy, auto_normal())
    assert stock == pytest.approx(exact + LOC, abs=0.03)  # E[log dτ/dx] = E[x] is lost
    ours = set_law(AutoHardConcrete(toy))
    assert estimate(MeanFieldELBO(**batch), toy, ours) == pytest.approx(exact, abs=0.03)
    assert estimate(MeanFieldELBO(**batch), toy, auto_normal()) == pytest.approx(exact, abs=0.03)
    # our guide has a density of its own, so that the stock objectives are right on it as well
    assert estimate(TraceMeanField_ELBO(**batch), toy, ours) == pytest.approx(exact, abs=0.03)
    assert estimate(Trace_ELBO(**batch), toy, ours) == pytest.approx(exact, abs=0.03)
