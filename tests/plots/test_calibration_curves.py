"""Pictures of predictions show the numbers they are given."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from l0bayes.plots import plot_entropy, plot_reliability
from l0bayes.posterior import (
    auroc,
    expected_calibration_error,
    predictive_entropy,
    reliability_table,
)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def predictions(sharpness=1.0, n=400, seed=0, classes=3):
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.ones(classes), n)
    y = (p.cumsum(-1) > generator.random((n, 1))).argmax(-1)
    p = p**sharpness
    return p / p.sum(-1, keepdims=True), y


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


# ---- reliability -------------------------------------------------------------------------------------


def test_bars_are_the_accuracies_of_full_bins_with_their_counts():
    p, y = predictions()
    axes = plot_reliability(p, y, bins=10)
    full = reliability_table(p, y, bins=10).dropna()
    assert [bar.get_height() for bar in axes.patches] == pytest.approx(full["accuracy"].tolist())
    assert [bar.get_x() for bar in axes.patches] == pytest.approx(full["low"].tolist())
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.1] * len(full))
    assert [int(text.get_text()) for text in axes.texts] == full["count"].tolist()
    (ticks,) = axes.collections
    assert [line[0, 1] for line in ticks.get_segments()] == pytest.approx(full["confidence"].tolist())


def test_the_diagonal_and_the_error():
    p, y = predictions(sharpness=3.0)
    axes = plot_reliability(p, y)
    assert axes.lines[0].get_xdata().tolist() == axes.lines[0].get_ydata().tolist() == [0.0, 1.0]
    assert axes.get_title() == f"ECE {expected_calibration_error(p, y):.3f}"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("confidence", "accuracy")
    assert set(legend(axes)) == {"as sure as right", "confidence"}
    assert plot_reliability(p, y, title="Test set").get_title() == "Test set"


def test_several_models_are_lines_with_their_errors():
    p, y = predictions()
    models = {"dense": predictions(3.0)[0], "posterior": torch.tensor(p)}
    axes = plot_reliability(models, y, bins=5)
    assert axes.get_title() == "Reliability, 5 bins"
    names = [f"{name}, ECE {expected_calibration_error(q, y, 5):.3f}" for name, q in models.items()]
    assert legend(axes) == ["as sure as right", *names]
    for line, q in zip(axes.lines[1:], models.values(), strict=True):
        full = reliability_table(q, y, 5).dropna()
        assert line.get_xdata().tolist() == pytest.approx(full["confidence"].tolist())
        assert line.get_ydata().tolist() == pytest.approx(full["accuracy"].tolist())
    colours = {mpl.colors.to_hex(line.get_color()) for line in axes.lines}
    assert len(colours) == 3


def test_what_reliability_refuses():
    with pytest.raises(ValueError, match="at least one model, got an empty mapping"):
        plot_reliability({}, [0])
    with pytest.raises(ValueError, match="labels must lie between 0 and 1"):
        plot_reliability([[0.5, 0.5]], [2])


# ---- entropy -----------------------------------------------------------------------------------------


def two_sets():
    return predictions(6.0, n=300)[0], predictions(1.0, n=200, seed=1)[0]


def test_histograms_are_shares_of_each_set():
    known, strange = two_sets()
    axes = plot_entropy(known, strange, bins=20)
    heights = np.array([bar.get_height() for bar in axes.patches])
    assert len(heights) == 40
    assert heights[:20].sum() == pytest.approx(1.0)
    assert heights[20:].sum() == pytest.approx(1.0)
    area = auroc(predictive_entropy(known), predictive_entropy(strange))
    assert f"strange, AUROC {area:.3f}, n = 200" in legend(axes)
    assert "known, n = 300" in legend(axes)
    assert axes.lines[0].get_xdata() == pytest.approx([np.log(3)] * 2)


def test_no_input_falls_out_of_the_histogram():
    """The entropy of a float32 uniform law may lie a hair above log K."""
    axes = plot_entropy(np.full((7, 3), 1 / 3), torch.full((5, 10), 0.1)[:, :3] / 0.3)
    assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(2.0)


def test_distribution_functions_of_several_models():
    known, strange = two_sets()
    axes = plot_entropy({"a": known, "b": strange}, {"b": known, "a": strange}, kind="ecdf")
    assert len(axes.lines) == 7  # four curves, the line of log K, and two entries of the legend
    styles = [line.get_linestyle() for line in axes.lines[:4]]
    assert styles == ["-", "--", "-", "--"]
    x, y = axes.lines[0].get_data()
    assert np.sort(predictive_entropy(known)) == pytest.approx(x[1:])
    assert y[-1] == 1.0
    area = auroc(predictive_entropy(known), predictive_entropy(strange))
    expected = [f"a, AUROC {area:.3f}", f"b, AUROC {1 - area:.3f}", "all classes alike", "known", "strange"]
    assert legend(axes) == expected
    assert axes.lines[0].get_color() == axes.lines[1].get_color() != axes.lines[2].get_color()


def test_one_distribution_function_a_set():
    axes = plot_entropy(*two_sets(), kind="ecdf", title="Entropy")
    assert axes.get_title() == "Entropy"
    assert legend(axes)[0].startswith("AUROC 0.")


def test_given_axes(tmp_path):
    figure, (left, right) = plt.subplots(1, 2)
    p, y = predictions()
    assert plot_reliability(p, y, ax=left) is left
    assert plot_entropy(*two_sets(), ax=right) is right
    figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "kde"}, "kind must be one of histogram, ecdf; got 'kde'"),
        ({"bins": 0}, "bins must be at least 1, got 0"),
    ],
)
def test_what_entropy_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        plot_entropy(*two_sets(), **options)


def test_sets_that_do_not_fit():
    known, strange = two_sets()
    with pytest.raises(ValueError, match="must have the same classes, got 3 and 4 of them"):
        plot_entropy(known, predictions(classes=4)[0])
    with pytest.raises(ValueError, match=r"must name the same models.*got \['a'\] and \['b'\]"):
        plot_entropy({"a": known}, {"b": strange}, kind="ecdf")
    with pytest.raises(ValueError, match=r"must name the same models.*got \['a'\] and None"):
        plot_entropy({"a": known}, strange, kind="ecdf")
    with pytest.raises(ValueError, match="kind must be 'ecdf' for several models"):
        plot_entropy({"a": known}, {"a": strange})
