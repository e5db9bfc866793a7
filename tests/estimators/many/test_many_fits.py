"""Restarts, folds, imputations and responses: the same numbers on one worker and on two."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import KFold

from l0bayes import SpikeSlabClassifier, SpikeSlabCountRegressor, SpikeSlabRegressor
from l0bayes.estimators.many import fit_folds, fit_imputations, fit_responses, fit_restarts
from l0bayes.estimators.many.task_pool import run_tasks, task_seeds
from l0bayes.selection import GibbsOptions

GENERATOR = np.random.default_rng(0)
X = pd.DataFrame(GENERATOR.normal(size=(40, 4)), columns=list("abcd"))
Y = 1.5 * X["a"].to_numpy() + 0.3 * X["b"].to_numpy() + GENERATOR.normal(size=40)
SHORT = GibbsOptions(chains=4, steps=60, burn_in=10)
SAMPLED = SpikeSlabRegressor(engine="gibbs", options=SHORT, random_state=5)
EXACT = SpikeSlabRegressor(engine="exact", random_state=5)


short = pytest.mark.filterwarnings("ignore:(wrong|doubtful)")


def imputed():
    tables = []
    for seed in range(3):
        table = X.copy()
        table.loc[::5, "b"] = np.random.default_rng(seed).normal(size=8)
        tables.append(table)
    return tables


WAYS = {
    "restarts": lambda n_jobs: fit_restarts(SAMPLED, X, Y, restarts=3, n_jobs=n_jobs),
    "folds": lambda n_jobs: fit_folds(SAMPLED, X, Y, cv=3, n_jobs=n_jobs, sample_weight=np.ones(40)),
    "imputations": lambda n_jobs: fit_imputations(SAMPLED, imputed(), Y, n_jobs=n_jobs),
    "responses": lambda n_jobs: fit_responses(SAMPLED, X, {"y": Y, "minus": -Y}, n_jobs=n_jobs),
}


@pytest.mark.slow
@short
@pytest.mark.parametrize("way", WAYS)
def test_two_workers_give_the_numbers_of_one(way):
    one, two = WAYS[way](1), WAYS[way](2)
    pd.testing.assert_frame_equal(one.pips(), two.pips(), rtol=0.0, atol=0.0)
    assert one.scores == two.scores
    for first, second in zip(one.estimators, two.estimators, strict=True):
        np.testing.assert_array_equal(first.coef_, second.coef_)


@short
def test_restarts_differ_by_their_seeds_alone():
    found = fit_restarts(SAMPLED, X, Y, restarts=3)
    assert found.names == ["restart 1", "restart 2", "restart 3"]
    assert len({one.random_state for one in found.estimators}) == 3
    assert found.pips().nunique(axis=1).max() > 1
    again = clone(SAMPLED).set_params(random_state=found.estimators[1].random_state).fit(X, Y)
    np.testing.assert_array_equal(again.pip_, found.estimators[1].pip_)


def test_folds_are_those_of_fits_by_hand():
    weights = GENERATOR.integers(1, 3, size=40)
    folds = KFold(4, shuffle=True, random_state=1)
    found = fit_folds(EXACT, X, Y, cv=folds, sample_weight=weights)
    for index, (train, test) in enumerate(folds.split(X)):
        own = clone(EXACT).fit(X.iloc[train], Y[train], weights[train])
        np.testing.assert_allclose(found.estimators[index].pip_, own.pip_, rtol=1e-12)
        assert found.scores[index] == pytest.approx(
            own.score(X.iloc[test], Y[test], weights[test]), rel=1e-12
        )


def test_offsets_go_with_their_rows():
    counts = np.random.default_rng(3).poisson(np.exp(0.5 * X["a"]))
    exposure = np.full(40, 2.0)
    found = fit_folds(SpikeSlabCountRegressor(likelihood="poisson"), X, counts, cv=2, exposure=exposure)
    own = SpikeSlabCountRegressor(likelihood="poisson").fit(X[20:], counts[20:], exposure=exposure[20:])
    np.testing.assert_allclose(found.estimators[0].pip_, own.pip_, atol=1e-6)


def test_classes_are_in_every_fold():
    labels = np.where(np.quantile(Y, 0.85) < Y, "yes", "no")
    found = fit_folds(SpikeSlabClassifier(engine="exact"), X, labels, cv=3)
    assert all(set(one.classes_) == {"no", "yes"} for one in found.estimators)


def test_imputations_are_pooled_as_a_mixture():
    found = fit_imputations(EXACT, imputed(), Y)
    tables = [one.summary() for one in found.estimators]
    pooled = found.pooled()
    for name in X.columns:
        pip, mean, sd = (
            np.array([table.loc[name, part] for table in tables]) for part in ("pip", "mean", "sd")
        )
        assert pooled.loc[name, "pip"] == pytest.approx(pip.mean())
        assert pooled.loc[name, "pip_low"] == pip.min()
        assert pooled.loc[name, "sd"] == pytest.approx(np.sqrt(sd @ sd / 3 + mean.var()))
    assert pooled.index[0] == "a"
    assert (pooled["fits"] == 3).all()


def test_responses_may_be_imputed_too():
    found = fit_imputations(EXACT, imputed(), [Y, Y + 0.1, Y - 0.1])
    own = clone(EXACT).fit(imputed()[2], Y - 0.1)
    np.testing.assert_allclose(found.estimators[2].pip_, own.pip_, rtol=1e-12)


@pytest.mark.parametrize(
    "responses", [{"u": Y, "v": -Y}, pd.DataFrame({"u": Y, "v": -Y})], ids=["dict", "frame"]
)
def test_responses_by_their_names(responses):
    found = fit_responses(EXACT, X, responses)
    assert list(found.pips().columns) == ["u", "v"]
    np.testing.assert_allclose(found.pips()["u"], found.pips()["v"])  # the sign says nothing of the gates
    with pytest.raises(ValueError, match="different questions"):
        found.pooled()
    assert fit_responses(EXACT, X, np.column_stack([Y, Y])).names == ["response 1", "response 2"]


class Locked:
    """Can be copied, but not pickled."""

    def __init__(self):
        self.lock = threading.Lock()

    def __deepcopy__(self, memo):
        return self


class WithLock(SpikeSlabRegressor):
    def __init__(self, lock=None, random_state=None):
        super().__init__(engine="exact", random_state=random_state)
        self.lock = lock


def test_what_cannot_be_sent_is_refused_with_the_remedy():
    estimator = WithLock(Locked())
    with pytest.raises(TypeError, match=r"cannot be sent to another process \(.*lock.*use n_jobs=1"):
        fit_restarts(estimator, X, Y, n_jobs=2)
    assert len(fit_restarts(estimator, X, Y, n_jobs=1).estimators) == 4


def test_other_refusals():
    with pytest.raises(ValueError, match="at least two imputed tables, got 1"):
        fit_imputations(EXACT, [X], Y)
    with pytest.raises(ValueError, match="same rows and columns"):
        fit_imputations(EXACT, [X, X[:-1]], Y)
    with pytest.raises(ValueError, match="2 responses for 3 tables"):
        fit_imputations(EXACT, imputed(), [Y, Y])
    with pytest.raises(ValueError, match="a column for each response"):
        fit_responses(EXACT, X, Y)
    with pytest.raises(ValueError, match="restarts"):
        fit_restarts(EXACT, X, Y, restarts=1)


def test_warnings_of_workers_are_issued_once():
    data = X.assign(constant=1.0)
    with pytest.warns(UserWarning, match="constant") as caught:
        fit_restarts(EXACT, data, Y, restarts=3)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_seeds_are_by_number():
    assert task_seeds(3, 5)[:2] == task_seeds(3, 2)
    assert len(set(task_seeds(3, 50))) == 50


def test_each_task_runs_on_one_thread():
    import torch

    threads = torch.get_num_threads()
    assert run_tasks(torch.get_num_threads, [(), ()], n_jobs=1) == [1, 1]
    assert torch.get_num_threads() == threads
