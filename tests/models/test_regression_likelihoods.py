"""Every likelihood of the regression against SciPy, its gradients, its training, its refusals."""

import math

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from scipy import stats

import l0bayes
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoJointGates
from l0bayes.infer import MeanFieldELBO, Minibatches
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.likelihoods import CoxPartialLikelihood
from l0bayes.models import SparseRegression
from l0bayes.posterior import gate_table, to_arviz

GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(20, 3, generator=GENERATOR, dtype=torch.float64)
OFFSET = 0.3 * torch.randn(20, generator=GENERATOR, dtype=torch.float64)
WEIGHTS = torch.rand(20, generator=GENERATOR, dtype=torch.float64) + 0.5
TRIALS = torch.randint(1, 9, (20,), generator=GENERATOR).double()
COUNTS = torch.poisson(torch.full((20,), 2.0, dtype=torch.float64), generator=GENERATOR)
REAL = torch.randn(20, generator=GENERATOR, dtype=torch.float64)
LABELS = (REAL > 0).double()
SURVIVAL = torch.stack([REAL.exp().round(decimals=1), LABELS], -1)
ETA = (X @ torch.tensor([1.0, 0.0, -0.5], dtype=torch.float64) + 0.2 + OFFSET).numpy()
SD = 0.7 / WEIGHTS.sqrt().numpy()

VALUES = {
    "beta.gate": torch.tensor([1.0, 0.0, 0.5], dtype=torch.float64),
    "beta.slab": torch.tensor([1.0, 3.0, -1.0], dtype=torch.float64),
    "intercept": torch.tensor(0.2, dtype=torch.float64),
    "noise_variance": torch.tensor(0.49, dtype=torch.float64),
    "df": torch.tensor(3.5, dtype=torch.float64),
    "dispersion": torch.tensor(0.6, dtype=torch.float64),
}
MEAN = np.exp(ETA)
# likelihood, options, response, trials, log likelihood of each row without its weight, weighted by scale
CASES = {
    "gaussian": ({}, REAL, None, lambda y: stats.norm.logpdf(y, ETA, SD)),
    "student_t": ({"df": 3.5}, REAL, None, lambda y: stats.t.logpdf(y, 3.5, ETA, SD)),
    "student_t learned": ({"df": "learned"}, REAL, None, lambda y: stats.t.logpdf(y, 3.5, ETA, SD)),
    "bernoulli": ({}, LABELS, None, lambda y: stats.bernoulli.logpmf(y, 1 / (1 + np.exp(-ETA)))),
    "binomial": (
        {},
        (TRIALS / 2).floor(),
        TRIALS,
        lambda y: stats.binom.logpmf(y, TRIALS.numpy(), 1 / (1 + np.exp(-ETA))),
    ),
    "poisson": ({}, COUNTS, None, lambda y: stats.poisson.logpmf(y, MEAN)),
    "negative_binomial": (
        {"dispersion": 0.6}, COUNTS, None, lambda y: stats.nbinom.logpmf(y, 1 / 0.6, 1 / (1 + 0.6 * MEAN))
    ),
    "negative_binomial learned": (
        {}, COUNTS, None, lambda y: stats.nbinom.logpmf(y, 1 / 0.6, 1 / (1 + 0.6 * MEAN))
    ),
}  # fmt: skip
IN_THE_LAW = ("gaussian", "student_t")


def regression(name, **more):
    options = CASES.get(name, ({},))[0]
    return SparseRegression(3, name.partition(" ")[0], **options, **more)


def data_of(name):
    if name == "cox":
        return (X, SURVIVAL, OFFSET, WEIGHTS)
    _, y, trials, _ = CASES[name]
    return (X, y, OFFSET, WEIGHTS) if trials is None else (X, y, OFFSET, WEIGHTS, trials)


@pytest.mark.parametrize("name", CASES)
def test_the_log_likelihood(name):
    """With offset and case weights; the latents of the likelihood have the values of VALUES."""
    model = regression(name)
    with Given(VALUES):
        trace = poutine.trace(model).get_trace(*data_of(name))
    trace.compute_log_prob()
    _, y, _, reference = CASES[name]
    rows = reference(y.numpy())
    if not name.startswith(IN_THE_LAW):
        rows = WEIGHTS.numpy() * rows
    np.testing.assert_allclose(trace.nodes["y"]["log_prob"].detach().numpy(), rows, rtol=1e-10, atol=1e-12)


def test_the_log_likelihood_of_cox():
    """The law is tested on its own; here that the regression gives it its parts, and has no intercept."""
    with Given(VALUES):
        trace = poutine.trace(SparseRegression(3, "cox")).get_trace(X, (SURVIVAL[:, 0], LABELS), OFFSET)
    assert "intercept" not in trace.nodes
    law = trace.nodes["y"]["fn"]
    np.testing.assert_allclose(law.predictor.numpy(), ETA - 0.2, atol=1e-12)
    assert torch.equal(trace.nodes["y"]["value"], SURVIVAL)


@pytest.mark.parametrize("name", [*CASES, "cox"])
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_gradients_are_finite(name, scale):
    """Also where predictors are far out, in float32."""
    data = tuple(value.float() for value in data_of(name))
    slab = torch.tensor([1.0, 3.0, -1.0], requires_grad=True)
    values = {key: value.float() for key, value in VALUES.items()}
    with Given({**values, "beta.slab": slab}):
        trace = poutine.trace(regression(name)).get_trace(data[0] * scale / 4.0, *data[1:])
    total = trace.log_prob_sum()
    assert torch.isfinite(total)
    assert torch.isfinite(torch.autograd.grad(total, slab)[0]).all()


@pytest.mark.parametrize("name", [*CASES, "cox"])
def test_it_trains(name):
    """The ELBO goes up, through the captured graph, and the hardened ELBO is finite."""
    model, data = regression(name, inclusion=0.3), tuple(value.float() for value in data_of(name))
    guide = AutoHardConcrete(model, data)
    start = l0bayes.hardened_elbo(model, guide, data, num_draws=20)
    fit = l0bayes.fit(model, guide, data, steps=60, lr=0.03, compile="graph", progress=False)
    assert fit.mode == "graph"
    end = l0bayes.hardened_elbo(model, guide, data, num_draws=20)
    assert math.isfinite(end.value)
    assert end.value > start.value


@pytest.mark.parametrize("name", [*CASES])
def test_draws_have_the_laws_mean(name):
    """400 draws of each row, given the latents, within four standard errors of the mean."""
    _, _, trials, _ = CASES[name]
    model = regression(name)
    torch.manual_seed(0)
    values = {**VALUES, "dispersion": torch.tensor(0.2, dtype=torch.float64)}
    options = model.likelihood.__dict__
    if "dispersion" in options:
        options["dispersion"] = 0.2
    with Given(values):
        law = poutine.trace(model).get_trace(X, None, OFFSET, None, trials).nodes["y"]["fn"]
    mean = {
        "binomial": lambda: TRIALS.numpy() / (1 + np.exp(-ETA)),
        "bernoulli": lambda: 1 / (1 + np.exp(-ETA)),
    }
    wanted = mean.get(name, lambda: ETA if name.startswith(IN_THE_LAW) else MEAN)()
    draws = law.sample((400,))
    error = (draws.mean(0).numpy() - wanted) / (draws.std(0).numpy() / 20 + 0.02)
    assert np.abs(error).max() < 4.5


def test_minibatches_are_scaled():
    model = SparseRegression(3, noise_scale=1.0, num_data=20)
    whole = SparseRegression(3, noise_scale=1.0)
    with Given(VALUES):
        parts = [
            poutine.trace(model).get_trace(X[rows], REAL[rows], OFFSET[rows], WEIGHTS[rows])
            for rows in (slice(0, 10), slice(10, 20))
        ]
        full = poutine.trace(whole).get_trace(X, REAL, OFFSET, WEIGHTS)
    for trace in (*parts, full):
        trace.compute_log_prob()
    halves = sum(float(trace.nodes["y"]["log_prob_sum"]) for trace in parts) / 2
    assert halves == pytest.approx(float(full.nodes["y"]["log_prob_sum"]))


def test_minibatches_with_weights_train():
    model = SparseRegression(3, "poisson", num_data=20)
    batches = Minibatches(X.float(), COUNTS.float(), OFFSET.float(), WEIGHTS.float(), batch_size=10)
    guide = AutoHardConcrete(model, next(iter(batches)))
    fit = l0bayes.fit(model, guide, batches, epochs=3, compile="eager", progress=False)
    assert math.isfinite(fit.elbo)


# ---- slabs -------------------------------------------------------------------------------------------


def slab_of(**options):
    with Given(VALUES | {"slab_scale": torch.tensor(0.4, dtype=torch.float64)}):
        trace = poutine.trace(SparseRegression(3, **options)).get_trace(X, REAL)
    return trace.nodes["beta.slab"]["fn"].base_dist, trace


@pytest.mark.parametrize(
    ("slab", "reference"),
    [
        ("normal", stats.norm(0, 0.5)),
        ("laplace", stats.laplace(0, 0.5)),
        ("student_t", stats.t(3.0, 0, 0.5)),
    ],
)
def test_slab_priors(slab, reference):
    law, _ = slab_of(slab=slab, slab_scale=0.5)
    x = torch.tensor([-1.0, 0.2, 3.0], dtype=torch.float64)
    np.testing.assert_allclose(law.log_prob(x).numpy(), reference.logpdf(x.numpy()), rtol=1e-12)


def test_slab_scales():
    law, _ = slab_of(slab_scale=torch.tensor([1.0, 2.0, 3.0]))
    assert law.scale.tolist() == [1.0, 2.0, 3.0]
    law, _ = slab_of(slab_scale=0.5, slab_scaled_by_noise=True)
    assert law.scale.tolist() == pytest.approx([0.35] * 3)
    law, _ = slab_of(slab_scale=2.0, slab_scaled_by_noise=True, noise_scale=0.3)
    assert law.scale.tolist() == pytest.approx([0.6] * 3)
    law, trace = slab_of(slab_scale="learned", slab_scale_prior=2.0)
    assert law.scale.tolist() == pytest.approx([0.4] * 3)
    assert float(trace.nodes["slab_scale"]["fn"].scale) == 2.0


@pytest.mark.parametrize("slab", ["normal", "laplace", "student_t"])
@pytest.mark.parametrize("options", [{"slab_scale": "learned"}, {"slab_scaled_by_noise": True}])
def test_the_kl_of_a_slab_with_a_latent_scale(slab, options):
    """At the draw of the scale: the KL of the slab, weighted by the activity, against draws."""
    model = SparseRegression(3, slab=slab, **options)
    guide = AutoHardConcrete(model, (X, REAL), init_scale=0.4)
    elbo = MeanFieldELBO()
    hyper = {
        k: v for k, v in {**VALUES, "slab_scale": torch.tensor(0.4).double()}.items() if k != "beta.slab"
    }
    with Given(hyper), torch.no_grad():
        kl = elbo.terms(model, guide, X, REAL).kl["beta.slab"]
        trace = poutine.trace(model).get_trace(X, REAL)
        prior, q = trace.nodes["beta.slab"]["fn"].base_dist, guide.laws()["beta.slab"]
        torch.manual_seed(0)
        draws = q.base.sample((40_000,))
        gain = (q.activity * (q.base.log_prob(draws) - prior.log_prob(draws))).sum(-1)
    assert float(kl) == pytest.approx(float(gain.mean()), abs=5 * float(gain.std()) / 200)


@pytest.mark.parametrize("slab", ["laplace", "student_t"])
def test_other_slabs_train(slab):
    model = SparseRegression(3, slab=slab, slab_scale="learned")
    guide = AutoHardConcrete(model, (X, REAL))
    fit = l0bayes.fit(model, guide, (X, REAL), steps=40, compile="graph", progress=False)
    assert math.isfinite(fit.elbo)


def test_the_noise_prior():
    with Given(VALUES):
        trace = poutine.trace(SparseRegression(3, noise_prior=(2.5, 0.4))).get_trace(X, REAL)
    law = trace.nodes["noise_variance"]["fn"]
    assert isinstance(law, dist.InverseGamma)
    assert (float(law.concentration), float(law.rate)) == pytest.approx((2.5, 0.4))


# ---- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("likelihood", "options", "match"),
    [
        ("gaussian", {"slab": "cauchy"}, "slab must be one of normal, laplace, student_t; got 'cauchy'"),
        ("gaussian", {"slab_scale": "fixed"}, "slab_scale must be positive or 'learned', got 'fixed'"),
        ("gaussian", {"slab_scale": torch.ones(2)}, r"slab_scale must have shape \(3,\), got \(2,\)"),
        ("gaussian", {"noise_prior": (1.0, 0.0)}, "noise_prior as a pair must be two positive numbers"),
        ("poisson", {"slab_scaled_by_noise": True}, "needs a likelihood with a noise; 'poisson' has none"),
        ("student_t", {"df": 0.0}, "df must be positive, got 0.0"),
        ("negative_binomial", {"dispersion": -1.0}, "dispersion must be positive, got -1.0"),
        ("cox", {"ties": "exact"}, "ties must be one of efron, breslow; got 'exact'"),
        ("cox", {"num_data": 100}, "one term for all rows, without minibatches"),
        ("poisson", {"num_data": 0}, "num_data must be at least 1, got 0"),
    ],
)
def test_wrong_options(likelihood, options, match):
    with pytest.raises(ValueError, match=match):
        SparseRegression(3, likelihood, **options)


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        (
            "poisson",
            (X, COUNTS - 5),
            "y must hold counts, whole and not negative, .*poisson likelihood; got -",
        ),
        ("negative_binomial", (X, COUNTS + 0.5), "y must hold counts, whole"),
        (
            "bernoulli",
            (X, LABELS * 2),
            "y must hold zeros and ones for the bernoulli likelihood; got 2.0",
        ),
        ("bernoulli", (X, LABELS / 2), "y must hold zeros and ones for the bernoulli likelihood; got 0.5"),
        (
            "bernoulli",
            (X, LABELS * math.nan),
            "y must hold zeros and ones .*bernoulli likelihood; got nan",
        ),
        ("binomial", (X, COUNTS, None, None, 0 * COUNTS), "trials must be at least 1 in a row"),
        ("binomial", (X, COUNTS, None, None, COUNTS * math.nan), "trials must hold whole numbers"),
        (
            "binomial",
            (X, COUNTS, None, None, COUNTS - 1),
            "trials must hold whole numbers|y must hold counts",
        ),
        ("binomial", (X, COUNTS), "trials must be given for the binomial likelihood"),
        (
            "cox",
            (X, (-1 - COUNTS, LABELS)),
            "time must hold times, not negative; got -",
        ),
        ("cox", (X, (COUNTS, LABELS + 1)), "event must hold 1 where the event was seen"),
        ("cox", (X, (COUNTS, 0 * LABELS)), "event must be 1 in at least one row"),
        ("cox", (X, COUNTS), r"y must have shape \(20, 2\) as x has rows; got \(20,\)"),
        ("poisson", (X, COUNTS, OFFSET[:3]), r"offset must have shape \(20,\), got \(3,\)"),
        ("poisson", (X, COUNTS, None, WEIGHTS - 1), "weights must be positive, got -"),
    ],
)
def test_data_that_cannot_be_observed(name, data, match):
    with pytest.raises(ValueError, match=match):
        SparseRegression(3, name).check_data(*data)


def test_fit_checks_the_data():
    model = SparseRegression(3, "poisson")
    guide = AutoHardConcrete(model, (X, COUNTS))
    with pytest.raises(ValueError, match="y must hold counts"):
        l0bayes.fit(model, guide, (X, REAL), steps=1, progress=False)


def test_cox_draws_no_times():
    with pytest.raises(NotImplementedError, match="times cannot be drawn"):
        SparseRegression(3, "cox")(X)


# ---- what is read off a fit ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", [AutoHardConcrete, AutoJointGates])
def test_a_fit_of_cox_is_judged_and_read_without_new_times(family):
    model = SparseRegression(["a", "b", "c"], "cox", inclusion=0.3)
    data = (X, (SURVIVAL[:, 0], LABELS), OFFSET, WEIGHTS)
    fit = l0bayes.fit(model, family(model, data), data, steps=50, compile="eager", progress=False)
    verdict = l0bayes.trust(fit, num_draws=200)
    assert 0.0 <= verdict.residual <= 1.0
    assert verdict.k_hat is not None
    table = gate_table(fit)
    assert sorted(table.index) == ["a", "b", "c"]
    posterior = to_arviz(fit, num_draws=20)
    assert "posterior_predictive" not in posterior
    assert posterior["observed_data"]["y"].to_numpy() == pytest.approx(SURVIVAL.numpy())
    drawn = torch.as_tensor(posterior["posterior"]["beta"].to_numpy()[0])
    for beta, value in zip(drawn, posterior["log_likelihood"]["y"].to_numpy()[0], strict=True):
        law = CoxPartialLikelihood(X @ beta.to(X) + OFFSET, WEIGHTS)
        assert value == pytest.approx(float(law.log_prob(SURVIVAL)), rel=1e-6)


def test_a_row_without_trials_says_nothing():
    def judged(x, y, trials):
        model = SparseRegression(3, "binomial", inclusion=0.3)
        data = (x, y, None, None, trials)
        guide = AutoBernoulliGates(model, data)
        fit = l0bayes.fit(model, guide, data, steps=50, compile="eager", progress=False)
        return l0bayes.refine(fit), l0bayes.trust(fit, num_draws=100)

    rows = torch.tensor([[40.0, 2.0, -3.0], [1.0, -9.0, 0.0]], dtype=torch.float64)
    zeros = torch.zeros(2, dtype=torch.float64)
    y = (TRIALS / 2).floor()
    without, _ = judged(X, y, TRIALS)
    refined, verdict = judged(torch.cat([X, rows]), torch.cat([y, zeros]), torch.cat([TRIALS, zeros]))
    torch.testing.assert_close(refined.pip("beta"), without.pip("beta"), rtol=0, atol=1e-8)
    torch.testing.assert_close(refined.mean("beta"), without.mean("beta"), rtol=0, atol=1e-8)
    assert verdict.residual is not None
