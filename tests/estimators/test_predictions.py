"""Predictions: of all models, the median one and the best, with intervals; folds; what is kept."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.model_selection import cross_val_score

import l0bayes
from l0bayes import SpikeSlabClassifier, SpikeSlabGLM, SpikeSlabPoissonRegressor, SpikeSlabRegressor
from l0bayes.distributions.cumulative import cumulative
from l0bayes.estimators import SpikeSlabBinomial
from l0bayes.estimators.kept.mixture_quantiles import mixture_quantiles
from l0bayes.likelihoods import NegativeBinomial

pytestmark = pytest.mark.filterwarnings("ignore::l0bayes.estimators.frame_coding.UnseenLevelWarning")


def table(rows=90, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["a", "b", "c"])
    frame["ward"] = rng.choice(["east", "north", "west"], rows)
    return frame


def responses(frame, seed=1):
    rng = np.random.default_rng(seed)
    eta = frame["a"].to_numpy() + 0.8 * (frame["ward"] == "east").to_numpy()
    return (
        eta + rng.normal(size=len(eta)),
        rng.poisson(np.exp(0.5 * eta)),
        eta + rng.logistic(size=len(eta)) > 0,
    )


def test_the_model_within_which_is_predicted():
    """Given a model and the noise the posterior is Normal: closed form with a known noise."""
    frame = table()
    x, y = frame[["a", "b", "c"]].to_numpy(), responses(frame)[0]
    fit = SpikeSlabRegressor(
        noise_scale=1.0, inclusion=0.5, standardize=False, fit_intercept=False, slab_scale=0.7
    ).fit(x, y)
    median, best = fit.pip_ > 0.5, fit.top_models(1)["variables"].iloc[0]
    for estimator, names in (("median", median), ("best", [name in best for name in ("x0", "x1", "x2")])):
        columns = x[:, np.array(names)]
        covariance = np.linalg.inv(columns.T @ columns + np.eye(columns.shape[1]) / 0.49)
        mean = covariance @ columns.T @ y
        np.testing.assert_allclose(fit.predict(x, estimator=estimator), columns @ mean, atol=1e-9)
        std = np.sqrt(1.0 + np.einsum("ij,jk,ik->i", columns, covariance, columns))
        given = fit.predict(x, estimator=estimator, interval=0.9)
        low, high = (stats.norm.ppf(share, columns @ mean, std) for share in (0.05, 0.95))
        np.testing.assert_allclose(given.low, low, atol=0.02)
        np.testing.assert_allclose(given.high, high, atol=0.02)
        np.testing.assert_allclose(fit.predict(x, True, estimator)[1], std, rtol=1e-9)


def test_an_empty_model_predicts_the_mean():
    frame = table(40)
    y = np.random.default_rng(5).normal(3.0, 1.0, len(frame))
    fit = SpikeSlabRegressor(inclusion=0.01, intercept_scale=np.inf).fit(frame, y)
    assert (fit.pip_ < 0.5).all()
    np.testing.assert_allclose(fit.predict(frame, estimator="median"), y.mean(), atol=1e-6)
    low, high = (
        stats.t.ppf(s, len(y) - 1, y.mean(), y.std(ddof=1) * (1 + 1 / len(y)) ** 0.5) for s in (0.1, 0.9)
    )
    given = fit.predict(frame[:1], estimator="best", interval=0.8)
    assert given.low[0] == pytest.approx(low, abs=0.05)
    assert given.high[0] == pytest.approx(high, abs=0.05)


@pytest.mark.parametrize("g", ["bric", "eb-global"])
def test_a_model_keeps_the_g_of_all_columns(g):
    """With few rows p² is above n: within a model of one column g is that of all, and its shrinkage too."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(30, 8))
    y = 2.0 * x[:, 0] + rng.normal(size=30)
    fit = SpikeSlabRegressor(slab="g", g=g, inclusion=0.1).fit(x, y)
    number = fit.posterior_.problem.slab.value(fit.posterior_.problem.setting)
    assert fit.pip_[0] > 0.5
    assert fit.pip_[1:].max() < 0.5
    slope = np.polyfit(x[:, 0], y, 1)[0] * number / (1.0 + number)
    spread = fit.predict(x, estimator="median") - y.mean()
    np.testing.assert_allclose(spread, slope * (x[:, 0] - x[:, 0].mean()), rtol=1e-8)


def test_intervals_are_quantiles_of_the_mixture():
    """Two groups of models far apart: the interval is that of the draws, and no multiple of the sd."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(25, 1)) @ np.ones((1, 2)) + 0.02 * rng.normal(size=(25, 2))
    y = x[:, 0] + 0.3 * rng.normal(size=25)
    fit = SpikeSlabRegressor(noise_scale=0.3, random_state=0).fit(x, y)
    far = np.array([[3.0, -3.0]])
    mean, std = fit.predict(far, return_std=True)
    given = fit.predict(far, interval=0.5)
    draws = fit.original_scale_.draws
    eta = (draws.beta @ torch.tensor(far[0]) + draws.intercept).numpy()
    for share, end in ((0.25, given.low[0]), (0.75, given.high[0])):
        assert stats.norm.cdf(end, eta, 0.3).mean() == pytest.approx(share, abs=1e-8)
    normal = stats.norm.ppf(0.25, mean, std)
    assert abs(given.low[0] - normal[0]) > 0.1 * std[0]


@pytest.mark.parametrize(
    ("law", "reference"),
    [
        (torch.distributions.Poisson(torch.tensor([[0.3, 4.0]])), lambda v: stats.poisson.cdf(v, [0.3, 4.0])),
        (
            torch.distributions.NegativeBinomial(
                torch.tensor([[2.5, 0.4]]), logits=torch.tensor([[0.3, 1.0]])
            ),
            lambda v: stats.nbinom.cdf(v, [2.5, 0.4], 1 - 1 / (1 + np.exp([-0.3, -1.0]))),
        ),
        (
            torch.distributions.Binomial(torch.tensor([[6.0, 9.0]]), logits=torch.tensor([[0.3, -1.0]])),
            lambda v: stats.binom.cdf(v, [6, 9], 1 / (1 + np.exp([-0.3, 1.0]))),
        ),
        (
            torch.distributions.StudentT(
                torch.tensor([[3.0, 9.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 2.0]])
            ),
            lambda v: stats.t.cdf(v, [3, 9], [0, 1], [1, 2]),
        ),
    ],
)
def test_cumulative_probabilities_are_those_of_scipy(law, reference):
    for value in (-1.0, 0.0, 1.0, 2.5, 6.0, 20.0):
        found = cumulative(law, torch.full((1, 2), value))
        np.testing.assert_allclose(found[0].numpy(), reference(value), atol=2e-6)
    for share in (0.05, 0.5, 0.97):
        end = float(mixture_quantiles(law, (share,))[0])
        assert reference(end).mean() >= share - 1e-6
        assert reference(end - (1.0 if law.support.is_discrete else 1e-3)).mean() < share + 1e-6


def test_a_law_without_cumulative_probabilities_is_drawn_from():
    law = torch.distributions.VonMises(torch.zeros(1, 4000), torch.full((1, 4000), 40.0))
    low, high = mixture_quantiles(law, (0.1, 0.9))
    assert float(low) == pytest.approx(stats.vonmises.ppf(0.1, 40.0), abs=0.01)
    assert float(high) == pytest.approx(stats.vonmises.ppf(0.9, 40.0), abs=0.01)


KINDS = [
    (SpikeSlabRegressor(random_state=0), 0),
    (SpikeSlabRegressor(random_state=0, slab="jzs"), 0),
    (SpikeSlabRegressor(random_state=0, standardize=False, fit_intercept=False), 0),
    (SpikeSlabPoissonRegressor(random_state=0), 1),
    (SpikeSlabGLM(NegativeBinomial(dispersion=0.4), random_state=0), 1),
    (SpikeSlabClassifier(random_state=0), 2),
]


def all_predictions(fitted, frame):
    found = []
    for estimator in ("average", "median", "best"):
        found += [fitted.predict(frame, estimator=estimator), *fitted.predict(frame, True, estimator)]
        if fitted.classes_ is None:
            found += [*fitted.predict(frame, estimator=estimator, interval=0.9)]
        else:
            found += [fitted.predict_proba(frame, estimator=estimator)]
            found += [*fitted.predict_proba(frame, estimator=estimator, interval=0.9)]
    return [np.asarray(one, dtype=float).tolist() for one in found]


@pytest.mark.parametrize(("estimator", "which"), KINDS, ids=lambda one: type(one).__name__)
def test_what_is_kept_predicts_the_same(estimator, which, tmp_path):
    frame = table()
    fit = estimator.fit(frame, responses(frame)[which])
    fit.save(tmp_path / "kept")
    again = l0bayes.load_selection(tmp_path / "kept")
    own = fit if which == 2 else type("Plain", (), {"predict": fit.predict, "classes_": None})()
    for one, other in zip(all_predictions(own, frame[:9]), all_predictions(again, frame[:9]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(again.pip_, fit.pip_)
    assert again.columns_ == fit.columns_
    # Columns in another order, and others beside them.
    shuffled = frame[["ward", "c", "a", "b"]].assign(other="x")
    np.testing.assert_array_equal(again.predict(shuffled), again.predict(frame))


def test_what_is_kept_predicts_the_same_in_a_new_process(tmp_path):
    frame = table(40)
    fit = SpikeSlabRegressor(random_state=0).fit(frame, responses(frame)[0])
    fit.save(tmp_path / "kept")
    frame.to_csv(tmp_path / "x.csv", index=False)
    code = (
        "import l0bayes, pandas, sys\n"
        "kept = l0bayes.load_selection(sys.argv[1])\n"
        "for one in kept.predict(pandas.read_csv(sys.argv[2]), interval=0.8): print(*map(repr, one.tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "kept"), str(tmp_path / "x.csv")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read = np.array([line.split() for line in done.stdout.splitlines()], dtype=float)
    np.testing.assert_allclose(read, fit.predict(frame, interval=0.8), rtol=1e-12)


def test_what_is_missing_or_new_is_refused_by_name_or_filled(tmp_path):
    frame = table()
    fit = SpikeSlabRegressor(random_state=0).fit(frame, responses(frame)[0])
    fit.save(tmp_path)
    kept = l0bayes.load_selection(tmp_path)
    with pytest.raises(ValueError, match=r"lacks a column that fit had: 'b'"):
        kept.predict(frame.drop(columns="b"))
    gone = frame.assign(b=frame["b"].mean())
    with pytest.warns(UserWarning, match="lacks 'b'"):
        filled = kept.predict(frame.drop(columns="b"), fill="mean")
    np.testing.assert_allclose(filled, kept.predict(gone), rtol=1e-12)
    with pytest.raises(ValueError, match="NaN in column 'a'"):
        kept.predict(frame.assign(a=np.nan))
    with pytest.warns(UserWarning, match="values are missing: 'a' in 90 rows"):
        filled = kept.predict(frame.assign(a=np.nan), fill="mean")
    np.testing.assert_allclose(filled, kept.predict(frame.assign(a=frame["a"].mean())), 1e-12)
    with pytest.raises(ValueError, match="'south' in column 'ward', row 0: a level that no row had in fit"):
        kept.predict(frame.assign(ward="south"))
    new = kept.predict(frame.assign(ward="south"), unseen="mean")
    levels = [kept.predict(frame.assign(ward=level)) for level in ("east", "north", "west")]
    np.testing.assert_allclose(new, np.mean(levels, 0), rtol=1e-9)
    with pytest.warns(UserWarning, match="values are missing: 'ward' in 90 rows"):
        filled = kept.predict(frame.assign(ward=None), fill="mean")
    np.testing.assert_allclose(filled, new, rtol=1e-12)
    with pytest.raises(ValueError, match="no numbers in column 'a'"):
        kept.predict(frame.assign(a="x"))
    with pytest.raises(ValueError, match="fill must be one of"):
        kept.predict(frame, fill="zero")


def test_words_and_numbers_out_of_range_are_refused():
    frame = table(40)
    fit = SpikeSlabRegressor(random_state=0).fit(frame, responses(frame)[0])
    for wrong in ({"estimator": "mode"}, {"interval": 1.0}, {"interval": 0.9, "return_std": True}):
        with pytest.raises(ValueError, match=r"estimator|interval"):
            fit.predict(frame, **wrong)
    classes = SpikeSlabClassifier(random_state=0).fit(frame, responses(frame)[2])
    with pytest.raises(ValueError, match="predict_proba"):
        classes.predict(frame, interval=0.9)
    with pytest.raises(ValueError, match="unseen must be one of"):
        SpikeSlabRegressor(unseen="zero").fit(frame, responses(frame)[0])


def test_files_that_were_altered_and_folders_of_others_are_refused(tmp_path):
    frame = table(40)
    fit = SpikeSlabRegressor(random_state=0).fit(frame, responses(frame)[0])
    file = fit.save(tmp_path / "kept")
    fit.save(tmp_path / "kept")  # replaces its own
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(l0bayes.saved_selections.SavedSelectionError, match="altered"):
        l0bayes.load_selection(tmp_path / "kept")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds no selection"):
        fit.save(tmp_path / "other")
    with pytest.raises(FileNotFoundError, match=r"selection\.safetensors"):
        l0bayes.load_selection(tmp_path / "other")


def test_folds_without_a_level_have_finite_scores_by_any_scoring():
    frame = table(60).assign(ward=["rare", *["east", "north", "west"] * 19, "east", "west"])
    y = responses(frame)[0]
    for scoring in (None, "neg_mean_squared_error", "neg_mean_absolute_error"):
        scores = cross_val_score(SpikeSlabRegressor(unseen="mean"), frame, y, cv=3, scoring=scoring)
        assert np.isfinite(scores).all()


def test_a_fit_by_column_is_kept_with_the_columns_that_were_in_a_model(tmp_path):
    from scipy import sparse

    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 40)) * (rng.random((100, 40)) < 0.5)
    y = 2.0 * x[:, 3] - 2.0 * x[:, 17] + 0.3 * rng.normal(size=100)
    fit = SpikeSlabRegressor(engine="wide", random_state=0).fit(sparse.csr_matrix(x), y)
    fit.save(tmp_path)
    kept = l0bayes.load_selection(tmp_path)
    frame = pd.DataFrame(x, columns=[f"x{place}" for place in range(40)])
    np.testing.assert_allclose(kept.predict(frame), fit.predict(sparse.csr_matrix(x)), rtol=1e-12)
    assert {"x3", "x17"} <= set(kept.columns_)


def test_without_trials_the_interval_is_of_the_probability_of_a_success():
    generator = np.random.default_rng(2)
    x, trials = generator.normal(size=(60, 2)), np.full(60, 20)
    successes = generator.binomial(trials, 1.0 / (1.0 + np.exp(-x[:, 0])))
    fit = SpikeSlabBinomial(random_state=0).fit(x, successes, trials=trials)
    mean, low, high = fit.predict(x[:5], interval=0.9)
    assert ((low < mean) & (mean < high) & (high - low < 0.3)).all()
    np.testing.assert_allclose(mean, fit.predict(x[:5]), rtol=1e-9)
    # Of very many trials the share of successes is the probability.
    many = fit.predict(x[:5], interval=0.9, trials=100_000)
    np.testing.assert_allclose(np.stack([low, high]), np.stack(many[1:]) / 100_000, atol=0.01)
    assert set(fit.predict(x[:5], interval=0.9, trials=1).low) <= {0.0, 1.0}
