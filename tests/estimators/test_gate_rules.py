"""Columns that are always in, and heredity: against enumeration by hand, in both engines."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch

from l0bayes import SpikeSlabRegressor
from l0bayes.selection import GateRestriction, GibbsOptions, InclusionPrior

RNG = np.random.default_rng(5)
N = 50
X = pd.DataFrame(RNG.normal(size=(N, 3)), columns=list("abc"))
for one, two in itertools.combinations("abc", 2):
    X[f"{one}:{two}"] = X[one] * X[two]
X["a^2"] = X["a"] ** 2
Y = 0.3 * X["a"] + 0.3 * X["a:b"] + RNG.normal(size=N)
PARENTS = [(), (), (), (0, 1), (0, 2), (1, 2), (0,)]
CHAINS = GibbsOptions(chains=64, steps=400, burn_in=50, target_mcse=0.0, num_draws=1000)


def by_hand(heredity, always, log_prior):
    """All models that are allowed, with their prior probabilities."""
    need = all if heredity == "strong" else any
    models = [
        model
        for model in itertools.product((0, 1), repeat=7)
        if all(
            not model[g] or not PARENTS[g] or need(model[p] for p in PARENTS[g]) for g in range(7) if heredity
        )
        and all(model[g] for g in always)
    ]
    gates = torch.tensor(models, dtype=torch.float64)
    logs = torch.tensor([log_prior(model) for model in models], dtype=torch.float64)
    return gates, logs - torch.logsumexp(logs, 0)


def beta_binomial(always):
    def log_prior(model):
        size = sum(model[g] for g in range(7) if g not in always)
        free = 7 - len(always)
        return math.lgamma(1.0 + size) + math.lgamma(1.0 + free - size)

    return log_prior


def independent(always):
    return lambda model: sum(np.log(0.3 if model[g] else 0.7) for g in range(7) if g not in always)


@pytest.mark.filterwarnings("ignore::l0bayes.selection.TrustWarning")
@pytest.mark.parametrize("slab", ["normal", "g"])
@pytest.mark.parametrize(
    ("heredity", "always", "inclusion"),
    [
        ("strong", (), (1.0, 1.0)),
        ("weak", (), 0.3),
        (None, (1, 4), (1.0, 1.0)),
        ("strong", (2,), 0.3),
    ],
)
def test_models_without_parents_have_no_probability(slab, heredity, always, inclusion):
    known = {"noise_scale": 1.0} if slab == "normal" else {}
    arguments = {"slab": slab, "random_state": 0, **known}
    free = SpikeSlabRegressor(inclusion=0.5, engine="exact", **arguments).fit(X, Y)
    prior = beta_binomial(always) if isinstance(inclusion, tuple) else independent(always)
    gates, logs = by_hand(heredity, always, prior)
    # With all models equally probable, log posterior probabilities are evidences up to a constant.
    problem = free.posterior_.problem
    evidences = torch.tensor([float(_log_evidence(problem, model)) for model in gates], dtype=torch.float64)
    posterior = torch.softmax(evidences + logs, 0)
    rules = {
        "heredity": heredity,
        "always_in": [X.columns[one] for one in always] or None,
        "inclusion": inclusion,
    }
    exact = SpikeSlabRegressor(engine="exact", **rules, **arguments).fit(X, Y)
    np.testing.assert_allclose(exact.pip_, posterior @ gates, atol=1e-9)
    table = exact.summary()
    np.testing.assert_allclose(table["prior"][list(X)], logs.exp() @ gates, atol=1e-12)
    sizes = torch.zeros(8, dtype=torch.float64).index_add_(0, gates.sum(1).long(), logs.exp())
    np.testing.assert_allclose(exact.model_size()["prior"], sizes, atol=1e-12)
    assert exact.log_evidence_ == pytest.approx(_together(free, evidences, logs), abs=1e-8)
    sampled = SpikeSlabRegressor(engine="gibbs", options=CHAINS, **rules, **arguments).fit(X, Y)
    np.testing.assert_allclose(sampled.pip_, exact.pip_, atol=0.03)
    assert bool(sampled.posterior_.problem.prior.restriction.allows(sampled.posterior_.draws.gates).all())


def _log_evidence(problem, model):
    if hasattr(problem, "slab"):
        from l0bayes.selection.kernels.zellner_sets import zellner_sets
        from l0bayes.selection.slab_priors.slab_prior import log_bayes_factor

        rank, r2 = zellner_sets(problem, model[None].bool()).fit
        return problem.log_null + log_bayes_factor(problem.slab, problem.setting, rank, r2)
    from l0bayes.selection.kernels.active_groups import active_sets

    variance = torch.tensor([problem.noise_variance], dtype=torch.float64)
    return active_sets(problem, model[None].bool(), variance).log_likelihood


def _together(free, evidences, logs):
    scale = free.original_scale_.scaling.response_scale
    return float(torch.logsumexp(evidences + logs, 0)) - N * np.log(scale)


def test_positions_and_names_of_gates_are_taken():
    for given in ([1], ["b"]):
        fit = SpikeSlabRegressor(always_in=given, random_state=0).fit(X, Y)
        assert fit.pip_[1] == 1.0
    table = X[["a"]].assign(f=RNG.choice(list("uvw"), N))
    fit = SpikeSlabRegressor(always_in=["f"], slab="jzs").fit(table, Y)
    assert (fit.summary().filter(like="f[", axis=0)["pip"] == 1.0).all()


@pytest.mark.parametrize(
    ("columns", "given", "words"),
    [
        (["a", "a:b"], {"heredity": "strong"}, "needs the parents of 'a:b', and 'b' is not there"),
        (["a", "b"], {"heredity": "weak"}, "there are none among a, b"),
        (["a", "b"], {"heredity": "both"}, "heredity must be one of strong, weak or None"),
        (["a", "b"], {"always_in": "a"}, "always_in must be a list"),
        (["a", "b"], {"always_in": ["z"]}, "always_in holds 'z', which is no column; there are a, b"),
        (["a", "b"], {"always_in": [2]}, "always_in holds the position 2, and there are 2 columns"),
        (["a", "b"], {"always_in": ["a", "b"]}, "always_in must leave out some columns"),
        (["a", "b", "a:b"], {"heredity": "strong", "always_in": ["a:b"]}, "must hold its parent '[ab]' too"),
        (["a", "b"], {"always_in": ["a"], "engine": "svi"}, "its gates are independent"),
    ],
    ids=str,
)
def test_refusals(columns, given, words):
    with pytest.raises(ValueError, match=words):
        SpikeSlabRegressor(**given).fit(X[columns], Y)


def test_a_prior_with_many_parents_is_drawn():
    mains = 20
    parents = [()] * mains + [(one, one + 1) for one in range(mains - 1)]
    rule = GateRestriction(torch.zeros(len(parents), dtype=torch.bool), parents, "strong")
    prior = InclusionPrior(log_odds=torch.zeros(len(parents), dtype=torch.float64), restriction=rule)
    # A chain of parents, by hand: transfer matrices over the states of neighbours.
    step = torch.tensor([[1.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    left, right = torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    for _ in range(9):
        left = left @ step
    for _ in range(10):
        right = step @ right
    both = left * right
    found = prior.inclusion(len(parents))
    assert float(found[9]) == pytest.approx(float(both[1] / both.sum()), abs=0.02)
    assert float(prior.size_probabilities(len(parents)).sum()) == pytest.approx(1.0)
