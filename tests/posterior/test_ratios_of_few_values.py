"""Ratios of a few states, and what the weighted averages say of themselves."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoGuideList, AutoIAFNormal

import l0bayes
from l0bayes.guides import AutoBernoulliGates
from l0bayes.posterior import importance_weighted
from l0bayes.posterior.importance import ImportanceWeighted
from l0bayes.posterior.pareto import pareto_k, smoothed_log_weights
from l0bayes.selection.kernels.variational_verdict import judge_variational

X = torch.randn(12, 2, generator=torch.Generator().manual_seed(1))
Y = 0.5 * X[:, 0]


@pytest.mark.parametrize(
    ("counts", "ratios"),
    [((3600, 200, 150, 50), (0.9, 1.2, 1.5, 2.0)), ((400, 3600), (7.0, 0.33)), ((3990, 10), (1.0, 3.0))],
)
def test_a_few_states_have_no_tail_and_their_weights_are_left_alone(counts, ratios):
    logs = torch.cat([torch.full((n,), math.log(r)) for n, r in zip(counts, ratios, strict=True)]).double()
    logs += 1e-7 * torch.randn(len(logs), generator=torch.Generator().manual_seed(0)).double()
    weights, k = smoothed_log_weights(logs)
    assert k == -math.inf
    torch.testing.assert_close(weights, torch.log_softmax(logs, 0))


def test_a_state_that_was_hardly_drawn_and_decides_is_no_evidence():
    logs = torch.zeros(4000, dtype=torch.float64)
    logs[:3] = 9.0
    assert pareto_k(logs) == math.inf


@pytest.mark.parametrize(
    ("k_hat", "share", "words"),
    [
        (-math.inf, 0.95, "effective draws 950 of 1000; usable: the ratios take few values and have no tail"),
        (1.16, 0.9999, r"usable: the ratios hardly vary, so that their tail \(k-hat 1.16\) is noise"),
        (0.31, 0.5, "k-hat 0.31, effective draws 500 of 1000; usable"),
    ],
)
def test_no_line_contradicts_itself(k_hat, share, words):
    weights = torch.full((1000,), -math.log(1000.0))
    found = ImportanceWeighted({"g": torch.ones(2)}, {}, {}, -3.0, k_hat, share * 1000, weights, {})
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(str(found))
    assert len(repr(found)) < 250
    assert "g (2,)" in repr(found)
    verdict = judge_variational(None, k_hat=k_hat, effective_share=share)
    assert verdict
    assert "usable up to" not in str(verdict) or k_hat < 0.7


@pytest.mark.parametrize(
    ("signs", "verdict"),
    [
        ({"effective_share": 0.013}, "doubtful"),
        ({"effective_share": 0.2, "shift": 0.3}, "doubtful"),
        ({"effective_share": 0.2, "shift": 0.01}, "plausible"),
        ({"effective_share": 0.2, "shift": None}, "plausible"),
        ({"effective_share": 0.013, "residual": 0.01}, "plausible"),
        ({"effective_share": 0.2, "residual": 0.01, "shift": 0.3}, "doubtful"),
    ],
)
def test_a_k_hat_below_the_limit_is_not_all(signs, verdict):
    assert judge_variational(**{"residual": None, "k_hat": 0.68, **signs}).verdict == verdict


def test_a_fit_whose_weights_move_a_pip_is_doubtful():
    """Slabs that are right, gates that are not, in a model without exact conditionals."""

    def model(x, y):
        slab = dist.Normal(0.0, 1.0).expand([2]).to_event(1)
        b = l0bayes.spike_and_slab("b", 0.3, slab)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal((x @ b).tanh(), 2.0), obs=y)

    guide = AutoBernoulliGates(model, (X, Y))
    l0bayes.fit(model, guide, (X, Y), steps=150, lr=0.05, gate_lr=0.1, progress=False, compile="eager")
    right = l0bayes.trust(l0bayes.Fit.of(model, guide, (X, Y)))
    assert right, str(right)
    with torch.no_grad():
        for parameter in guide.logits.parameters():
            parameter += 1.5
    wrong = l0bayes.trust(l0bayes.Fit.of(model, guide, (X, Y)))
    assert not wrong
    assert "Importance weights move a PIP by" in str(wrong)


def with_intercept(x, y):
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    s = pyro.sample("s", dist.HalfNormal(1.0))
    b = l0bayes.spike_and_slab("b", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(a + x @ b, s), obs=y)


def test_a_flow_beside_a_gate_guide_is_read_again_and_again():
    guide = AutoGuideList(with_intercept)
    sparse = ["b.gate", "b.slab"]
    guide.append(AutoBernoulliGates(poutine.block(with_intercept, expose=sparse), (X, Y)))
    guide.append(AutoIAFNormal(poutine.block(with_intercept, hide=sparse), hidden_dim=[4]))
    fit = l0bayes.fit(with_intercept, guide, (X, Y), steps=2, progress=False, compile="eager")
    for _ in range(2):
        assert l0bayes.hardened_elbo(with_intercept, guide, (X, Y), num_draws=4)
        assert math.isfinite(importance_weighted(fit, num_draws=20).log_evidence)
        assert l0bayes.to_arviz(fit, num_draws=4)["posterior"]["a"].shape == (1, 4)
        l0bayes.fit(with_intercept, guide, (X, Y), steps=2, progress=False, compile="eager")


def test_scaled_sites_bound_nothing_and_are_named():
    def model(x, y):
        b = l0bayes.spike_and_slab("b", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        with pyro.plate("data", len(x)), poutine.scale(scale=12 / len(x)):
            pyro.sample("y", dist.Normal(x @ b, 0.7), obs=y)

    guide = AutoBernoulliGates(model, (X, Y))
    whole = l0bayes.hardened_elbo(model, guide, (X, Y), num_draws=4)
    assert whole.is_bound
    part = l0bayes.hardened_elbo(model, guide, (X[:4], Y[:4]), num_draws=4)
    assert not part.is_bound
    assert part.scaled == ("y",)
    assert "no bound on the log evidence: 'y' scaled by poutine.scale" in str(part)
