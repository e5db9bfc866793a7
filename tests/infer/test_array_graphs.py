"""Small graphs by NumPy: operations and draws as torch has them, and torch where it is quicker."""

import math
import warnings

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from l0bayes.infer.graphs import simplified
from l0bayes.infer.graphs.array_graphs import array_function
from l0bayes.infer.graphs.array_operations import _POINTWISE, array_form, by_torch

aten = torch.ops.aten
HARD = (
    -math.inf,
    -200.0,
    -88.0,
    -3.0,
    -1e-8,
    -0.0,
    0.0,
    1e-8,
    0.3,
    1.0,
    2.5,
    88.0,
    200.0,
    math.inf,
    math.nan,
)
SHARES = (0.0, 1e-8, 0.2, 0.5, 0.9, 1 - 1e-6, 1.0)
CONDITION = torch.arange(15) % 2 == 0
OPERATIONS = {
    "mul": lambda x, y, p: (x * y, x * 0.5, 3 * y, x.sum() * y.sum()),
    "add": lambda x, y, p: (x + y, x + 0.5, torch.add(x, y, alpha=-2.0), x.sum() + 1),
    "sub": lambda x, y, p: (x - y, x - 0.5, torch.sub(x, y, alpha=3.0)),
    "div": lambda x, y, p: (x / y, x / 0.5),
    "scalars": lambda x, y, p: (
        aten.mul.Scalar(x, 2.0),
        aten.add.Scalar(x, 2.0),
        aten.sub.Scalar(x, 2.0),
        aten.div.Scalar(x, 2.0),
    ),
    "one argument": lambda x, y, p: (-x, x.exp(), x.abs(), x.tanh(), x.sigmoid(), x.reciprocal()),
    "of shares": lambda x, y, p: (p.log(), (-p).log1p(), p.sqrt(), p.logit()),
    "bounds": lambda x, y, p: (
        x.clamp(-1.0, 2.0),
        x.clamp(min=0.3),
        x.clamp(max=0.3),
        torch.clamp_min(x, 0.5),
        torch.maximum(x, y),
        torch.minimum(x, y),
    ),
    "comparisons": lambda x, y, p: (x > y, x > 0.5, x >= y, x >= 1.0, x < y, x < 0.0, x <= y, x <= 0.0),
    "conditions": lambda x, y, p: (
        torch.where(CONDITION, x, y),
        torch.where(x > 0, x, 0.0 * y),
        torch.logical_and(x > 0, y > 0),
    ),
    "products and sums": lambda x, y, p: (torch.addcmul(x, y, x), torch.addcmul(x, y, y, value=-0.5)),
    "the logistic": lambda x, y, p: (
        *aten.log_sigmoid_forward(x),
        aten.log_sigmoid_backward(y, x, torch.exp(-x.abs())),
        aten.sigmoid_backward(p + 1.0, p),
        aten.tanh_backward(p + 1.0, p),
        aten.threshold_backward(y, x, 0),
        aten.threshold_backward(y, x, 1.0),
    ),
}


def by_arrays(function, *inputs):
    """What a function gives by arrays, and by torch."""
    captured = make_fx(function)(*inputs)
    run = array_function(captured, set())
    assert run is not None
    torch.manual_seed(0)
    found = run(*inputs)
    torch.manual_seed(0)
    return found, function(*inputs)


def equal(found, wanted, **tolerances):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True, **tolerances)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_at_their_corners(operation, dtype):
    x = torch.tensor(HARD, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        equal(*by_arrays(OPERATIONS[operation], x, x.flip(0), torch.tensor(SHARES, dtype=dtype)))


def test_every_operation_of_the_table_is_tested():
    x = torch.randn(15)
    reached = set()
    for function in OPERATIONS.values():
        nodes = make_fx(function)(x, x, torch.rand(7)).graph.nodes
        reached |= {
            node.target
            for node in nodes
            if node.op == "call_function" and array_form(node)[0] is not by_torch
        }
    assert set(_POINTWISE) <= reached


def test_layouts_sums_and_products():
    def function(a, b, v):
        return (
            a @ b,
            a @ v,
            torch.addmm(v.sum(0, keepdim=True).expand(3), a, b),
            a.sum(),
            a.sum(0),
            a.sum(1, keepdim=True),
            a.t().clone() * 2.0,
            a.reshape(-1)[None] + v.unsqueeze(1),
            v.view(2, 2).transpose(0, 1) * 1.5,
            v.dot(v).expand(3, 2) * 1.0,
            v.sum().reshape(1, 1),
        )

    equal(*by_arrays(function, torch.randn(5, 4), torch.randn(4, 3), torch.randn(4)))


def test_draws_are_those_of_torch():
    def function(x):
        return (
            torch.rand(20) * x,
            torch.randn(20) + x,
            torch.randn(()) * 2.0,
            torch.randn(3, 5).double() * 1.0,
        )

    equal(*by_arrays(function, torch.randn(20)))


def test_what_has_no_form_for_arrays_goes_through_torch():
    def function(x, index):
        y = (x.exp() * 2.0 + x * x - 1.0).sigmoid() * x.abs().sqrt() + x.tanh() - 3.0 * x.log1p()
        return torch.lgamma(x) + y * y + y.exp() * 0.5, x.gather(0, index) * 2.0

    x = torch.rand(12, dtype=torch.float64)
    equal(*by_arrays(function, x, torch.tensor([3, 1, 0])), rtol=1e-13, atol=1e-13)


def test_torch_runs_what_it_is_quicker_at():
    def function(x):
        return (x * 2.0,)

    large, half = torch.randn(300, 300), torch.randn(4, dtype=torch.bfloat16)
    for x in (large, half):
        assert array_function(make_fx(function)(x), set()) is None
    special = make_fx(lambda x: (torch.lgamma(x), torch.digamma(x)))(torch.rand(4))
    assert array_function(special, set()) is None
    written = make_fx(lambda x: (x.add_(1.0) * 2.0,))(torch.rand(4))
    assert array_function(written, set(written.graph.nodes)) is None


def test_results_are_new_memory_at_every_step():
    captured = make_fx(lambda x: (x * 2.0, x.sum(), x.t()))(torch.randn(3, 3))
    run = simplified(captured, [torch.randn(3, 3)]).forward
    x = torch.randn(3, 3)
    first = run(x)
    kept = [one.clone() for one in first]
    for one in run(x + 1.0):
        one.zero_()
    equal(first, kept, rtol=0.0, atol=0.0)
    first[2].zero_()
    assert x.abs().min() > 0


def test_large_values_have_places_and_results_none():
    def function(x, w):
        a = (x * w).exp()
        b = (a + 1.0).log() * a
        return (b * x).sum(), torch.randn(200, 200) * b, a.mm(b).tanh()

    x, w = torch.randn(200, 200), torch.randn(1, 200)
    captured = make_fx(function)(x, w)
    new = simplified(captured, [x, w])
    assert new is not captured
    places = [name for name in vars(new) if name.startswith("_place_")]
    assert 0 < len(places) < 5
    torch.manual_seed(1)
    first = new(x, w)
    kept = [one.clone() for one in first]
    torch.manual_seed(1)
    equal(first, function(x, w), rtol=1e-4, atol=1e-4)
    new(x + 1.0, w)
    equal(first, kept, rtol=0.0, atol=0.0)
