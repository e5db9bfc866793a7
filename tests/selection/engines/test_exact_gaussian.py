"""All models at once, against dense covariances."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from l0bayes.selection import ExactOptions, InclusionPrior, InverseGamma, infer_gates
from l0bayes.selection.kernels import elimination
from l0bayes.selection.kernels.elimination import all_evidences, all_models
from l0bayes.selection.problem.gate_restriction import GateRestriction
from tests.selection.problems import DOUBLE, brute_force, everything, problem

BETA = InclusionPrior(beta=(1.5, 4.0))
GROUPS = torch.tensor([0, 1, 1, 2, 0, 3])

CASES: dict[str, dict[str, Any]] = {
    "known noise": {},
    "unknown noise": {"noise": InverseGamma()},
    "noise prior": {"noise": InverseGamma(3.0, 0.5)},
    "scaled slab": {"noise": InverseGamma(), "slab_scaled_by_noise": True},
    "scaled slab, known noise": {"noise": 0.8, "slab_scaled_by_noise": True},
    "beta": {"prior": BETA},
    "beta, unknown noise": {"prior": BETA, "noise": InverseGamma()},
    "own odds": {"prior": InclusionPrior(log_odds=torch.linspace(-3.0, 2.0, 6, dtype=DOUBLE))},
    "groups": {"groups": GROUPS},
    "groups, beta, unknown noise": {"groups": GROUPS, "prior": BETA, "noise": InverseGamma()},
}


@pytest.mark.parametrize("extras", [False, True], ids=["plain", "intercept, offset, weights"])
@pytest.mark.parametrize("n", [4, 20], ids=["p > n", "n > p"])
@pytest.mark.parametrize("name", CASES)
def test_everything_is_exact(name: str, n: int, extras: bool) -> None:
    """1e-8: the reference's own grid over the noise is good to that."""
    given = problem("blocks", n, 6, **CASES[name] | (everything(6, n) if extras else {}))
    found, wanted = infer_gates(given, "exact"), brute_force(given)
    assert found.log_evidence == pytest.approx(float(wanted["log_evidence"]), abs=1e-8)
    for ours, theirs in (
        (found.pip, "pip"),
        (found.mean, "mean"),
        (found.second_moment, "second"),
        (found.joint, "joint"),
        (found.size_probabilities, "size"),
    ):
        torch.testing.assert_close(ours, wanted[theirs], rtol=1e-7, atol=1e-8)
    assert (found.pip_mcse == 0).all()


@pytest.mark.parametrize("kind", ["duplicates", "suppressor", "null"])
def test_hard_designs(kind: str) -> None:
    given = problem(kind, 25, 6, noise=InverseGamma())
    found, wanted = infer_gates(given, "exact"), brute_force(given)
    torch.testing.assert_close(found.pip, wanted["pip"], rtol=0, atol=1e-8)


def test_a_sharp_fit_and_a_hopeless_one_both_keep_their_noise() -> None:
    """Residual variances of the best and of the empty model lie four decades apart."""
    given = problem("independent", 20, 5, noise=InverseGamma(0.5, 1e-4))
    given = given.replace(y=100.0 * given.x[:, 0] + 0.01 * given.y, slab_scale=torch.full((5,), 100.0))
    found, wanted = infer_gates(given, "exact"), brute_force(given, nodes=2401)
    assert found.log_evidence == pytest.approx(float(wanted["log_evidence"]), abs=1e-6)
    torch.testing.assert_close(found.pip, wanted["pip"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("members", [[[0], [1], [2], [3]], [[0, 3], [1], [2]], [[2], [1, 3], [0]]], ids=str)
def test_the_tree_of_eliminations_is_a_factorisation_of_each_model(members: list[list[int]]) -> None:
    torch.manual_seed(0)
    root = torch.randn(9, 4, dtype=DOUBLE)
    matrix, vector = root.T @ root, torch.randn(4, dtype=DOUBLE)
    log_slab = torch.randn(4, dtype=DOUBLE)
    quadratic, determinant = all_evidences(matrix, vector, log_slab, members)
    for index, gates in enumerate(all_models(len(members)).tolist()):
        columns = [column for group, on in zip(members, gates, strict=True) if on for column in group]
        inner = matrix[columns][:, columns]
        wanted = 0.5 * vector[columns] @ torch.linalg.solve(inner, vector[columns])
        torch.testing.assert_close(quadratic[index], wanted, rtol=1e-12, atol=1e-12)
        wanted = (
            log_slab[columns].sum() - 0.5 * torch.logdet(inner) if columns else torch.zeros((), dtype=DOUBLE)
        )
        torch.testing.assert_close(determinant[index], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["unknown noise", "scaled slab", "beta, unknown noise"])
def test_models_in_many_chunks_are_as_exact(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elimination, "_CHUNK_GATES", 2)
    monkeypatch.setattr(elimination, "_CHUNK_SYSTEMS", 4)
    given = problem("blocks", 20, 6, **CASES[name], **everything(6, 20))
    found, wanted = infer_gates(given, "exact"), brute_force(given)
    assert found.log_evidence == pytest.approx(float(wanted["log_evidence"]), abs=1e-8)
    for ours, theirs in ((found.pip, "pip"), (found.mean, "mean"), (found.second_moment, "second")):
        torch.testing.assert_close(ours, wanted[theirs], rtol=1e-7, atol=1e-8)
    error = 5.0 * (found.pip * (1 - found.pip) / 4000).sqrt() + 1e-3
    assert ((found.draws.gates.mean(0) - found.pip).abs() < error).all()


def test_chunks_are_no_part_of_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve gates, one of three columns and one that is always open: with and without a part at the top."""
    always = torch.zeros(12, dtype=torch.bool)
    always[3] = True
    prior = InclusionPrior(beta=(1.0, 3.0), restriction=GateRestriction(always, parents=[()] * 11 + [(0, 1)]))
    groups = torch.tensor([*range(12), 5, 5])
    given = problem("blocks", 40, 14, groups=groups, prior=prior, noise=InverseGamma())
    found = infer_gates(given, "exact")
    monkeypatch.setattr(elimination, "_CHUNK_GATES", 12)
    wanted = infer_gates(given, "exact")
    assert found.log_evidence == pytest.approx(wanted.log_evidence, abs=1e-11)
    for name in ("pip", "mean", "second_moment", "joint", "size_probabilities", "log_odds"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=0, atol=1e-10)
    assert float(found.pip[3]) == 1.0
    assert float((found.draws.gates[:, 11] * (1 - found.draws.gates[:, :2].prod(1))).sum()) == 0.0


def test_the_sample_of_models_is_from_the_posterior() -> None:
    given = problem("blocks", 30, 6, noise=InverseGamma())
    found = infer_gates(given, "exact", options=ExactOptions(num_draws=20_000))
    # Systematic over the noise, independent over models: at most a binomial's spread.
    error = 5.0 * (found.pip * (1 - found.pip) / 20_000).sqrt() + 1e-4
    assert ((found.draws.gates.mean(0) - found.pip).abs() < error).all()
    again = infer_gates(given, "exact", options=ExactOptions(num_draws=20_000))
    assert torch.equal(again.draws.gates, found.draws.gates)


def test_a_flat_intercept_gives_the_limit_of_a_wide_one() -> None:
    ones = torch.ones(30, 1, dtype=DOUBLE)
    flat = problem("blocks", 30, 6, unpenalised=ones, unpenalised_scale=torch.tensor([math.inf]))
    wide = flat.replace(unpenalised_scale=torch.tensor([1e6], dtype=DOUBLE))
    torch.testing.assert_close(
        infer_gates(flat, "exact").pip, infer_gates(wide, "exact").pip, rtol=0, atol=1e-9
    )


def test_too_many_gates_are_refused_before_work() -> None:
    with pytest.raises(ValueError, match=r"17 gates mean 2\*\*17 models, and max_gates is 16.*'gibbs'"):
        infer_gates(problem(n=20, p=17), "exact", options=ExactOptions(max_gates=16))
