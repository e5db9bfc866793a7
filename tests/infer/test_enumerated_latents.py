"""Discrete latents beside gates are summed over, exactly as Pyro's TraceEnum_ELBO sums over them."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, config_enumerate
from pyro.ops.indexing import Vindex

import l0bayes
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoJointGates
from l0bayes.infer import MeanFieldELBO
from l0bayes.infer.objectives.pair_traces import run_pair
from l0bayes.posterior import importance_weighted
from l0bayes.sites import HiddenSiteWarning

GENERATOR = torch.Generator().manual_seed(4)
X = torch.randn(12, 3, generator=GENERATOR)
K = (torch.rand(12, generator=GENERATOR) < 0.4).float()
Y = X[:, 0] + 2.0 * K + 0.5 * torch.randn(12, generator=GENERATOR)
DATA = (X, Y)
PARALLEL = {"enumerate": "parallel"}


def weights():
    return l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))


def mixture(x, y=None):
    """Every row has a class of its own."""
    share, beta = pyro.sample("share", dist.Beta(2.0, 2.0)), weights()
    with pyro.plate("rows", len(x)):
        k = pyro.sample("k", dist.Bernoulli(share), infer=PARALLEL)
        return pyro.sample("y", dist.Normal(x @ beta + 2.0 * k, 0.5), obs=y)


def mixture_summed(x, y=None):
    share, mean = pyro.sample("share", dist.Beta(2.0, 2.0)), x @ weights()
    with pyro.plate("rows", len(x)):
        parts = dist.Normal(torch.stack([mean, mean + 2.0], -1), 0.5)
        return pyro.sample(
            "y", dist.MixtureSameFamily(dist.Categorical(torch.stack([1 - share, share])), parts), obs=y
        )


def shared(x, y=None):
    """One class for all rows, and two responses."""
    beta = weights()
    k = pyro.sample("k", dist.Categorical(torch.tensor([0.2, 0.5, 0.3])), infer=PARALLEL)
    level = torch.tensor([0.0, 1.0, 2.0])[k]
    with pyro.plate("rows", len(x)):
        pyro.sample("other", dist.Normal(level, 1.0), obs=x[:, 1])
        return pyro.sample("y", dist.Normal(x @ beta + level, 0.5), obs=y)


def nested(x, y=None):
    """Classes of columns and of rows, in two plates, which meet in every cell."""
    scale = pyro.sample("scale", dist.LogNormal(0.0, 0.5))
    beta = weights()
    mean = x @ beta
    with pyro.plate("columns", 3, dim=-2):
        c = pyro.sample("c", dist.Bernoulli(0.3), infer=PARALLEL)
        with pyro.plate("rows", len(x), dim=-1):
            k = pyro.sample("k", dist.Bernoulli(0.2 + 0.5 * c), infer=PARALLEL)
            pyro.sample("y", dist.Normal(mean + c + 2.0 * k, scale), obs=y.expand(3, -1))


def chain(x, y=None):
    """A hidden Markov chain along the rows."""
    beta = weights()
    mean, move = x @ beta, torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    state = 0
    for t in pyro.markov(range(len(x))):
        state = pyro.sample(f"state_{t}", dist.Categorical(Vindex(move)[state]), infer=PARALLEL)
        pyro.sample(f"y_{t}", dist.Normal(mean[t] + 2.0 * state, 0.5), obs=y[t])


def chain_of_weights(x, y=None):
    """A hidden Markov chain with gates of its own at every step."""
    state = 0
    for t in pyro.markov(range(3)):
        state = pyro.sample(
            f"state_{t}", dist.Categorical(torch.tensor([[0.9, 0.1], [0.3, 0.7]])[state]), infer=PARALLEL
        )
        weight = l0bayes.spike_and_slab(f"w_{t}", 0.3, dist.Normal(0.0, 1.0))
        pyro.sample(f"y_{t}", dist.Normal(weight * x[t, 0] + 2.0 * state, 0.5), obs=y[t])


def scaled_and_masked(x, y=None):
    share, beta = pyro.sample("share", dist.Beta(2.0, 2.0)), weights()
    with pyro.plate("rows", 48, subsample=torch.arange(12)), poutine.mask(mask=torch.arange(12) % 3 > 0):
        k = pyro.sample("k", dist.Bernoulli(share), infer=PARALLEL)
        pyro.factor("bonus", -0.3 * k)
        pyro.sample("y", dist.Normal(x @ beta + 2.0 * k, 0.5), obs=y)


def marked(x, y=None):
    """Marked as a whole, gates among them, which the guide draws all the same."""
    return config_enumerate(poutine.block(mixture, hide=[]))(x, y)


MODELS = [mixture, shared, nested, chain, chain_of_weights, scaled_and_masked, marked]


def by_pyro(model, drawn, latents):
    """The log density of the data by TraceEnum_ELBO, at given values of all other latents."""
    given = poutine.condition(model, data={name: drawn[name] for name in latents})
    nesting = 2 if model is nested else 1
    elbo = TraceEnum_ELBO(max_plate_nesting=nesting, strict_enumeration_warning=False)
    joint = -elbo.loss(given, lambda *_: None, *DATA)
    trace = poutine.trace(given).get_trace(*DATA)
    trace.compute_log_prob()
    return joint - sum(trace.nodes[name]["log_prob_sum"].item() for name in latents)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", [AutoHardConcrete, AutoBernoulliGates, AutoJointGates])
def test_the_likelihood_is_that_of_trace_enum(model, kind):
    guide = kind(model, DATA)
    assert not any(name.startswith(("k", "c", "state")) for name in guide.laws())
    for seed in range(3):
        torch.manual_seed(seed)
        traces = run_pair(model, guide, DATA, {})
        terms = (
            MeanFieldELBO().terms_at(traces)
            if kind is not AutoJointGates
            else guide.objective().terms_at(traces)
        )
        assert set(terms.kl) == set(guide.laws())
        expected = by_pyro(model, traces.drawn, [*guide.laws()])
        assert terms.log_likelihood.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [AutoHardConcrete, AutoBernoulliGates, AutoJointGates])
def test_readers_find_what_they_find_in_the_model_that_is_summed_by_hand(kind):
    guide = kind(mixture, DATA)
    one, other = (l0bayes.Fit.of(model, guide, DATA) for model in (mixture, mixture_summed))
    bounds = [l0bayes.hardened_elbo(f.model, guide, DATA, num_draws=40).value for f in (one, other)]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-5)
    evidences = [importance_weighted(f, num_draws=60).log_evidence for f in (one, other)]
    assert evidences[0] == pytest.approx(evidences[1], rel=1e-5)
    posts = [l0bayes.to_arviz(f, num_draws=15) for f in (one, other)]
    rows = [post["log_likelihood"]["y"].values for post in posts]
    assert rows[0] == pytest.approx(rows[1], rel=1e-4, abs=1e-4)
    stats = [post["sample_stats"]["log_p"].values for post in posts]
    assert stats[0] == pytest.approx(stats[1], rel=1e-5)


def test_enumerated_latents_are_drawn_from_their_law_given_the_data():
    guide = AutoHardConcrete(mixture, DATA, temperature=0.1)
    fit = l0bayes.fit(mixture, guide, DATA, steps=400, lr=0.03, progress=False)
    post = l0bayes.to_arviz(fit, num_draws=400, groups=["posterior"])
    drawn = post["posterior"]
    beta = torch.as_tensor(drawn["beta"].values[0])
    share = torch.as_tensor(drawn["share"].values[0])[:, None]
    mean = beta @ X.T
    odds = share.logit() + dist.Normal(mean + 2.0, 0.5).log_prob(Y) - dist.Normal(mean, 0.5).log_prob(Y)
    assert drawn["k"].mean(("chain", "draw")).values == pytest.approx(torch.sigmoid(odds).mean(0), abs=0.1)


@pytest.mark.parametrize("model", [mixture, chain, shared])
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_it_is_trained_in_every_form(model, mode):
    guide = AutoHardConcrete(model, DATA)
    fit = l0bayes.fit(model, guide, DATA, steps=6, progress=False, compile=mode)
    assert fit.mode == mode
    assert math.isfinite(fit.elbo)


def test_a_batch_of_draws_takes_one_run(monkeypatch):
    guide = AutoJointGates(mixture, DATA, num_draws=8)
    elbo = guide.objective()
    elbo.loss(mixture, guide, *DATA)
    assert elbo._batched


@pytest.mark.parametrize("model", [mixture, shared, nested, chain, chain_of_weights, scaled_and_masked])
def test_every_reader_takes_every_kind(model):
    fit = l0bayes.Fit.of(model, AutoHardConcrete(model, DATA), DATA)
    data = DATA if model is not scaled_and_masked else None
    if data is None:
        with pytest.raises(ValueError, match="12 of 48 rows"):
            l0bayes.to_arviz(fit, num_draws=4)
        return
    post = l0bayes.to_arviz(fit, num_draws=4)
    names = {name for name in post["posterior"].data_vars if name[0] in "kcs" and name != "scale"}
    assert names - {"share"}
    for group in ("posterior", "log_likelihood", "posterior_predictive", "sample_stats"):
        for name, values in post[group].items():
            assert torch.isfinite(torch.as_tensor(values.values.astype(float))).all(), name
    assert math.isfinite(importance_weighted(fit, num_draws=8).log_evidence)
    assert l0bayes.trust(fit, num_draws=8).verdict


def test_states_of_a_chain_are_drawn_given_the_data():
    """Forward and backward, by hand."""
    x, y = X[:6], Y[:6]
    guide = AutoHardConcrete(chain, (x, y), temperature=0.1)
    fit = l0bayes.Fit.of(chain, guide, (x, y))
    post = l0bayes.to_arviz(fit, num_draws=600, groups=["posterior"])["posterior"]
    beta = torch.as_tensor(post["beta"].values[0])
    move = torch.tensor([[0.9, 0.1], [0.3, 0.7]]).log()
    mean = beta @ x.T
    scores = dist.Normal(mean[..., None] + torch.tensor([0.0, 2.0]), 0.5).log_prob(y[:, None])
    forward = [move[0] + scores[:, 0]]
    for t in range(1, 6):
        forward.append((forward[-1][:, :, None] + move).logsumexp(1) + scores[:, t])
    backward = [torch.zeros(600, 2)]
    for t in range(5, 0, -1):
        backward.insert(0, (move + (scores[:, t] + backward[0])[:, None]).logsumexp(2))
    for t in (0, 3, 5):
        expected = (forward[t] + backward[t]).softmax(1)[:, 1].mean()
        assert float((post[f"state_{t}"]).mean()) == pytest.approx(float(expected), abs=0.06)


def test_particles_may_be_vectorised():
    guide = AutoHardConcrete(mixture, DATA)

    def wide(x, y):
        share, beta = pyro.sample("share", dist.Beta(2.0, 2.0)), weights()
        with pyro.plate("rows", len(x)):
            k = pyro.sample("k", dist.Bernoulli(share), infer=PARALLEL)
            pyro.sample("y", dist.Normal((x * beta).sum(-1) + 2.0 * k, 0.5), obs=y)

    many = {"num_particles": 3000, "vectorize_particles": True, "max_plate_nesting": 1}
    torch.manual_seed(0)
    batched = MeanFieldELBO(**many).loss(wide, guide, *DATA)
    looped = l0bayes.infer.MeanFieldELBO(num_particles=400).loss(wide, guide, *DATA)
    assert batched == pytest.approx(looped, abs=3.0)


def test_gates_that_the_guide_does_not_draw_are_summed_over_too():
    """With the slab integrated by its exact posterior the bound is the evidence of every model, summed."""

    def model(y):
        w = l0bayes.spike_and_slab("w", 0.3, dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(w, 1.0), obs=y)

    y = torch.tensor(1.5)
    enumerated = config_enumerate(model)
    with pytest.warns(HiddenSiteWarning, match=r"'w\.gate'"):
        guide = AutoHardConcrete(poutine.block(model, hide=["w.gate"]), (y,))
    traces = run_pair(enumerated, guide, (y,), {})
    slab = traces.drawn["w.slab"].detach()
    expected = torch.logaddexp(
        math.log(0.7) + dist.Normal(0.0, 1.0).log_prob(y), math.log(0.3) + dist.Normal(slab, 1.0).log_prob(y)
    )
    terms = MeanFieldELBO().terms_at(traces)
    assert terms.log_likelihood.item() == pytest.approx(float(expected), rel=1e-6)


def test_what_cannot_be_summed_over_is_refused_by_name():
    def prior_depends(x, y=None):
        k = pyro.sample("k", dist.Bernoulli(0.5), infer=PARALLEL)
        level = pyro.sample("level", dist.Normal(3.0 * k, 1.0))
        pyro.sample("y", dist.Normal(level + (x @ weights()).sum(), 1.0), obs=y.sum())

    def two_scales(x, y=None):
        beta = weights()
        k = pyro.sample("k", dist.Bernoulli(0.5), infer=PARALLEL)
        with pyro.plate("rows", 24, subsample=torch.arange(12)):
            pyro.sample("y", dist.Normal(x @ beta + k, 1.0), obs=y)

    def unmarked(x, y=None):
        k = pyro.sample("k", dist.Bernoulli(0.5))
        pyro.sample("y", dist.Normal((x @ weights()).sum() + k, 1.0), obs=y.sum())

    for model, message in (
        (prior_depends, "prior of latent 'level' depends on .*'k'"),
        (two_scales, "one scale"),
    ):
        with pytest.raises(ValueError, match=message):
            l0bayes.fit(model, AutoHardConcrete(model, DATA), DATA, steps=2, progress=False)
    guide = AutoHardConcrete(poutine.block(unmarked, hide=["k"]), DATA)
    with pytest.raises(ValueError, match=r"'k' of the model is not covered .*enumerate.*parallel"):
        l0bayes.fit(unmarked, guide, DATA, steps=2, progress=False)
    with pytest.raises(ValueError, match=r"'k'.*enumerate.*parallel"):
        AutoHardConcrete(unmarked, DATA)


def test_weights_and_their_verdict_draw_no_states(monkeypatch):
    """States are drawn one draw at a time, and importance weights sum over them."""
    fit = l0bayes.Fit.of(mixture, AutoBernoulliGates(mixture, DATA), DATA)
    expected = importance_weighted(fit, num_draws=20)

    def refuse(*_):
        raise AssertionError("states were drawn")

    monkeypatch.setattr("l0bayes.infer.objectives.model_reading.ModelReading.enumerated_at", refuse)
    assert importance_weighted(fit, num_draws=20).log_evidence == expected.log_evidence
    assert l0bayes.trust(fit, num_draws=20).k_hat is not None


def test_a_weight_that_depends_on_a_state_has_its_mean():
    def model(x, y):
        b = l0bayes.spike_and_slab("b", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        k = pyro.sample("k", dist.Bernoulli(0.5), infer={"enumerate": "parallel"})
        pyro.deterministic("moved", b + 5.0 * k[..., None], event_dim=1)
        mean = (x * b[..., None, :]).sum(-1) + 5.0 * k
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    data = (torch.zeros(4, 2), torch.full((4,), 5.0))
    found = importance_weighted(model, AutoBernoulliGates(model, data), data, num_draws=200)
    assert found.mean["moved"] == pytest.approx(found.mean["b"] + 5.0, abs=1e-4)
