"""Numbers of all models, against a matrix of all gates."""

from __future__ import annotations

import pytest
import torch

from l0bayes.selection import InclusionPrior
from l0bayes.selection.kernels import model_table
from l0bayes.selection.kernels.elimination import all_models, slab_sums
from l0bayes.selection.kernels.model_table import gate_sums, gates_of, log_priors, model_sizes
from l0bayes.selection.kernels.one_thread import one_thread
from l0bayes.selection.problem.gate_restriction import GateRestriction
from l0bayes.selection.problem.inclusion_prior import BetaBlocks

DOUBLE = torch.float64
ALWAYS = torch.tensor([False, True, False, False, False])
PRIORS = {
    "odds": InclusionPrior(log_odds=torch.linspace(-3.0, 2.0, 5, dtype=DOUBLE)),
    "beta": InclusionPrior(beta=(1.5, 4.0)),
    "blocks": InclusionPrior(
        blocks=BetaBlocks(torch.tensor([0, 1, 1, 0, 1]), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0]))
    ),
    "restricted": InclusionPrior(
        beta=(1.0, 1.0), restriction=GateRestriction(ALWAYS, [(), (), (), (), (0, 1)])
    ),
}


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("chunk", [2**16, 8])
def test_priors_of_all_models(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_table, "_CHUNK", chunk)
    wanted = PRIORS[name].log_prob(all_models(5).double())
    torch.testing.assert_close(log_priors(PRIORS[name], 5), wanted, rtol=1e-14, atol=1e-14)
    assert float(torch.logsumexp(wanted, 0)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_sums_over_sides_and_pairs(count: int) -> None:
    torch.manual_seed(0)
    weights, gates = torch.rand(2**count, dtype=DOUBLE), all_models(count).double()
    found = gate_sums(weights)
    torch.testing.assert_close(found.joint, gates.T @ (gates * weights[:, None]))
    torch.testing.assert_close(found.opened, weights @ gates)
    torch.testing.assert_close(found.shut, weights @ (1.0 - gates))
    assert torch.equal(model_sizes(count), gates.sum(1).int())
    assert torch.equal(gates_of(torch.tensor([2**count - 1]), count), torch.ones(1, count, dtype=torch.long))


def test_a_rare_side_keeps_its_digits() -> None:
    weights = torch.tensor([1.0, 1e-30, 0.0, 2e-30], dtype=DOUBLE)
    assert gate_sums(weights).opened.tolist() == pytest.approx([3e-30, 2e-30], rel=1e-14)


def test_one_thread_for_a_while_and_as_many_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_sums_over_columns_of_gates() -> None:
    sums = slab_sums(torch.tensor([1.0, 2.0, 4.0], dtype=DOUBLE), [[0, 2], [1]])
    assert sums.tolist() == [0.0, 5.0, 2.0, 7.0]
