"""Restarts that do not agree are told apart wherever they would be pooled."""

import warnings

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import History, RestartWarning
from l0bayes.infer.loop.restart_agreement import disagreement_of_restarts, pip_disagreement
from l0bayes.infer.loop.restart_result import Restart

GENERATOR = torch.Generator().manual_seed(1)
X = torch.randn(60, 3, generator=GENERATOR)
Y = 1.2 * X[:, 0] + 0.5 * torch.randn(60, generator=GENERATOR)
DATA = (X, Y)


def model(x, y=None):
    beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("rows", len(x)):
        return pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)


def fitted(restarts=3):
    guide = AutoHardConcrete(model, DATA, temperature=0.1)
    run = {"steps": 500, "lr": 0.05, "compile": "graph", "progress": False}
    return l0bayes.fit(model, guide, DATA, restarts=restarts, **run)


def spoiled(index):
    """One restart misses the predictor that there is."""
    fit = fitted()
    bad = fit.restarts[index]
    with torch.no_grad():
        bad.guide.log_alpha.get_parameter("beta/gate_unconstrained")[0] = -9.0
        bad.guide.loc.get_parameter("beta/slab_unconstrained")[0] = 0.0
    bad.history.elbo[:] = [value - 40.0 for value in bad.history.elbo]
    return fit, bad


def mean_likelihood(post):
    return float(post["log_likelihood"]["y"].sum("rows").mean())


def test_one_that_misses_a_predictor_is_named_and_can_be_left_out():
    fit, bad = spoiled(1)
    assert fit.best is not bad
    assert pip_disagreement(fit.restarts) > 0.9
    assert "inclusion probability" in disagreement_of_restarts(fit.restarts)
    with pytest.warns(RestartWarning, match="restarts='best'"):
        pooled = l0bayes.to_arviz(fit, num_draws=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RestartWarning)
        best = l0bayes.to_arviz(fit, num_draws=100, restarts="best")
    assert [post["posterior"].sizes["chain"] for post in (pooled, best)] == [3, 1]
    pip = fit.best.guide.gates()["beta.gate"].prob_active
    assert pip[0] > 0.95
    assert float((best["posterior"]["beta.gate"] != 0).mean(("chain", "draw"))[0]) > 0.95
    assert mean_likelihood(best) > mean_likelihood(pooled) + 5.0


def test_those_that_agree_are_pooled_in_silence():
    fit = fitted()
    assert disagreement_of_restarts(fit.restarts) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error", RestartWarning)
        assert l0bayes.to_arviz(fit, num_draws=20)["posterior"].sizes["chain"] == 3


def test_one_run_has_nothing_to_compare():
    fit = fitted(restarts=1)
    assert pip_disagreement(fit.restarts) is None
    assert disagreement_of_restarts(fit.restarts) is None


def test_a_model_without_gates_is_judged_by_its_objective():
    def plain(x, y=None):
        beta = pyro.sample("beta", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("rows", len(x)):
            return pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)

    guide = AutoHardConcrete(plain, DATA)
    fit = l0bayes.fit(plain, guide, DATA, restarts=2, steps=300, lr=0.03, compile="graph", progress=False)
    assert disagreement_of_restarts(fit.restarts) is None
    worst = min(fit.restarts, key=lambda run: run.elbo)
    worst.history.elbo[:] = [value - 200.0 for value in worst.history.elbo]
    assert "nats" in disagreement_of_restarts(fit.restarts)


def test_what_is_printed_says_how_to_check_and_fits_on_a_screen():
    fit, _ = spoiled(2)
    shown = repr(fit)
    assert "l0bayes.trust(fit)" in shown
    assert "they differ by up to" in shown
    assert "restarts=5" in repr(fitted(restarts=1))
    assert len(repr(fit.best)) < 200
    assert "gates" in repr(fit.best)
    assert len(shown.splitlines()) < 20


def test_the_gate_table_reads_the_best_and_does_not_warn():
    fit, _ = spoiled(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RestartWarning)
        table = l0bayes.gate_table(fit)
    assert table["pip"].iloc[0] > 0.95
    assert table["pip_low"].iloc[0] < 0.1


def test_other_words_are_refused():
    with pytest.raises(ValueError, match="restarts must be one of"):
        l0bayes.to_arviz(fitted(restarts=1), restarts="worst")


@pytest.mark.parametrize(("apart", "differ"), [(11.0, False), (15.0, True)])
def test_without_gates_restarts_differ_by_more_than_four_standard_errors(apart, differ):
    """Records that swing by ten: of the last 20 of 200 the standard error of a difference is 3.24 nats."""

    class Plain:
        def __call__(self, x, y=None):
            slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
            with pyro.plate("rows", len(x)):
                return pyro.sample("y", dist.Normal(x[:, 0] * slope, 0.5), obs=y)

    plain = Plain()
    guide = AutoNormal(plain)
    guide(*DATA)
    runs = []
    for index, level in enumerate((-100.0, -100.0 - apart)):
        history = History()
        history.elbo[:] = [level + 10.0 * (-1) ** step for step in range(200)]
        runs.append(Restart(guide, plain, history, index, 1.0, "finished"))
    told = disagreement_of_restarts(runs)
    assert told == (f"they differ by {apart:.1f} nats in their objective" if differ else None)
