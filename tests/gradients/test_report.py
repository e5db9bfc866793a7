"""The report: what it holds, how it reads, and what it refuses."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.gradients import Candidate, GradientReport, gradient_report
from l0bayes.guides import AutoHardConcrete
from l0bayes.plots import plot_gradients
from l0bayes.sites import spike_and_slab
from l0bayes.testing.guide_models import same_state, state_of
from tests.gradients.problems import delta_guide, factor_model
from tests.infer.problems import X, Y, regression


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def guide():
    return delta_guide()


@pytest.fixture(scope="module")
def report(guide):
    return gradient_report(regression(), guide, (X, Y), num_draws=200)


def test_everything_is_tried_by_default(report):
    relaxed = [gate_law for gate_law in GATE_FAMILIES if gate_law != "bernoulli"]
    expected = ["guide", *relaxed, "disarm", "rloo(2)", "rloo(4)", "straight_through"]
    assert list(report.estimates) == expected
    assert list(report.table.index) == expected
    assert report.exact
    assert not report.reference_error.any()
    assert report.gates == ("beta.gate[0]", "beta.gate[1]", "beta.gate[2]", "beta.gate[3]")
    assert report.table["evaluations"].to_dict()["rloo(4)"] == 4


def test_the_table_holds_the_estimates(report):
    for name, row in report.table.iterrows():
        one = report.estimates[name]
        assert row["bias"] == one.bias
        assert row["bias_low"] <= row["bias"] <= row["bias_high"]
        assert row["cost_variance"] == row["relative_variance"] * row["evaluations"]
        assert -1.0 <= row["cosine"] <= 1.0 + 1e-12


def test_the_report_reads_well(report):
    text = str(report)
    assert repr(report) == text
    first, second, *rows = text.splitlines()
    assert first == "Gradient in the activity logits of 4 gates, 200 draws a candidate"
    likelihood = (report.reference - report.kl_gradient).norm()
    norms = f"norm {report.reference.norm():.3g}, likelihood's part {likelihood:.3g}"
    assert second == f"reference: exact, by enumeration; {norms}"
    assert len(rows) == 1 + len(report.estimates)
    assert all(any(row.startswith(name) for row in rows) for name in report.estimates)
    assert max(map(len, rows)) < 120


def test_means_errors_and_intervals(report):
    mean, error = report.mean("disarm"), report.standard_error("disarm")
    low, high = report.intervals("disarm", 0.95).T
    torch.testing.assert_close(high - mean, 1.959964 * error)
    torch.testing.assert_close(mean - low, 1.959964 * error)
    wide = report.intervals("disarm", 0.95, simultaneous=True)
    torch.testing.assert_close(wide[:, 1] - mean, 2.497705 * error)


def test_the_long_run_reference_agrees_with_enumeration(guide, report):
    long = gradient_report(
        regression(), guide, (X, Y), candidates=["bernoulli", "guide"], max_enumerated=3, reference_draws=4000
    )
    assert not long.exact
    scores = (long.reference - report.reference) / long.reference_error
    assert scores.abs().max() < 4.0
    assert scores.square().mean() > 0.05
    assert "the mean of 4000 DisARM draws" in str(long)
    assert long.estimates["disarm"].bias_low == 0.0
    assert long.estimates["guide"].bias == pytest.approx(report.estimates["guide"].bias, abs=0.1)


def test_a_candidate_does_not_depend_on_the_others(guide, report):
    alone = gradient_report(regression(), guide, (X, Y), candidates=["concrete"], num_draws=200)
    assert torch.equal(alone.mean("concrete"), report.mean("concrete"))


def test_another_seed_is_another_report(guide, report):
    other = gradient_report(regression(), guide, (X, Y), candidates=["concrete"], num_draws=200, seed=5)
    assert not torch.equal(other.mean("concrete"), report.mean("concrete"))
    assert torch.equal(other.reference, report.reference)


def test_the_chunks_do_not_matter_to_the_truth(guide, report):
    other = gradient_report(regression(), guide, (X, Y), candidates="concrete", num_draws=20, chunk_size=3)
    torch.testing.assert_close(other.reference, report.reference, rtol=1e-12, atol=1e-12)


def test_nothing_is_left_behind():
    guide = delta_guide()
    before, state = state_of(guide), torch.get_rng_state()
    gradient_report(regression(), guide, (X, Y), num_draws=20)
    assert same_state(before, state_of(guide))
    assert torch.equal(state, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in guide.parameters())
    assert not list(pyro.get_param_store().keys())


def test_it_is_a_name_of_the_package():
    assert l0bayes.gradient_report is gradient_report
    assert l0bayes.gradients.GradientReport is GradientReport
    assert "gradient_report" in dir(l0bayes)


# ---- pictures --------------------------------------------------------------------------------------


def test_the_picture(report):
    left, right = plot_gradients(report)
    assert left.get_xscale() == left.get_yscale() == "log"
    assert [text.get_text() for text in right.get_legend().get_texts()] == list(report.estimates)
    order = report.reference.argsort().tolist()
    assert [label.get_text() for label in right.get_xticklabels()] == [report.gates[i] for i in order]
    markers = [container.lines[0] for container in left.containers]
    noise = [line.get_xdata()[0] ** 2 for line in markers]
    assert noise == pytest.approx(report.table["relative_variance"].tolist())
    hollow = [line.get_markerfacecolor() == "white" for line in markers]
    assert hollow == [one.bias_low == 0.0 for one in report.estimates.values()]
    filled, empty = left.get_legend().legend_handles
    assert (filled.get_markerfacecolor(), empty.get_markerfacecolor()) == ("#333333", "white")
    means = right.containers[0].lines[0].get_ydata()
    assert means == pytest.approx(report.mean("guide")[order].tolist())
    left.figure.draw_without_rendering()


def test_the_picture_on_given_axes(report):
    _, axes = plt.subplots(1, 2)
    left, _ = plot_gradients(report, axes=axes)
    assert left is axes[0]
    with pytest.raises(ValueError, match="axes must be two, got 1"):
        plot_gradients(report, axes=axes[:1])


def test_the_picture_of_many_gates(report):
    _, right = plot_gradients(report, max_gates=3)
    order = report.reference.argsort()[[0, 2, 3]].tolist()
    assert [label.get_text() for label in right.get_xticklabels()] == [report.gates[i] for i in order]
    assert right.get_title() == "3 of 4 gates (exact gradient: line)"
    with pytest.raises(ValueError, match="max_gates must be at least 1, got 0"):
        plot_gradients(report, max_gates=0)


def test_the_picture_without_noise():
    """A likelihood that does not see the gates: nothing to draw on logarithmic axes."""
    model = factor_model(lambda weights: 0.0 * weights.sum(), 4)
    report = gradient_report(
        model, delta_guide(model), (X, Y), candidates=["guide", "bernoulli"], num_draws=20
    )
    torch.testing.assert_close(report.reference, report.kl_gradient)
    left, _ = plot_gradients(report)
    left.figure.draw_without_rendering()
    assert not left.containers


# ---- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_draws": 1}, ValueError, "num_draws must be at least 2, got 1"),
        ({"reference_draws": 0}, ValueError, "reference_draws must be at least 2, got 0"),
        ({"chunk_size": 0}, ValueError, "chunk_size must be at least 1, got 0"),
        ({"max_enumerated": -1}, ValueError, "max_enumerated must be at least 0, got -1"),
        (
            {"candidates": ["soft_concrete"]},
            ValueError,
            "gate_law must be one of hard_concrete, .*'soft_concrete'",
        ),
        ({"candidates": [3]}, TypeError, "candidates must hold names of gate laws or Candidate, got int"),
        ({"candidates": []}, ValueError, "candidates must name at least one"),
        ({"candidates": ["concrete", "concrete"]}, ValueError, "different labels; got 'concrete' twice"),
    ],
)
def test_arguments_out_of_range(guide, options, error, message):
    with pytest.raises(error, match=message):
        gradient_report(regression(), guide, (X, Y), **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gate_law": "concrete", "temperature": 0.0}, "temperature must be positive, got 0.0"),
        (
            {"gate_law": "bernoulli", "temperature": 0.1},
            "temperature must be None for the gate law 'bernoulli'",
        ),
        ({"gate_law": "guide", "temperature": 0.1}, "temperature must be None for the gate law 'guide'"),
        (
            {"gate_law": "concrete", "estimator": "rloo"},
            "estimator must be None for every gate law except 'bernoulli'",
        ),
        ({"gate_law": "bernoulli", "estimator": "arm"}, "estimator must be one of disarm, .*; got 'arm'"),
    ],
)
def test_candidates_that_are_none(arguments, message):
    with pytest.raises(ValueError, match=message):
        Candidate(**arguments)


def test_intervals_of_nothing(report):
    with pytest.raises(ValueError, match=r"candidate must be one of guide, .*; got 'nobody'"):
        report.intervals("nobody")
    with pytest.raises(ValueError, match="level must lie strictly between 0 and 1, got 1"):
        report.intervals("guide", 1)


def test_a_guide_that_is_no_gate_guide():
    guide = pyro.infer.autoguide.AutoNormal(regression())
    with pytest.raises(TypeError, match=r"guide must have harden\(\).*got AutoNormal"):
        gradient_report(regression(), guide, (X, Y))


def test_a_guide_without_gates():
    def model(y):
        pyro.sample("y", dist.Normal(pyro.sample("mu", dist.Normal(0.0, 1.0)), 1.0), obs=y)

    y = torch.tensor(0.3)
    with pytest.raises(ValueError, match="guide must have gates"):
        gradient_report(model, AutoHardConcrete(model, (y,)), y)


def test_a_guide_of_another_model(guide):
    def model(x, y):
        beta = spike_and_slab("gamma", 0.2, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        pyro.sample("y", dist.Normal((x * beta).sum(-1), 0.7).to_event(1), obs=y)

    with pytest.raises(ValueError, match=r"guide must cover every site.*gate site 'gamma.gate'"):
        gradient_report(model, guide, (X, Y))


def test_gates_in_a_plate_of_which_a_part_is_drawn():
    def model(y):
        with pyro.plate("data", len(y), subsample_size=3) as rows:
            effect = spike_and_slab("effect", 0.2)
            pyro.sample("y", dist.Normal(effect, 1.0), obs=y[rows])

    y = torch.randn(8)
    with pytest.raises(ValueError, match=r"'effect.gate' stands in plate 'data', 3 of 8 drawn"):
        gradient_report(model, AutoHardConcrete(model, (y,)), y)
