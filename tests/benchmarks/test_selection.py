"""The benchmark of variable selection: its references agree with one another, and every part runs."""

import math

import numpy as np
import pytest
import torch

from benchmarks.relaxations.exact import Problem, enumerate_models
from benchmarks.selection.calibration import calibration
from benchmarks.selection.chains import run_chains
from benchmarks.selection.data import DESIGNS, count_data, genotypes, small_data, wide_count_data
from benchmarks.selection.few import small, twenty
from benchmarks.selection.glm import glm
from benchmarks.selection.huge import measure
from benchmarks.selection.logistic_chains import LogisticChains
from benchmarks.selection.poisson_chains import PoissonChains
from benchmarks.selection.records import timed, worst
from benchmarks.selection.references import (
    enumerate_densely,
    importance_pips,
    known_noise,
    nodes_around,
    prior_by_size,
    unknown_noise,
)
from benchmarks.selection.wide import wide


@pytest.mark.parametrize("chunk", [37, 10_000])
def test_the_dense_enumeration_is_that_of_the_other_study(chunk):
    x, y = small_data("duplicates", 0, columns=8)
    found = enumerate_densely(x, y, 1.3, known_noise(0.9), prior_by_size(0.3, 8), chunk=chunk)
    other = enumerate_models(Problem(torch.tensor(x), torch.tensor(y), 0.3, 1.3, 0.9))
    assert found.log_evidence == pytest.approx(other.log_evidence, abs=1e-9)
    np.testing.assert_allclose(found.pip, other.pips.numpy(), atol=1e-10)


def test_few_nodes_about_the_noise_find_what_many_find():
    x, y = small_data("blocks", 0, columns=9)
    wide_nodes, prior = unknown_noise(), prior_by_size((1.0, 3.0), 9)
    many = enumerate_densely(x, y, 1.0, wide_nodes, prior)
    pilot = enumerate_densely(x[:, :8], y, 1.0, wide_nodes, prior_by_size((1.0, 3.0), 8))
    few = enumerate_densely(x, y, 1.0, nodes_around(pilot, wide_nodes), prior)
    assert few.log_evidence == pytest.approx(many.log_evidence, abs=1e-8)
    np.testing.assert_allclose(few.pip, many.pip, atol=1e-8)
    np.testing.assert_allclose(few.mean, many.mean, atol=1e-8)
    assert few.edge < 1e-9


@pytest.mark.parametrize("inclusion", [0.3, (2.0, 5.0)])
def test_prior_probabilities_of_all_models_sum_to_one(inclusion):
    logs = prior_by_size(inclusion, 7)
    assert sum(math.comb(7, k) * math.exp(log) for k, log in enumerate(logs)) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["logistic", "poisson"])
def test_chains_find_what_the_evidences_of_all_models_say(kind):
    if kind == "logistic":
        pytest.importorskip("polyagamma")
    x, y = count_data(kind, 60, 6, 0)
    truth = importance_pips(kind, x, y, 1.0, 0.25, 2000, 0)
    family = LogisticChains if kind == "logistic" else PoissonChains
    found = run_chains(family(x, y, 1.0, 0.25, seed=1), burn_in=20, most=80, target=0.0)
    assert found.sweeps == 80
    assert found.se.max() < 0.015
    assert (np.abs(found.pip - truth) < 4.0 * found.se + 0.003).all()


def test_chains_stop_once_they_are_exact_enough():
    x, y = count_data("poisson", 30, 5, 0)
    chains = PoissonChains(x, y, 1.0, 0.25, chains=16)
    assert run_chains(chains, burn_in=2, most=50, target=0.5, check_every=5).sweeps == 5


def test_data_have_their_shapes_and_depend_on_the_seed_alone():
    for design in DESIGNS:
        x, y = small_data(design, 1)
        assert len(x) == len(y) == (8 if design == "p > n" else 100)
        np.testing.assert_array_equal(x, small_data(design, 1)[0])
    assert genotypes(20, 40, 0)[0].shape == (20, 40)
    assert set(wide_count_data("logistic", 30, 20, 0)[1]) <= {0.0, 1.0}


def test_the_worst_leaves_out_what_is_missing():
    rows = [{"kind": "a", "error": 1.0, "other": None}, {"kind": "a", "error": 2.0, "other": math.nan}]
    assert worst(rows, ("kind",), ("error", "other")) == [{"kind": "a", "runs": 2, "error": 2.0}]
    assert timed(lambda: 3)[0] == 3


@pytest.mark.slow
def test_parts_with_few_columns_run():
    found = small(1, designs=("p > n",))
    assert len(found["runs"]) == 8
    exact = [row for row in found["runs"] if row["used"] == "exact"]
    assert exact
    assert max(row["pip_error"] for row in exact) < 1e-6
    rows = twenty(1, designs=("null",), columns=8)["runs"]
    assert [row["noise_nodes"] for row in rows] == [1, 1, 121, 121, 31, 31]


def test_part_glm_runs():
    found = glm(1, few=(("poisson", 40, 5),), wide=(("poisson", 40, 12),), burn_in=2, most=4)
    assert [row["reference"] for row in found["runs"]] == ["every model", "long chains"]
    assert found["runs"][1]["reference_sweeps"] == 4


@pytest.mark.slow
def test_part_wide_runs():
    found = wide(1, sizes=((30, 16),), steps=60, lengths=(20,))
    ours = [row for row in found["runs"] if "single" in row]
    assert [len(row["single"]) for row in ours] == [3, 3, 3]
    assert ("ratios" in found) != ("note" in found)


def test_part_calibration_counts_every_column():
    found = calibration(1)
    assert [sum(row["count"] for row in run["reliability"]) for run in found["runs"]] == [24, 24]


def test_part_huge_says_what_it_finds():
    row = measure(50, epochs=2)
    assert row["peak_bytes"] >= row["baseline_bytes"] > 0
    assert 0 <= row["recovered"] <= 5
