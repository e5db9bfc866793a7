"""Refining fits: regressions found in Pyro models, the answers by site names, and what is refused."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

import l0bayes
from l0bayes.distributions import HardConcrete, L0Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Fit, Minibatches
from l0bayes.models import SparseNetwork, SparseRegression
from l0bayes.selection import GaussianProblem, InclusionPrior, InverseGamma, infer_gates
from l0bayes.selection.recognise.linear_model import NotLinearError, read_linear_model
from l0bayes.selection.refine import refine

DOUBLE = torch.float64
GENERATOR = torch.Generator().manual_seed(8)
N, P = 40, 4
X = torch.randn(N, P, generator=GENERATOR, dtype=DOUBLE)
X[:, 1] = X[:, 0] + 0.3 * X[:, 1]
Y = X[:, 0] - 0.5 * X[:, 3] + 0.7 + 0.5 * torch.randn(N, generator=GENERATOR, dtype=DOUBLE)
OFFSET = 0.3 * torch.randn(N, generator=GENERATOR, dtype=DOUBLE)
WEIGHTS = torch.rand(N, generator=GENERATOR, dtype=DOUBLE) + 0.5
COUNTS = torch.poisson((0.4 * X[:, 0]).exp(), generator=GENERATOR)
LABELS = (Y > 0.7).double()
TRIALS = COUNTS + 2


def untrained(model, data):
    return Fit.of(model, AutoHardConcrete(model, data), data)


def same(found: GaussianProblem, wanted: GaussianProblem, tolerance: float = 1e-9) -> None:
    names = ("x", "y", "slab_scale", "groups", "unpenalised", "unpenalised_scale", "offset", "weights")
    for name in names:
        torch.testing.assert_close(
            getattr(found, name), getattr(wanted, name), atol=tolerance, rtol=tolerance, msg=name
        )
    if isinstance(wanted.noise, float):
        assert found.noise == pytest.approx(wanted.noise)
    else:
        assert found.noise == wanted.noise
    assert found.slab_scaled_by_noise == wanted.slab_scaled_by_noise
    if wanted.prior.log_odds is None:
        assert found.prior.beta == pytest.approx(wanted.prior.beta)
    else:
        torch.testing.assert_close(found.prior.log_odds, wanted.prior.log_odds)


def wanted_problem(**changes):
    settings = {
        "x": X,
        "y": Y,
        "prior": InclusionPrior(log_odds=torch.zeros(P, dtype=DOUBLE)),
        "slab_scale": torch.ones(P, dtype=DOUBLE),
        "noise": InverseGamma.weak(),
        "unpenalised": torch.ones(N, 1, dtype=DOUBLE),
        "unpenalised_scale": torch.tensor([10.0], dtype=DOUBLE),
    }
    return GaussianProblem(**{**settings, **changes})


NO_UNPENALISED = {"unpenalised": torch.empty(N, 0), "unpenalised_scale": torch.empty(0)}
REGRESSIONS = {
    "default": ({}, (X, Y), {}),
    "offset and weights": ({}, (X, Y, OFFSET, WEIGHTS), {"offset": OFFSET, "weights": WEIGHTS}),
    "no intercept, known noise": (
        {"intercept_scale": None, "noise_scale": 0.6, "slab_scale": 2.0},
        (X, Y),
        {**NO_UNPENALISED, "noise": 0.6, "slab_scale": torch.full((P,), 2.0)},
    ),
    "scaled by the noise": (
        {"slab_scaled_by_noise": True, "slab_scale": 0.8, "noise_prior": (2.0, 0.5)},
        (X, Y),
        {
            "slab_scaled_by_noise": True,
            "slab_scale": torch.full((P,), 0.8),
            "noise": InverseGamma(2.0, 0.5),
        },
    ),
    "scaled by a known noise": (
        {"slab_scaled_by_noise": True, "slab_scale": 0.5, "noise_scale": 0.6},
        (X, Y),
        {"noise": 0.6, "slab_scale": torch.full((P,), 0.3)},
    ),
    "groups": (
        {"groups": torch.tensor([0, 1, 0, 2])},
        (X, Y),
        {
            "groups": torch.tensor([0, 1, 0, 2]),
            "prior": InclusionPrior(log_odds=torch.zeros(3, dtype=DOUBLE)),
        },
    ),
    "beta": ({"inclusion": (1.0, 4.0)}, (X, Y), {"prior": InclusionPrior(beta=(1.0, 4.0))}),
    "penalty": (
        {"inclusion": L0Penalty(2.0)},
        (X, Y),
        {"prior": InclusionPrior(log_odds=torch.full((P,), -2.0, dtype=DOUBLE))},
    ),
}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_the_regression_is_found(name):
    options, data, changes = REGRESSIONS[name]
    found = read_linear_model(SparseRegression(P, **options), data)
    same(found.problem, wanted_problem(**changes), 1e-6)
    assert list(found.weights) == ["beta"]
    assert list(found.gates) == ["beta.gate"]


@pytest.mark.parametrize(
    ("likelihood", "data", "kind"),
    [
        ("bernoulli", (X, LABELS, OFFSET, WEIGHTS), "Bernoulli"),
        ("poisson", (X, COUNTS, OFFSET, WEIGHTS), "Poisson"),
        ("binomial", (X, COUNTS, OFFSET, WEIGHTS, TRIALS), "Binomial"),
        ("negative_binomial", (X, COUNTS, OFFSET, WEIGHTS), "NegativeBinomial"),
        ("cox", (X, torch.stack([COUNTS, LABELS], -1), OFFSET, WEIGHTS), "Cox"),
    ],
)
def test_generalised_linear_models_are_found(likelihood, data, kind):
    found = read_linear_model(SparseRegression(P, likelihood, dispersion=0.6), data).problem
    assert not found.is_gaussian
    assert type(found.likelihood).__name__ == kind
    for name, value in {"x": X, "y": data[1], "offset": OFFSET, "weights": WEIGHTS}.items():
        torch.testing.assert_close(getattr(found, name), value, msg=name)
    if kind == "NegativeBinomial":
        assert found.likelihood.dispersion == pytest.approx(0.6)
    if kind == "Binomial":
        assert torch.equal(found.likelihood.trials, TRIALS)


def test_student_t_noise_of_known_scale_is_found():
    model = SparseRegression(P, "student_t", noise_scale=0.7, df=5.0)
    found = read_linear_model(model, (X, Y, OFFSET)).problem
    assert found.likelihood.df == pytest.approx(5.0)
    assert found.likelihood.noise_scale == pytest.approx(0.7)
    with pytest.raises(NotLinearError, match="the noise differs between rows"):
        read_linear_model(model, (X, Y, OFFSET, WEIGHTS))


def own_model(x, y):
    """A plate of weights, an intercept with a mean, and a precision."""
    n, p = x.shape
    with pyro.plate("columns", p):
        w = l0bayes.spike_and_slab("w", 0.2, dist.Normal(torch.zeros(p).to(x), 1.5))
    a = pyro.sample("a", dist.Normal(torch.tensor(0.4).to(x), 3.0))
    tau = pyro.sample("tau", dist.Gamma(torch.tensor(2.0).to(x), 0.7))
    with pyro.plate("rows", n):
        pyro.sample("obs", dist.Normal(a + x @ w, tau.rsqrt()), obs=y)


def test_an_own_model():
    found = read_linear_model(own_model, (X, Y))
    wanted = wanted_problem(
        prior=InclusionPrior(log_odds=torch.full((P,), math.log(0.25), dtype=DOUBLE)),
        slab_scale=torch.full((P,), 1.5),
        noise=InverseGamma(2.0, 0.7),
        unpenalised_scale=torch.tensor([3.0]),
        offset=torch.full((N,), 0.4),
    )
    same(found.problem, wanted, 1e-6)
    assert found.unpenalised_mean.tolist() == pytest.approx([0.4])
    assert found.unpenalised["a"].tolist() == 0


def test_several_weights_share_gates():
    """A gate over two slabs of different shapes; a matrix of weights on its own; a second, fixed, effect."""

    def model(x, y):
        shared = l0bayes.gate("shared", 0.3, [2])
        u = l0bayes.spike_and_slab("u", slab=dist.Normal(torch.zeros(2).to(x), 1.0).to_event(1), gate=shared)
        v = l0bayes.spike_and_slab("v", slab=dist.Normal(torch.zeros(2).to(x), 2.0).to_event(1), gate=shared)
        m = l0bayes.spike_and_slab("m", 0.5, dist.Normal(torch.zeros(2, 2).to(x), 1.0).to_event(2))
        b = pyro.sample("b", dist.Normal(torch.zeros(2).to(x), 1.0).to_event(1))
        eta = x[:, :2] @ u + x[:, 2:] @ v + x[:, :2] @ m @ torch.ones(2).to(x) + x[:, 2:] @ b
        with pyro.plate("rows", len(x)):
            pyro.sample("y", dist.Normal(eta, 0.5), obs=y)

    found = read_linear_model(model, (X, Y))
    assert found.problem.groups.tolist() == [0, 1, 0, 1, 2, 3, 4, 5]
    columns = torch.cat([X, X[:, [0, 0, 1, 1]]], 1)
    torch.testing.assert_close(found.problem.x, columns)
    torch.testing.assert_close(found.problem.unpenalised, X[:, 2:])
    assert found.weights["m"].tolist() == [[4, 5], [6, 7]]
    assert found.gates["m.gate"].tolist() == [[2, 3], [4, 5]]


def test_the_answer_by_names():
    data = (X.float(), Y.float())
    model = SparseRegression(P, inclusion=0.3, groups=torch.tensor([1, 0, 1, 2]))
    guide = AutoHardConcrete(model, data)
    fit = l0bayes.fit(model, guide, data, steps=50, compile="eager", progress=False)
    refined = refine(fit)
    exact = infer_gates(
        wanted_problem(
            groups=torch.tensor([1, 0, 1, 2]),
            prior=InclusionPrior(log_odds=torch.full((3,), math.log(3 / 7), dtype=DOUBLE)),
        ),
        "exact",
    )
    assert refined.engine == "exact"
    torch.testing.assert_close(refined.pip("beta.gate"), exact.pip, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(refined.pip("beta"), exact.pip[[1, 0, 1, 2]], atol=1e-5, rtol=0.0)
    torch.testing.assert_close(refined.mean("beta"), exact.mean, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(refined.sd("beta"), exact.sd, atol=1e-5, rtol=0.0)
    assert refined.log_evidence == pytest.approx(exact.log_evidence, abs=1e-3)
    change = (guide.gates()["beta.gate"].prob_active.detach().double() - exact.pip).abs().max()
    assert refined.changes() == {"beta.gate": pytest.approx(float(change), abs=1e-5)}
    assert "Refinement by engine 'exact': 3 gates, 4 columns, 40 rows" in repr(refined)
    with pytest.raises(ValueError, match=r"site must be one of \['beta', 'beta.gate'\], got 'gamma'"):
        refined.pip("gamma")


def test_gates_in_a_plate_have_the_shape_of_their_site():
    refined = refine(untrained(own_model, (X, Y)))
    assert refined.pip("w.gate").shape == refined.mean("w").shape == (P,)
    assert refined.pip("w")[3] > 0.9
    assert set(refined.changes()) == {"w.gate"}


def test_engines_by_name():
    fit = untrained(SparseRegression(P, noise_scale=0.5), (X, Y))
    sampled, exact, variational = (refine(fit, engine) for engine in ("gibbs", "exact", "svi"))
    assert [sampled.engine, exact.engine, variational.engine] == ["gibbs", "exact", "svi"]
    torch.testing.assert_close(sampled.pip("beta"), exact.pip("beta"), atol=0.02, rtol=0.0)
    assert torch.equal(variational.pip("beta"), infer_gates(exact.problem, "svi").pip)
    with pytest.raises(ValueError, match="engine must be one of auto, svi, exact, gibbs, wide; got 'best'"):
        refine(fit, "best")


def test_a_logistic_fit():
    refined = refine(untrained(SparseRegression(P, "bernoulli", slab_scale=2.0), (X, LABELS)))
    assert refined.engine == "exact"
    assert refined.posterior.diagnostics.evidence == "laplace"
    assert refined.pip("beta")[:2].sum() > 0.9


def test_a_fit_on_minibatches_is_refined_on_all_data():
    model = SparseRegression(P, num_data=N)
    batches = Minibatches(X, Y, batch_size=10)
    fit = l0bayes.fit(
        model, AutoHardConcrete(model, (X[:10], Y[:10])), batches, epochs=1, compile="eager", progress=False
    )
    with pytest.raises(TypeError, match="the fit was trained on a Minibatches; give all data"):
        refine(fit)
    with pytest.raises(NotLinearError, match="plate 'data' holds 10 of 40 rows"):
        refine(fit, data=(X[:10], Y[:10]))
    same(refine(fit, data=(X, Y)).problem, wanted_problem(), 1e-6)


def test_random_numbers_are_left_as_they_were():
    state = torch.get_rng_state()
    read_linear_model(SparseRegression(P), (X, Y))
    assert torch.equal(torch.get_rng_state(), state)


# ---- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "y", "match"),
    [
        ({"slab": "laplace"}, Y, "slab of 'beta' has the prior Laplace; refinement takes Normal slabs"),
        ({"slab": "student_t"}, Y, "slab of 'beta' has the prior StudentT"),
        ({"slab_scale": "learned"}, Y, "slab scale of site 'beta.slab' depends on the latent 'slab_scale'"),
        ({"likelihood": "student_t"}, Y, "noise of site 'y' depends on the latent 'noise_variance'"),
        (
            {"likelihood": "negative_binomial"},
            COUNTS,
            "dispersion of site 'y' depends on the latent 'dispersion'",
        ),
        ({"inclusion": HardConcrete(0.0)}, Y, "has the prior HardConcrete; refinement takes Gate"),
    ],
)
def test_regressions_without_refinement(options, y, match):
    with pytest.raises(NotLinearError, match=match):
        refine(untrained(SparseRegression(P, **options), (X, y)))


def base_model(x, y, *, predictor=None, scale=None, inclusion=0.3, slab=None, more=None):
    w = l0bayes.spike_and_slab(
        "w", inclusion() if callable(inclusion) else inclusion,
        slab() if slab else dist.Normal(torch.zeros(P).to(x), 1.0).to_event(1),
    )  # fmt: skip
    eta = predictor(x, w) if predictor else x @ w
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(eta, scale(x, w) if scale else 0.5), obs=y)
        if more:
            more(x, w)


REFUSED = {
    "a squared weight": ({"predictor": lambda x, w: x @ w.square()}, "not linear in the gated weights"),
    "a weight that saturates": ({"predictor": lambda x, w: torch.tanh(x @ w)}, "not linear"),
    "a latent that multiplies": (
        {"predictor": lambda x, w: pyro.sample("c", dist.LogNormal(0.0, 1.0)).to(x) * (x @ w) + 1.0},
        "not linear|depends on the latent 'c'",
    ),
    "a latent that shifts": (
        {"predictor": lambda x, w: pyro.sample("c", dist.LogNormal(0.0, 1.0)).to(x) + x @ w},
        "depends on the latent 'c', whose prior is LogNormal and not Normal",
    ),
    "noise that is not proportional to its latent": (
        {"scale": lambda x, w: 0.1 + pyro.sample("s", dist.HalfNormal(1.0)).to(x)},
        "noise latent 's' has the prior HalfNormal",
    ),
    "noise that grows with the weights": (
        {"scale": lambda x, w: 0.1 + w.square().sum()},
        "noise of site 'y' depends on the weights",
    ),
    "two noises": (
        {
            "scale": lambda x, w: (
                pyro.sample("s", dist.InverseGamma(1.0, 1.0)) + pyro.sample("t", dist.InverseGamma(1.0, 1.0))
            ).to(x)
        },
        r"depends on several latents, \['s', 't'\]",
    ),
    "an inclusion of another prior": (
        {"inclusion": lambda: pyro.sample("pi", dist.Uniform(0.1, 0.9))},
        r"inclusion probability depends on the latents \['pi'\]",
    ),
    "a function of a Beta": (
        {"inclusion": lambda: 0.5 * pyro.sample("pi", dist.Beta(1.0, 1.0))},
        r"inclusion probability depends on the latents \['pi'\]",
    ),
    "a slab with a mean": (
        {"slab": lambda: dist.Normal(torch.ones(P).double(), 1.0).to_event(1)},
        "slab of 'w' has a prior mean that is not 0",
    ),
    "two responses": (
        {"more": lambda x, w: pyro.sample("z", dist.Normal(x @ w, 1.0), obs=Y)},
        r"one observed site; this one has \['y', 'z'\]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_without_refinement(name):
    options, match = REFUSED[name]

    def model(x, y):
        base_model(x, y, **options)

    with pytest.raises(NotLinearError, match=match):
        read_linear_model(model, (X, Y))


def test_scaled_gaussian_likelihoods_are_refused():
    def model(x, y):
        with poutine.scale(scale=2.0):
            base_model(x, y)

    with pytest.raises(NotLinearError, match="log likelihood of site 'y' is scaled"):
        read_linear_model(model, (X, Y))


def test_weights_of_two_gates_are_refused():
    def model(x, y):
        one, two = l0bayes.gate("one", 0.3), l0bayes.gate("two", 0.3, [P])
        slab = dist.Normal(torch.zeros(P).to(x), 1.0).to_event(1)
        w = l0bayes.spike_and_slab("w", slab=slab, gate=[one, two])
        with pyro.plate("rows", N):
            pyro.sample("y", dist.Normal(x @ w, 1.0), obs=y)

    with pytest.raises(NotLinearError, match="'w' is multiplied by 2 gates"):
        read_linear_model(model, (X, Y))


def test_a_network_is_refused():
    network = torch.nn.Sequential(torch.nn.Linear(P, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    model = SparseNetwork(network, gates="input", inclusion=0.5, likelihood="gaussian")
    data = (X.float(), Y[:, None].float())
    with pytest.raises(NotLinearError, match=r"not linear in the gated weights|multiplied by"):
        refine(untrained(model, data))


def test_a_model_without_gates_is_refused():
    def model(x, y):
        w = pyro.sample("w", dist.Normal(torch.zeros(P).to(x), 1.0).to_event(1))
        with pyro.plate("rows", N):
            pyro.sample("y", dist.Normal(x @ w, 1.0), obs=y)

    with pytest.raises(NotLinearError, match="no gated weights, so that there is nothing to refine"):
        read_linear_model(model, (X, Y))


def test_a_posterior_is_printed_in_a_line():
    x = X.float()
    model = SparseRegression(P, inclusion=0.3, intercept_scale=None)
    posterior = refine(untrained(model, (x, Y.float())), "exact").posterior
    assert repr(posterior).startswith("SelectionPosterior by engine 'exact': 4 gates, 4 columns, 40 rows; ")
    assert len(repr(posterior)) < 120
