"""Simplified graphs: the same numbers, the same draws, the same writes, in fewer operations."""

import copy

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from l0bayes.infer.graphs import simplified
from l0bayes.infer.graphs import simplify as rules
from l0bayes.infer.objectives import compiled
from tests.infer.test_compiled import CASES, objective_of

aten = torch.ops.aten


def calls(graph):
    return [node for node in graph.graph.nodes if node.op in ("call_function", "call_method")]


def run(graph, inputs, seed=0):
    given = [tensor.clone() for tensor in inputs]
    torch.manual_seed(seed)
    with torch.no_grad():
        return graph(*given), given


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_objective_is_simplified(case, captures):
    build, slab, data, options = CASES[case]
    compiled.GradientStep(objective_of(build(), slab, data, **options), "graph")(data)
    ((captured, new, inputs),) = captures
    assert new is not captured
    assert len(calls(new)) < 0.75 * len(calls(captured))
    for seed in range(3):
        (wanted, before), (found, after) = run(captured, inputs, seed), run(new, inputs, seed)
        for one, other in zip([*wanted, *before], [*found, *after], strict=True):
            scale = float(one.abs().max()) if one.is_floating_point() else 0.0
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * scale)


def test_in_double_precision_only_rounding_differs(captures):
    build, slab, data, options = CASES["hyper-normal"]
    objective = objective_of(build(), slab, data, **options).double()
    data = tuple(tensor.double() for tensor in data)
    compiled.GradientStep(objective, "graph")(data)
    ((captured, new, inputs),) = captures
    assert new is not captured
    for one, other in zip(run(captured, inputs)[0], run(new, inputs)[0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def graph_of(function, *inputs):
    return make_fx(function)(*inputs)


X = torch.randn(6, 5, dtype=torch.float64)
Y = torch.randn(6, 5, dtype=torch.float64)
WIDE = torch.randn(70, 90, dtype=torch.float64)
RULES = {
    "numbers that change nothing": (lambda x, y: ((x * 1.0 + 0.0) / 1, (x - 0) ** 1.0 + y), (X, Y), 2),
    "signs of signs": (lambda x, y: (x.neg().neg() + (-y), x - (-y), -(x - y)), (X, Y), 3),
    "what is computed twice": (lambda x, y: (x.exp() * y, x.exp() + y), (X, Y), 3),
    "constants": (lambda x, y: (x * (torch.ones(6, 5).double() * 3.0).log() * y,), (X, Y), 2),
    "expanded numbers": (lambda x, y: (x * y.sum().expand(6, 5) + y.sum().expand(6, 5),), (X, Y), 3),
    "squares": (lambda x, y: (x**2 + y,), (X, Y), 1),
    "the logit": (lambda x, y: (x.sigmoid().log() - (-x.sigmoid()).log1p(),), (X, Y), 2),
    "logarithms of exponentials": (lambda x, y: (x.exp().square().log() + x.exp().log(),), (X, Y), 1),
    "a product and a sum": (lambda x, y: (x + y * y, x - 3.0 * y), (X, Y), 2),
    "numbers in sums": (lambda x, y: ((x * 2.0).sum() + (-y).sum(), (3.0 * x * y).sum(0)), (X, Y), 7),
    "rows of a product": (lambda x, y: ((x * y[:1]).sum(1, keepdim=True),), (WIDE, WIDE), 3),
    "columns of a product": (lambda x, y: ((x * y[:, :1]).sum(0),), (WIDE, WIDE), 4),
    "all of a product": (lambda x, y: ((y[:, :1] * y[:1] * x).sum(),), (WIDE, WIDE), 6),
}


@pytest.mark.parametrize("rule", RULES)
def test_rules(rule):
    function, inputs, count = RULES[rule]
    captured = graph_of(function, *inputs)
    new = simplified(captured, inputs)
    assert new is not captured
    found, after = run(new, inputs)
    for one, other in zip(function(*inputs), found, strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(inputs, after, strict=True):
        assert torch.equal(one, other)
    computed = [node for node in calls(new) if node.target not in ("view", "reshape", "expand", torch.t)]
    slices = [node for node in computed if node.target is aten.slice.Tensor]
    assert len(computed) - len(slices) <= count


def test_draws_stay_in_their_order():
    def function(x):
        first, second = torch.rand(5), torch.empty(5).normal_()
        unused = torch.rand(3)
        return first * x, second + 0.0 * unused.sum() + torch.rand(5) * 1.0

    x = torch.randn(5)
    captured = graph_of(function, x)
    new = simplified(captured, [x])
    assert new is not captured
    for one, other in zip(run(captured, [x], 4)[0], run(new, [x], 4)[0], strict=True):
        torch.testing.assert_close(one, other)
    assert torch.equal(run(new, [x], 4)[0][0], run(captured, [x], 4)[0][0])


def test_equal_draws_are_not_one_draw():
    captured = graph_of(lambda x: (torch.rand(4) * x, torch.rand(4) * x), torch.ones(4))
    first, second = run(simplified(captured, [torch.ones(4)]), [torch.ones(4)])[0]
    assert not torch.equal(first, second)


def test_what_is_written_is_written_once_and_read_at_its_time():
    def function(total, x):
        before = total * 2.0
        total.add_(x)
        total.mul_(1.0)
        return before, total * 2.0, x * 2.0

    inputs = [torch.zeros(3), torch.ones(3)]
    captured = graph_of(function, *[one.clone() for one in inputs])
    new = simplified(captured, inputs)
    (before, after, other), (total, x) = run(new, inputs)
    assert before.tolist() == [0.0] * 3
    assert after.tolist() == other.tolist() == [2.0] * 3
    assert total.tolist() == x.tolist() == [1.0] * 3


def test_running_statistics_are_updated_once():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
    state = {name: value.detach() for name, value in net.state_dict().items()}
    x = torch.randn(8, 3)

    def function(*tensors):
        values = dict(zip(state, tensors[:-1], strict=True))
        return (torch.func.functional_call(net, values, (tensors[-1],)).square().sum() * 1.0,)

    inputs = [*state.values(), x]
    captured = graph_of(function, *[one.clone() for one in inputs])
    new = simplified(captured, inputs)
    wanted, found = run(captured, inputs), run(new, inputs)
    torch.testing.assert_close(wanted, found)
    index = list(state).index("1.running_mean")
    assert not torch.equal(found[1][index], inputs[index])


def test_results_share_no_memory():
    x = torch.randn(4)
    captured = graph_of(lambda x: (x * 1.0, x + 0.0, (x * 2.0).view(4), x * 2.0, torch.ones(4)), x)
    new = simplified(captured, [x])
    with torch.no_grad():
        found, again = new(x), new(x)
    assert len({one.data_ptr() for one in (*found, *again, x)}) == 11


def test_a_graph_that_does_not_agree_is_not_taken(monkeypatch):
    x = torch.randn(4)
    captured = graph_of(lambda x: (x * 2.0,), x)

    def wrong(module):
        for node in module.graph.nodes:
            if node.target is aten.mul.Tensor:
                node.args = (node.args[0], 2.001)
        module.recompile()

    monkeypatch.setattr(rules, "simplify", wrong)
    assert simplified(captured, [x]) is captured


def test_a_rule_that_fails_leaves_the_graph(monkeypatch):
    x = torch.randn(4)
    captured = graph_of(lambda x: (x * 2.0,), x)
    before = copy.deepcopy(captured.code)

    def failing(module):
        raise RuntimeError("no such rule")

    monkeypatch.setattr(rules, "simplify", failing)
    assert simplified(captured, [x]) is captured
    assert captured.code == before


def test_a_long_graph_of_large_operations_is_run_as_it_was_captured(monkeypatch):
    x = torch.randn(300, 100)
    captured = graph_of(lambda x: (x * 1.0 + 0.0,), x)
    assert simplified(captured, [x]) is not captured
    monkeypatch.setattr(rules, "_LONG", 2)
    assert simplified(captured, [x]) is captured
    small = graph_of(lambda x: (x * 1.0 + 0.0,), x[0])
    assert simplified(small, [x[0]]) is not small
