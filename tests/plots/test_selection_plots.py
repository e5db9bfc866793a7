"""Pictures of a selection show the numbers they are given."""

import dataclasses

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from l0bayes.plots import (
    plot_conditional_effects,
    plot_fdr,
    plot_inclusion,
    plot_joint_inclusion,
    plot_model_size,
    plot_top_models,
)
from l0bayes.selection import (
    GaussianProblem,
    GibbsDiagnostics,
    InclusionPrior,
    ModelDraws,
    SelectionPosterior,
    infer_gates,
)

DARK, PALE = "#1f5f8b", "#b9c4cc"


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def summary(**columns):
    table = {
        "pip": [0.2, 0.9, 0.5, 0.5, 0.6],
        "pip_mcse": [0.01, 0.02, 0.0, 0.0, 0.0],
        "prior": [0.1, 0.1, 0.2, 0.2, 0.1],
        "cond_mean": [1.0, -2.0, 0.3, 0.4, 0.5],
        "cond_hdi_low": [0.5, -3.0, 0.1, 0.2, 0.4],
        "cond_hdi_high": [1.5, -1.0, 0.5, 0.6, 0.6],
        "group": ["a", "b", "C(r)", "C(r)", "d"],
        **columns,
    }
    return pd.DataFrame(table, index=["a", "b", "C(r)[x]", "C(r)[y]", "d"])


def large(count=200):
    pip = np.linspace(0.99, 0.0, count)
    columns = {"pip": pip, "cond_mean": pip, "cond_hdi_low": pip - 1, "cond_hdi_high": pip + 1}
    return pd.DataFrame(columns, index=[f"gene_{i}" for i in range(count)])


def posterior(gates, weights, *, groups=None, mean=None, prior=None):
    """A posterior whose sample is the models given."""
    models = torch.tensor(gates, dtype=torch.float64)
    weights = torch.tensor(weights, dtype=torch.float64)
    count = models.shape[1]
    p = count if groups is None else len(groups)
    problem = GaussianProblem(
        torch.eye(p, dtype=torch.float64),
        torch.zeros(p),
        prior or InclusionPrior(log_odds=torch.zeros(count, dtype=torch.float64)),
        torch.ones(p),
        noise=1.0,
        groups=torch.arange(p) if groups is None else torch.tensor(groups),
    )
    sizes = torch.zeros(count + 1, dtype=torch.float64)
    sizes.index_add_(0, models.sum(1).long(), weights)
    return SelectionPosterior(
        engine="gibbs",
        problem=problem,
        pip=weights @ models,
        pip_mcse=torch.zeros(count),
        mean=torch.ones(p) if mean is None else torch.tensor(mean),
        second_moment=torch.ones(p),
        log_evidence=float("nan"),
        size_probabilities=sizes,
        draws=ModelDraws(models, torch.ones(len(models)), weights, torch.zeros(len(models))),
        diagnostics=GibbsDiagnostics(flips=1, chains=2, largest_mcse=0.0, ess=1.0),
    )


def ticks(axes):
    return [tick.get_text() for tick in axes.get_yticklabels()]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


# ---- bars of inclusion ---------------------------------------------------------------------------------


def test_bars_are_the_gates_in_order():
    axes = plot_inclusion(summary())
    assert ticks(axes) == ["b", "d", "C(r)", "a"]
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.6, 0.5, 0.2]
    colours = [mpl.colors.to_hex(bar.get_facecolor()) for bar in axes.patches]
    assert colours == [DARK, DARK, PALE, PALE]
    (half,) = [line for line in axes.lines if set(line.get_xdata()) == {0.5}]
    assert half.get_linestyle() == "--"


def test_whiskers_are_two_errors_and_stay_within_bounds():
    axes = plot_inclusion(summary(pip=[0.2, 0.99, 0.5, 0.5, 0.6]))
    (lines,) = [c for c in axes.collections if isinstance(c, mpl.collections.LineCollection)]
    ends = [tuple(segment[:, 0]) for segment in lines.get_segments()]
    assert ends[0] == pytest.approx((0.95, 1.0))
    assert ends[-1] == pytest.approx((0.18, 0.22))
    assert "± 2 Monte Carlo errors" in legend(axes)


def test_without_errors_there_are_no_whiskers():
    assert "± 2 Monte Carlo errors" not in legend(plot_inclusion(summary(pip_mcse=[0.0] * 5)))


def test_many_variables_are_cut_and_that_is_said():
    axes = plot_inclusion(large())
    assert len(axes.patches) == 30
    assert axes.get_title() == "Inclusion: 30 most probable of 200"
    assert plot_inclusion(summary()).get_title() == "Inclusion"


# ---- effects -------------------------------------------------------------------------------------------


def test_the_forest_shows_intervals_and_spikes():
    axes = plot_conditional_effects(summary())
    assert ticks(axes) == ["b", "d", "C(r)[x]", "C(r)[y]", "a"]
    heights = [abs(bar.get_height()) for bar in axes.patches]
    assert np.array(heights) / 0.84 == pytest.approx([0.1, 0.4, 0.5, 0.5, 0.8])
    assert all(bar.get_x() + bar.get_width() / 2 == pytest.approx(0.0) for bar in axes.patches)
    lines = [c for c in axes.collections if isinstance(c, mpl.collections.LineCollection)]
    ends = [tuple(line.get_segments()[0][:, 0]) for line in lines]
    assert ends[0] == (-3.0, -1.0)
    assert lines[0].get_alpha() > lines[-1].get_alpha()
    assert "0.90" in [text.get_text() for text in axes.texts]


def test_effects_in_standard_deviations():
    scale = pd.Series([2.0, 10.0, 1.0, 1.0, 1.0], index=summary().index)
    axes = plot_conditional_effects(summary(), scale=scale)
    (first, *_) = [c for c in axes.collections if isinstance(c, mpl.collections.LineCollection)]
    assert tuple(first.get_segments()[0][:, 0]) == (-30.0, -10.0)
    assert axes.get_xlabel() == "effect of one standard deviation, given that it is not 0"
    with pytest.raises(
        ValueError, match=r"scale must have an entry for each column of summary, lacks \['b'\]"
    ):
        plot_conditional_effects(summary(), scale=scale.drop("b"))


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ({"a": 1.0}, "scale must be a Series .* got dict"),
        (np.ones(5), "scale must be a Series .* got ndarray"),
        (2.0, "scale must be a Series .* got float"),
        (pd.Series(["1"] * 5, index=summary().index), "scale must hold one number for each column"),
        (pd.Series(1.0, index=[*summary().index, "a"]), "scale must hold one number for each column"),
    ],
)
def test_scales_that_will_not_do(scale, message):
    with pytest.raises(ValueError, match=message):
        plot_conditional_effects(summary(), scale=scale)


def test_a_forest_of_many():
    axes = plot_conditional_effects(large(), max_rows=7)
    assert len(ticks(axes)) == 7
    assert axes.get_title() == "Effects: 7 most probable of 200"


def test_effects_that_are_not_known_are_left_out():
    axes = plot_conditional_effects(summary(cond_mean=[np.nan] * 5, cond_hdi_low=[np.nan] * 5))
    assert len(ticks(axes)) == 5


# ---- false discoveries ---------------------------------------------------------------------------------


def test_the_curve_sums_the_chances_of_error():
    axes = plot_fdr(summary(), level=0.2)
    curve = axes.lines[1]
    assert list(curve.get_xdata()) == [0, 1, 2, 3, 4]
    assert np.asarray(curve.get_ydata()) == pytest.approx([0.0, 0.1, 0.5, 1.0, 1.8])
    assert "1 variable, 0.1 expected to be false" in legend(axes)


def test_nothing_may_be_selected():
    assert "no selection is below it" in legend(plot_fdr(summary(), level=0.01))


def test_a_long_curve_is_cut():
    axes = plot_fdr(large(), max_selected=25)
    assert axes.get_title() == "False discoveries: the first 25 of 200"
    assert axes.get_xlim()[1] == 25.5


# ---- model size ----------------------------------------------------------------------------------------


def test_sizes_before_and_after():
    axes = plot_model_size(posterior([[1, 0, 0], [1, 1, 0]], [0.25, 0.75]))
    assert [bar.get_height() for bar in axes.patches] == [0.0, 0.25, 0.75, 0.0]
    (prior,) = axes.lines
    assert list(prior.get_ydata()) == pytest.approx([1 / 8, 3 / 8, 3 / 8, 1 / 8])
    assert legend(axes) == ["prior, mean 1.5", "posterior, mean 1.8"]


def sized(count, mean, spread, prior):
    """A posterior of so many gates whose size is nearly normal."""
    found = posterior([[1] * count], [1.0], prior=prior)
    sizes = torch.arange(count + 1, dtype=torch.float64)
    mass = (-0.5 * ((sizes - mean) / spread) ** 2).softmax(0)
    return dataclasses.replace(found, size_probabilities=mass)


@pytest.mark.parametrize(("count", "mean", "spread"), [(30, 6, 2), (200, 17, 4), (2000, 40, 15)])
def test_sizes_are_shown_where_the_posterior_is(count, mean, spread):
    axes = plot_model_size(sized(count, mean, spread, InclusionPrior(beta=(1.0, 1.0))))
    low, high = axes.get_xlim()
    assert low < mean - 2 * spread
    assert mean + 3 * spread < high < mean + max(25, 5 * spread)
    assert len(axes.patches) < 100
    (prior,) = axes.lines
    assert (prior.get_marker() == "o") == (len(axes.patches) <= 40)
    assert axes.get_ylim()[1] < 0.5
    beyond = "prior, mean 1000.0, most of it beyond the picture"
    assert (beyond in legend(axes)) == (count == 2000)


def test_a_prior_that_is_near_is_shown():
    log_odds = torch.full((200,), -2.2, dtype=torch.float64)
    axes = plot_model_size(sized(200, 10, 3, InclusionPrior(log_odds=log_odds)))
    assert axes.get_xlim()[1] > 25
    assert "prior, mean 20.0" in legend(axes)


def test_prior_sizes_of_nearly_certain_priors():
    sizes = InclusionPrior(beta=(1e300, 1.0)).size_probabilities(5)
    torch.testing.assert_close(sizes, torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize(
    "prior",
    [
        InclusionPrior(log_odds=torch.tensor([0.3, -1.0, 2.0, -0.5], dtype=torch.float64)),
        InclusionPrior(beta=(0.7, 2.5)),
    ],
)
def test_prior_sizes_against_all_models(prior):
    models = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 4)
    wanted = torch.zeros(5, dtype=torch.float64)
    wanted.index_add_(0, models.sum(1).long(), prior.log_prob(models).exp())
    torch.testing.assert_close(prior.size_probabilities(4), wanted)


# ---- models --------------------------------------------------------------------------------------------


def test_models_are_as_wide_as_they_are_probable():
    found = posterior([[1, 0, 0], [1, 1, 0], [1, 0, 0]], [0.4, 0.5, 0.1], mean=[1.0, -1.0, 1.0])
    axes = plot_top_models(found, ["a", "b", "c"])
    assert ticks(axes) == ["a", "b"]
    (mesh,) = [c for c in axes.collections if isinstance(c, mpl.collections.QuadMesh)]
    assert mesh.get_array().tolist() == [[1, 1], [2, 0]] or mesh.get_array().tolist() == [[1, 1], [0, 2]]
    assert axes.get_xlim() == (0.0, pytest.approx(1.0))
    assert axes.get_title() == "The 2 models seen hold 100%"


def test_only_the_most_probable_models():
    found = posterior([[1, 0, 0], [1, 1, 0], [0, 0, 1]], [0.2, 0.5, 0.3])
    axes = plot_top_models(found, max_models=2, max_rows=2)
    assert axes.get_title() == "The 2 most probable of 3 models seen hold 80%"
    assert ticks(axes) == ["0", "1"]
    assert axes.get_ylabel() == "2 of 3 variables in them"


def test_probabilities_are_exact_where_they_are_known():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 3, generator=generator, dtype=torch.float64)
    problem = GaussianProblem(
        x,
        0.4 * x[:, 0],
        InclusionPrior(log_odds=torch.zeros(3, dtype=torch.float64)),
        torch.ones(3),
        noise=1.0,
    )
    found = infer_gates(problem, "exact")
    axes = plot_top_models(found, max_models=8)
    (mesh,) = [c for c in axes.collections if isinstance(c, mpl.collections.QuadMesh)]
    widths = np.diff(np.asarray(mesh.get_coordinates())[0, :, 0])
    log_joint = []
    for model in torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3):
        covariance = torch.eye(30, dtype=torch.float64) + (x * model) @ x.T
        law = torch.distributions.MultivariateNormal(torch.zeros(30, dtype=torch.float64), covariance)
        log_joint.append(law.log_prob(problem.y))
    wanted = torch.softmax(torch.stack(log_joint), 0).sort(descending=True).values
    assert widths == pytest.approx(wanted[: len(widths)].numpy(), rel=1e-6)


def test_groups_have_no_sign():
    axes = plot_top_models(posterior([[1, 1]], [1.0], groups=[0, 0, 1]), ["C(r)", "x"])
    assert legend(axes) == ["in, positive", "in, a group of columns"]
    assert axes.get_title() == "The only model seen holds 100%"


def test_the_empty_model():
    axes = plot_top_models(posterior([[0, 0]], [1.0]))
    assert "The empty model" in [text.get_text() for text in axes.texts]


def test_pairs():
    axes = plot_joint_inclusion(posterior([[1, 0], [0, 1], [1, 1]], [0.5, 0.4, 0.1]), ["a", "b"])
    values = axes.images[0].get_array()
    assert values[0, 0] == pytest.approx(0.6)
    assert values[1, 0] == pytest.approx(0.1)
    assert values.mask.tolist() == [[False, True], [False, False]]
    assert [text.get_text() for text in axes.texts] == [".60", ".10", ".50"]


def test_pairs_of_many():
    count = 200
    axes = plot_joint_inclusion(posterior([[1] * count], [1.0]), max_rows=12)
    assert axes.get_title() == "Joint inclusion: 12 most probable of 200"


# ---- all of them ---------------------------------------------------------------------------------------


def test_axes_may_be_given():
    found = posterior([[1, 0], [1, 1]], [0.5, 0.5])
    _, axes = plt.subplots(2, 3)
    for draw, data, ax in zip(
        (plot_inclusion, plot_conditional_effects, plot_fdr), [summary()] * 3, axes[0], strict=True
    ):
        assert draw(data, ax=ax) is ax
    for draw, ax in zip((plot_model_size, plot_top_models, plot_joint_inclusion), axes[1], strict=True):
        assert draw(found, ax=ax) is ax


@pytest.mark.parametrize("draw", [plot_inclusion, plot_conditional_effects, plot_fdr])
def test_tables_that_will_not_do(draw):
    with pytest.raises(ValueError, match="missing:"):
        draw(summary().drop(columns="pip"))
    with pytest.raises(ValueError, match="it is empty"):
        draw(summary().head(0))


def test_numbers_that_will_not_do():
    found = posterior([[1, 0]], [1.0])
    with pytest.raises(ValueError, match="max_rows must be at least 1, got 0"):
        plot_inclusion(summary(), max_rows=0)
    with pytest.raises(ValueError, match="level must lie strictly between 0 and 1, got 1"):
        plot_fdr(summary(), level=1.0)
    with pytest.raises(ValueError, match="max_selected must be at least 1, got 0"):
        plot_fdr(summary(), max_selected=0)
    with pytest.raises(ValueError, match="max_models must be at least 1, got -1"):
        plot_top_models(found, max_models=-1)
    with pytest.raises(ValueError, match="names must hold one name for each of 2 gates, got 1"):
        plot_joint_inclusion(found, ["a"])
    for draw in (plot_inclusion, plot_conditional_effects):
        with pytest.raises(ValueError, match=r"max_rows must be a whole number, got 1\.5"):
            draw(summary(), max_rows=1.5)
    with pytest.raises(ValueError, match=r"max_rows must be a whole number, got 1\.5"):
        plot_top_models(found, max_rows=1.5)


@pytest.mark.parametrize("name", ["rev ($) per 100% ($)", "w $^$", r"back\$lash $"])
def test_dollars_in_names_are_no_formulas(name):
    table = summary().rename(index={"b": name}).assign(group=["a", name, "C(r)", "C(r)", "d"])
    found = posterior([[1, 0], [1, 1]], [0.5, 0.5])
    for axes in (
        plot_inclusion(table),
        plot_conditional_effects(table),
        plot_top_models(found, [name, "b"]),
        plot_joint_inclusion(found, [name, "b"]),
    ):
        axes.figure.canvas.draw()
