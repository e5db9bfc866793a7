"""Two hundred variables with names of sixty letters: names differ, and nothing is cut or covered."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from l0bayes.plots import plot_compared_pips, plot_conditional_effects, plot_fdr, plot_inclusion
from l0bayes.plots.variable_rows import shorten_all


@pytest.mark.parametrize(
    "pattern",
    [
        "variable number {:03d} of the long questionnaire on the health of older people",
        "health of older people, the long questionnaire, variable number {:03d} of many",
        "the long questionnaire on the health of older people, question number {:03d}",
        "x{}",
    ],
)
@pytest.mark.parametrize("length", [24, 32])
def test_names_that_differ_look_different(pattern, length):
    names = [pattern.format(number) for number in range(200)]
    short = shorten_all(names, length)
    assert len(set(short)) == 200
    assert max(map(len, short)) <= max(length, 32 if pattern == "x{}" else length)
    assert shorten_all(["a" * 50, "a" * 50]) == [shorten_all(["a" * 50])[0]] * 2  # the same name twice


def test_names_that_differ_in_two_places_are_numbered():
    names = [f"{'a' * 30} {one} {'b' * 30} {other} {'c' * 30}" for one in "xy" for other in "xy"]
    assert len(set(shorten_all(names))) == 4


def drawn_texts(figure):
    """What of a picture is text that is drawn, and where: ticks beyond the limits are not."""
    figure.canvas.draw()
    renderer, found = figure.canvas.get_renderer(), []
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted(limits)
            for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False):
                if low <= place <= high and label.get_text():
                    found.append(label)
            found.append(axis.label)
        found += [axes.title, *axes.texts]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in found if text.get_text().strip()]


@pytest.mark.parametrize(
    "draw",
    [
        lambda table: plot_inclusion(table),
        lambda table: plot_conditional_effects(table),
        lambda table: plot_fdr(table),
        lambda table: plot_compared_pips({"one": table["pip"], "other": table["pip"]}, table["pip"]),
    ],
)
def test_nothing_is_cut_or_covers_other_words_at_the_default_size(draw):
    pip = np.linspace(0.99, 0.0, 200)
    columns = {"pip": pip, "cond_mean": pip, "cond_hdi_low": pip - 1, "cond_hdi_high": pip + 1}
    table = pd.DataFrame(columns)
    table.index = [f"variable number {n:03d} of the long questionnaire on older people" for n in range(200)]
    axes = np.ravel(draw(table))[0]
    texts = drawn_texts(axes.figure)
    width, height = axes.figure.bbox.width, axes.figure.bbox.height
    for words, box in texts:
        assert box.x0 > -1, words
        assert box.y0 > -1, words
        assert box.x1 < width + 1, words
        assert box.y1 < height + 1, words
    for place, (words, one) in enumerate(texts):
        for others, other in texts[place + 1 :]:
            across = min(one.x1, other.x1) - max(one.x0, other.x0)
            down = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert min(across, down) < 1.5, (words, others)
    plt.close(axes.figure)


def test_a_comparison_shows_what_any_method_found():
    index = list("abcd")
    reference = pd.Series([0.9, 0.1, 0.0, 0.0], index)
    found = pd.Series([0.2, 0.1, 0.8, 0.0], index)
    axes = plot_compared_pips({"fit": found}, reference, max_rows=2)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["a", "c"]
    assert [bar.get_width() for bar in axes[0].patches] == [0.2, 0.8]
    plt.close(axes[0].figure)
    with pytest.raises(ValueError, match="'fit' lacks \\['d'\\]"):
        plot_compared_pips({"fit": found[:3]}, reference)
    with pytest.raises(ValueError, match="must name a method"):
        plot_compared_pips({}, reference)
