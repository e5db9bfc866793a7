"""Scores of predictions, against cases by hand and against scikit-learn."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from l0bayes.posterior import (
    accuracy,
    auroc,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    prediction_scores,
    predictive_entropy,
    reliability_table,
)

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3], [0.05, 0.05, 0.9]])
Y = np.array([0, 1, 2, 0])
SCORES = [prediction_scores, accuracy, negative_log_likelihood, brier_score, expected_calibration_error]


def random_predictions(n=500, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.full(classes, 0.5), n), generator.integers(0, classes, n)


def test_a_case_by_hand():
    assert accuracy(P, Y) == 0.5
    assert negative_log_likelihood(P, Y) == pytest.approx(-np.log(0.7 * 0.8 * 0.3 * 0.05) / 4)
    rows = [
        0.3**2 + 0.2**2 + 0.1**2,
        2 * 0.1**2 + 0.2**2,
        0.4**2 + 0.3**2 + 0.7**2,
        0.95**2 + 0.05**2 + 0.9**2,
    ]
    assert brier_score(P, Y) == pytest.approx(np.mean(rows))
    # Confidences 0.7, 0.8, 0.4, 0.9 lie in four of ten bins; right, right, wrong, wrong.
    assert expected_calibration_error(P, Y, bins=10) == pytest.approx((0.3 + 0.2 + 0.4 + 0.9) / 4)
    # In two bins the upper holds three rows, of confidences 0.7, 0.8, 0.9, two of them right.
    assert expected_calibration_error(P, Y, bins=2) == pytest.approx((3 * abs(2 / 3 - 0.8) + 0.4) / 4)
    entropies = [-sum(p * np.log(p) for p in row) for row in P]
    assert predictive_entropy(P) == pytest.approx(entropies)


def test_the_reliability_table_by_hand():
    table = reliability_table(P, Y, bins=2)
    assert list(table.columns) == ["low", "high", "count", "confidence", "accuracy", "gap"]
    assert table["count"].tolist() == [1, 3]
    assert table["confidence"].tolist() == pytest.approx([0.4, 0.8])
    assert table["accuracy"].tolist() == pytest.approx([0.0, 2 / 3])
    assert table["gap"].tolist() == pytest.approx([-0.4, 2 / 3 - 0.8])
    assert (table["low"].tolist(), table["high"].tolist()) == ([0.0, 0.5], [0.5, 1.0])


def test_empty_bins_have_no_accuracy():
    table = reliability_table(P, Y, bins=10)
    assert table["count"].sum() == 4
    empty = table["count"] == 0
    assert table.loc[empty, ["confidence", "accuracy", "gap"]].isna().all(axis=None)
    assert table.loc[~empty].notna().all(axis=None)


def test_the_table_sums_to_the_error():
    p, y = random_predictions()
    table = reliability_table(p, y).dropna()
    error = (table["count"] / 500 * table["gap"].abs()).sum()
    assert expected_calibration_error(p, y) == pytest.approx(error)


def test_a_confidence_on_an_edge_is_in_the_bin_below():
    p = np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]])
    assert reliability_table(p, [0, 0, 0], bins=4)["count"].tolist() == [0, 1, 1, 1]


def test_perfect_and_hopeless_predictions():
    sure = np.eye(3)
    assert asdict(prediction_scores(sure, [0, 1, 2])) == {
        "accuracy": 1.0,
        "nll": 0.0,
        "brier": 0.0,
        "ece": 0.0,
        "entropy": 0.0,
        "count": 3,
        "bins": 15,
    }
    wrong = prediction_scores(sure, [1, 2, 0])
    assert (wrong.accuracy, wrong.nll, wrong.brier, wrong.ece) == (0.0, np.inf, 2.0, 1.0)


def test_uniform_predictions():
    p = np.full((10, 5), 0.2)
    scores = prediction_scores(p, [0] * 10)
    assert scores.nll == pytest.approx(np.log(5))
    assert scores.entropy == pytest.approx(np.log(5))
    assert scores.brier == pytest.approx(0.8**2 + 4 * 0.2**2)
    assert scores.accuracy == 1.0  # the first of equals


def test_calibrated_predictions_have_a_small_error():
    generator = np.random.default_rng(1)
    p = generator.dirichlet([1.0, 1.0, 1.0], 40_000)
    y = (p.cumsum(-1) > generator.random((len(p), 1))).argmax(-1)
    assert expected_calibration_error(p, y) < 0.01
    sharper = p**3 / (p**3).sum(-1, keepdims=True)
    assert expected_calibration_error(sharper, y) > 0.1
    assert reliability_table(sharper, y).dropna()["gap"].iloc[-5:].max() < 0


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_against_scikit_learn(classes):
    p, y = random_predictions(classes=classes, seed=classes)
    labels = list(range(classes))
    assert negative_log_likelihood(p, y) == pytest.approx(log_loss(y, p, labels=labels))
    if classes == 2:
        assert brier_score(p, y) == pytest.approx(2.0 * brier_score_loss(y, p[:, 1]))


def test_auroc_against_scikit_learn_with_ties():
    generator = np.random.default_rng(3)
    low, high = generator.integers(0, 8, 200), generator.integers(2, 10, 150)
    truth = np.r_[np.zeros(200), np.ones(150)]
    assert auroc(low, high) == pytest.approx(roc_auc_score(truth, np.r_[low, high]))
    assert auroc([0.0, 1.0], [2.0, 3.0]) == 1.0
    assert auroc([2.0], [0.0]) == 0.0
    assert auroc([1.0, 1.0], [1.0]) == 0.5


@pytest.mark.parametrize("kind", [list, np.asarray, torch.tensor, lambda v: torch.tensor(v).float()])
def test_tensors_arrays_and_lists(kind):
    labels = torch.tensor(Y) if isinstance(kind(P.tolist()), torch.Tensor) else Y.tolist()
    found, expected = prediction_scores(kind(P.tolist()), labels), prediction_scores(P, Y)
    assert list(asdict(found).values()) == pytest.approx(list(asdict(expected).values()), rel=1e-6)


def test_gradients_are_no_hindrance():
    p = torch.tensor(P, requires_grad=True)
    assert accuracy(p, torch.tensor(Y)) == 0.5
    assert predictive_entropy(p).shape == (4,)


def test_two_classes_by_the_probability_of_one():
    p, y = random_predictions(classes=2)
    assert prediction_scores(p[:, 1], y) == prediction_scores(np.stack([1 - p[:, 1], p[:, 1]], -1), y)
    assert accuracy([0.9, 0.2], [True, False]) == 1.0


def test_a_float32_softmax_over_many_classes_is_accepted():
    p = torch.randn(20, 1000).softmax(-1)
    assert prediction_scores(p, torch.randint(0, 1000, (20,))).count == 20


def test_scores_as_text():
    assert str(prediction_scores([[0.75, 0.25], [0.5, 0.5]], [0, 1], bins=10)) == (
        "accuracy 0.5000, NLL 0.4904 nats, Brier 0.3125, ECE 0.3750 (10 bins), entropy 0.6277 nats, n = 2"
    )


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("p", "y", "message"),
    [
        (P, [0, 1, 2, 3], "labels must lie between 0 and 2, .* got values from 0 to 3"),
        (P, [0, 1, 2, -1], "labels must lie between 0 and 2, .* got values from -1 to 2"),
        (P, [0, 1, 2], r"labels must have shape \(4,\), one for each row, got \(3,\)"),
        (P, Y[:, None], r"labels must have shape \(4,\), one for each row, got \(4, 1\)"),
        (P, Y.astype(float), "labels must be integers, got dtype float64"),
        (2 * P, Y, "probabilities must lie between 0 and 1, got values from 0.1 to 1.8"),
        (P - 0.1, Y, "probabilities must lie between 0 and 1"),
        (P * np.nan, Y, "probabilities must lie between 0 and 1, got values from nan to nan"),
        (P * 0.9, Y, "probabilities must sum to 1 in every row, got 0.9 in row .*softmax"),
        (P[:, :1], Y, r"probabilities must have shape \(n, classes\) .* got \(4, 1\)"),
        (P[None], Y, r"probabilities must have shape .* got \(1, 4, 3\)"),
        (P[:0], Y[:0], r"probabilities must have shape .* at least one row .* got \(0, 3\)"),
    ],
)
def test_what_is_refused(score, p, y, message):
    with pytest.raises(ValueError, match=message):
        score(p, y)


@pytest.mark.parametrize("score", [prediction_scores, expected_calibration_error, reliability_table])
def test_no_bins(score):
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        score(P, Y, bins=0)


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [([], [1.0], "negatives"), ([1.0], [np.nan], "positives"), ([1.0], [], "positives")],
)
def test_no_scores(low, high, name):
    with pytest.raises(ValueError, match=f"{name} must hold at least one score and no NaN"):
        auroc(low, high)
