"""Pictures show the numbers they are given."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

import l0bayes
from l0bayes.plots import plot_effects, plot_gate_map, plot_pips, plot_training
from tests.infer.fitting import short
from tests.posterior import fits

DARK, PALE = "#1f5f8b", "#b9c4cc"


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def table():
    return pd.DataFrame(
        {
            "pip": [0.2, 0.9, 0.6, 0.5],
            "pip_low": [0.1, 0.8, 0.3, 0.5],
            "pip_high": [0.3, 0.95, 0.7, 0.5],
            "mean": [0.1, -2.0, 0.5, 0.0],
            "hdi_low": [0.0, -3.0, 0.0, -1.0],
            "hdi_high": [0.4, -1.0, 1.0, 1.0],
            "mean_active": [0.5, -2.2, 0.8, np.nan],
            "prior": [0.25, 0.25, 0.1, 0.1],
            "in_median_model": [False, True, True, False],
        },
        index=["a", "b", "c", "d"],
    )


def colours(patches):
    return [mpl.colors.to_hex(patch.get_facecolor()) for patch in patches]


def labels(axes):
    return [tick.get_text() for tick in axes.get_yticklabels()]


def segments(axes):
    """Ends of the horizontal lines: (row, from, to)."""
    (lines,) = [c for c in axes.collections if isinstance(c, mpl.collections.LineCollection)]
    return [(line[0, 1], line[0, 0], line[1, 0]) for line in lines.get_segments()]


def points(axes):
    return [
        np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, mpl.collections.PathCollection)
    ]


# ---- inclusion ---------------------------------------------------------------------------------------


def test_bars_are_as_long_as_the_probabilities():
    axes = plot_pips(table())
    assert labels(axes) == ["b", "c", "d", "a"]
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.6, 0.5, 0.2]
    assert colours(axes.patches) == [DARK, DARK, PALE, PALE]
    assert axes.get_xlim() == (0.0, 1.0)
    assert axes.get_xlabel() == "posterior inclusion probability"
    top, bottom = axes.get_ylim()[1], axes.get_ylim()[0]
    assert top < 0 < 3 < bottom  # the most probable on top


def test_whiskers_ticks_and_the_line_of_the_median_model():
    axes = plot_pips(table())
    assert segments(axes) == [(0, 0.8, 0.95), (1, 0.3, 0.7), (2, 0.5, 0.5), (3, 0.1, 0.3)]
    (ticks,) = points(axes)
    assert ticks.tolist() == [[0.25, 0], [0.1, 1], [0.1, 2], [0.25, 3]]
    assert axes.lines[0].get_xdata() == [0.5, 0.5]
    legend = {text.get_text() for text in axes.get_legend().get_texts()}
    assert legend == {"range over restarts", "prior", "median model"}


def test_one_restart_has_no_whiskers():
    axes = plot_pips(table().drop(columns=["pip_low", "pip_high"]))
    assert not [c for c in axes.collections if isinstance(c, mpl.collections.LineCollection)]


@pytest.mark.parametrize(("rows", "title"), [(4, "Inclusion"), (2, "Inclusion: 2 most probable of 4")])
def test_the_title_says_what_is_left_out(rows, title):
    axes = plot_pips(table(), max_rows=rows)
    assert axes.get_title() == title
    assert len(axes.patches) == rows


@pytest.mark.parametrize("plot", [plot_pips, plot_effects])
def test_axes_may_be_given(plot):
    _, ax = plt.subplots()
    assert plot(table(), ax=ax) is ax


@pytest.mark.parametrize("plot", [plot_pips, plot_effects])
@pytest.mark.parametrize("wrong", [pd.DataFrame({"x": [1.0]}), pd.DataFrame(), table().head(0)])
def test_what_is_no_gate_table(plot, wrong):
    with pytest.raises(ValueError, match="table must be a gate table with at least one row"):
        plot(wrong)


@pytest.mark.parametrize("plot", [plot_pips, plot_effects])
def test_a_real_table(plot, tmp_path):
    axes = plot(l0bayes.gate_table(fits.idata("plain")))
    assert set(labels(axes)) == set(fits.NAMES)
    axes.figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000


# ---- effects -----------------------------------------------------------------------------------------


def test_effects_are_intervals_with_two_means():
    axes = plot_effects(table(), max_rows=3)
    assert labels(axes) == ["b", "c", "d"]
    assert segments(axes) == [(0, -3.0, -1.0), (1, 0.0, 1.0), (2, -1.0, 1.0)]
    means, active = points(axes)
    assert means.tolist() == [[-2.0, 0], [0.5, 1], [0.0, 2]]
    assert active[:2].tolist() == [[-2.2, 0], [0.8, 1]]
    areas = axes.collections[1].get_sizes()
    assert np.all(np.diff(areas) < 0)  # the most probable is the largest
    assert axes.get_title() == "Effects"


# ---- images ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, lambda v: torch.tensor(v, requires_grad=True), list])
def test_pixels_have_the_gates_probabilities(kind):
    values = np.linspace(0.0, 1.0, 6)
    axes = plot_gate_map(kind(values), (2, 3), title="Pixels")
    (image,) = axes.images
    assert np.asarray(image.get_array()) == pytest.approx(values.reshape(2, 3))
    assert image.get_clim() == (0.0, 1.0)
    assert axes.get_title() == "Pixels"
    assert axes.figure.axes[1].get_ylabel() == "P(z ≠ 0)"


def test_decided_gates_have_a_legend_of_two_words():
    axes = plot_gate_map(torch.tensor([1.0, 1e-6, 0.0, 1.0]), (2, 2))
    light, dark = axes.get_legend().legend_handles
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["used", "unused"]
    assert sum(light.get_facecolor()[:3]) > sum(dark.get_facecolor()[:3]) + 1.0
    assert len(axes.figure.axes) == 1  # no colour bar
    (image,) = axes.images
    assert image.cmap(1.0) == light.get_facecolor()


def test_a_gate_map_on_given_axes():
    _, ax = plt.subplots()
    assert plot_gate_map(torch.zeros(4), (2, 2), ax=ax) is ax
    assert ax.get_title() == "P(input is used)"


def test_a_wrong_number_of_pixels():
    with pytest.raises(ValueError, match="probabilities must hold 2 x 3 values, got 5"):
        plot_gate_map(torch.zeros(5), (2, 3))


# ---- training ----------------------------------------------------------------------------------------


def test_training_shows_the_history_of_every_restart():
    fit = fits.plain()
    left, right = plot_training(fit)
    assert len(left.lines) == 2
    assert len(right.lines) == 4
    for line, run in zip(left.lines, fit.restarts, strict=True):
        assert list(line.get_xdata()) == run.history.step
        assert list(line.get_ydata()) == run.history.elbo
        assert line.get_alpha() == (1.0 if run is fit.best else 0.5)
    assert list(right.lines[0].get_ydata()) == fit.restarts[0].history.expected_l0
    assert list(right.lines[1].get_ydata()) == fit.restarts[0].history.deployed_l0
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["expected", "deployed"]
    assert right.get_title() == "L0 of 3 gates"
    assert right.get_ylim()[0] == 0.0


def test_the_title_does_not_call_an_objective_a_bound():
    left, _ = plot_training(fits.plain())
    assert left.get_title() == "Objective"
    model = l0bayes.models.SparseRegression(3, inclusion=l0bayes.distributions.HardConcrete(0.0, 0.5))
    bound = fits.fit(model, steps=5)
    assert plot_training(bound)[0].get_title() == "ELBO"


def test_a_history_of_one_record():
    fit = short(steps=1)
    left, _ = plot_training(fit)
    low, high = left.get_ylim()
    assert low < fit.elbo < high


def test_training_on_given_axes():
    _, axes = plt.subplots(1, 2)
    assert plot_training(fits.plain(), axes=axes) is axes


def test_a_fit_without_a_history():
    fit = l0bayes.Fit.of(fits.plain().model, fits.plain().guide, (fits.X, fits.Y))
    with pytest.raises(ValueError, match="fit has no history: the guide was trained elsewhere"):
        plot_training(fit)
