"""Long tensors are computed block by block: the same numbers, from memory for one block."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from l0bayes.infer import GradientStep
from l0bayes.infer.graphs import block_loop, blocks
from l0bayes.infer.objectives import compiled
from l0bayes.sites import spike_and_slab
from tests.infer.test_compiled import CASES, objective_of

# Two blocks, and some entries more.
GATES = 40_000


def from_length(monkeypatch, length, block=block_loop.BLOCK):
    """Have everything that is so long computed in blocks."""
    monkeypatch.setattr(blocks, "LONG", length)
    monkeypatch.setattr(blocks, "LONGER", length)
    monkeypatch.setattr(compiled, "LONG", length)
    monkeypatch.setattr(block_loop, "BLOCK", block)


def loops_of(graph):
    return [one for one in graph.modules() if isinstance(one, block_loop.BlockLoop)]


def run(graph, inputs, seed):
    given = [tensor.clone() for tensor in inputs]
    torch.manual_seed(seed)
    with torch.no_grad():
        return [*graph(*given), *given]


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_objective_is_the_same_in_blocks(case, captures, monkeypatch):
    from_length(monkeypatch, 5, block=4)
    build, slab, data, options = CASES[case]
    GradientStep(objective_of(build(), slab, data, **options), "graph")(data)
    ((captured, new, inputs),) = captures
    assert new is not captured
    for seed in range(2):
        for one, other in zip(run(captured, inputs, seed), run(new, inputs, seed), strict=True):
            scale = float(one.abs().max()) if one.is_floating_point() else 0.0
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("case", CASES)
def test_forms_without_values_give_the_same_graph(case, captures, monkeypatch):
    build, slab, data, options = CASES[case]
    objective = objective_of(build(), slab, data, **options)
    GradientStep(objective, "graph")(data)
    monkeypatch.setattr(compiled, "LONG", 1)
    GradientStep(objective, "graph")(data)
    (on_values, *_), (on_forms, *_) = captures
    assert on_forms.code == on_values.code


def means(y):
    beta = spike_and_slab("beta", 0.1, dist.Normal(0.0, 1.0).expand([GATES]).to_event(1))
    pyro.sample("y", dist.Normal(beta, 1.0).to_event(1), obs=y)


def lines(x, y):
    beta = spike_and_slab("beta", 0.1, dist.Normal(0.0, 1.0).expand([GATES]).to_event(1))
    pyro.sample("y", dist.Normal(x @ beta, 1.0).to_event(1), obs=y)


DATA = {
    "means": (means, (torch.linspace(-2.0, 2.0, GATES),)),
    "lines": (lines, (torch.linspace(-0.01, 0.01, 3 * GATES).view(3, GATES), torch.tensor([1.0, 0.0, 2.0]))),
}


@pytest.mark.parametrize("name", DATA)
def test_gradients_are_those_without_blocks_bit_for_bit(name, captures, monkeypatch):
    model, data = DATA[name]
    objective = objective_of(model, "normal", data)
    results = []
    for length in (10**9, 2**15):
        from_length(monkeypatch, length)
        step = GradientStep(objective, "graph")
        torch.manual_seed(1)
        terms = step(data)
        results.append((terms, [parameter.grad.clone() for parameter in objective.parameters()]))
    (wanted, gradients), (found, others) = results
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0.0)
    assert all(map(torch.equal, gradients, others))
    # Where a product stands between, what comes after it is a loop of its own, which draws nothing again.
    assert [len(loops_of(graph)) for _, graph, _ in captures] == [0, {"means": 1, "lines": 2}[name]]


@pytest.mark.parametrize("name", DATA)
def test_between_steps_only_draws_and_what_products_take_are_kept_whole(name, captures, monkeypatch):
    from_length(monkeypatch, 2**15)
    model, data = DATA[name]
    GradientStep(objective_of(model, "normal", data), "graph")(data)
    ((_, graph, _),) = captures
    kept = [value for key, value in vars(graph).items() if key.startswith("_place")]
    assert sum(value.numel() for value in kept) == 2 * GATES


def test_draws_that_depend_on_values_are_left_in_their_order(captures, monkeypatch):
    def noisy(y):
        means(y)
        pyro.factor("noise", torch.normal(y, 1.0).sum())

    from_length(monkeypatch, 2**15)
    _, data = DATA["means"]
    GradientStep(objective_of(noisy, "normal", data), "graph")(data)
    ((_, graph, _),) = captures
    assert not loops_of(graph)


def test_loops_one_after_another_are_for_the_longest(captures, monkeypatch):
    from_length(monkeypatch, 2**15)
    monkeypatch.setattr(blocks, "LONGER", 10**6)
    model, data = DATA["lines"]
    GradientStep(objective_of(model, "normal", data), "graph")(data)
    ((_, graph, _),) = captures
    assert not loops_of(graph)
