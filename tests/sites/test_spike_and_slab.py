"""Sites, shapes and values of spike_and_slab, gate and slab in prior runs."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from l0bayes.distributions import Gate, GatePrior
from l0bayes.sites import gate, gate_record, slab, slab_record, spike_and_slab


def trace_of(model, *args):
    return poutine.trace(model).get_trace(*args)


def normal(*shape, event_dim=None):
    return dist.Normal(0.0, 1.0).expand(shape).to_event(len(shape) if event_dim is None else event_dim)


def test_the_weight_is_the_gate_times_the_slab_and_is_recorded():
    trace = trace_of(lambda: spike_and_slab("w", 0.5, normal(40)))
    gates, slabs = trace.nodes["w.gate"]["value"], trace.nodes["w.slab"]["value"]
    weight = trace.nodes["w"]
    assert torch.equal(weight["value"], gates * slabs)
    assert torch.equal(trace.nodes["_RETURN"]["value"], weight["value"])
    assert weight["infer"]["_deterministic"]
    assert weight["fn"].event_shape == (40,)
    assert set(gates.unique().tolist()) == {0.0, 1.0}
    assert list(trace.stochastic_nodes) == ["w.gate", "w.slab"]


def test_the_slab_defaults_to_a_standard_normal():
    trace = trace_of(lambda: spike_and_slab("w", 0.5))
    fn = trace.nodes["w.slab"]["fn"]
    assert isinstance(fn, dist.Normal)
    assert (fn.loc, fn.scale) == (0.0, 1.0)
    assert trace.nodes["w"]["value"].shape == ()


@pytest.mark.parametrize("inclusion", [0.3, torch.tensor(0.3), torch.full((5,), 0.3), Gate(0.3)])
def test_an_inclusion_of_every_kind_becomes_the_same_prior(inclusion):
    trace = trace_of(lambda: spike_and_slab("w", inclusion, normal(5)))
    fn = trace.nodes["w.gate"]["fn"]
    assert isinstance(fn.base_dist, GatePrior)
    assert fn.event_shape == (5,)
    torch.testing.assert_close(fn.base_dist.inclusion_probability, torch.full((5,), 0.3))


def test_expected_active_is_a_number_of_gates():
    fn = trace_of(lambda: spike_and_slab("w", slab=normal(4, 5), expected_active=3.0)).nodes["w.gate"]["fn"]
    assert fn.event_shape == (4, 5)
    torch.testing.assert_close(fn.base_dist.inclusion_probability, torch.full((4, 5), 3.0 / 20))

    shared = trace_of(lambda: gate("g", shape=[8], expected_active=2.0)).nodes["g"]["fn"]
    torch.testing.assert_close(shared.base_dist.inclusion_probability, torch.full((8,), 0.25))


def test_gate_shape_shares_a_gate_along_its_dimensions_of_size_one():
    trace = trace_of(lambda: spike_and_slab("w", 0.5, normal(6, 7), gate_shape=(1, 7)))
    gates, slabs = trace.nodes["w.gate"]["value"], trace.nodes["w.slab"]["value"]
    assert gates.shape == (1, 7)
    assert slabs.shape == (6, 7)
    torch.testing.assert_close(trace.nodes["w"]["value"], gates * slabs)


def test_a_shorter_gate_shape_is_aligned_to_the_right():
    trace = trace_of(lambda: spike_and_slab("w", 0.5, normal(6, 7), gate_shape=(7,)))
    gates = trace.nodes["w.gate"]["value"]
    assert gates.shape == (7,)
    torch.testing.assert_close(trace.nodes["w"]["value"], gates * trace.nodes["w.slab"]["value"])


def test_groups_share_gates_in_any_pattern():
    groups = torch.tensor([[0, 2, 1], [1, 2, 0]])
    trace = trace_of(lambda: spike_and_slab("w", 0.5, normal(2, 3), groups=groups))
    gates, slabs = trace.nodes["w.gate"]["value"], trace.nodes["w.slab"]["value"]
    assert gates.shape == (3,)
    expected = torch.stack([torch.stack([gates[j] for j in row]) for row in groups]) * slabs
    assert torch.equal(trace.nodes["w"]["value"], expected)


def test_groups_may_index_a_gate_sampled_before():
    groups = torch.tensor([1, 1, 0, 3])

    def model():
        shared = gate("g", 0.5, [4])
        return spike_and_slab("w", slab=normal(4), groups=groups, gate=shared)

    trace = trace_of(model)
    expected = trace.nodes["g"]["value"][groups] * trace.nodes["w.slab"]["value"]
    assert torch.equal(trace.nodes["w"]["value"], expected)
    assert "w.gate" not in trace.nodes


def test_a_shared_gate_multiplies_several_slabs_through_views():
    def model():
        unit = gate("unit", 0.5, [4])
        weight = spike_and_slab("weight", slab=normal(4, 3), gate=unit.view(4, 1))
        bias = spike_and_slab("bias", slab=normal(4), gate=unit)
        return weight, bias

    trace = trace_of(model)
    gates = trace.nodes["unit"]["value"]
    assert trace.stochastic_nodes == ["unit", "weight.slab", "bias.slab"]
    assert torch.equal(trace.nodes["weight"]["value"], gates[:, None] * trace.nodes["weight.slab"]["value"])
    assert torch.equal(trace.nodes["bias"]["value"], gates * trace.nodes["bias.slab"]["value"])


def test_several_gates_multiply_one_slab():
    def model():
        rows, columns = gate("rows", 0.5, [4]), gate("columns", 0.5, [3])
        return spike_and_slab("w", slab=normal(4, 3), gate=[rows.view(4, 1), columns])

    trace = trace_of(model)
    rows, columns = trace.nodes["rows"]["value"], trace.nodes["columns"]["value"]
    expected = trace.nodes["w.slab"]["value"] * rows[:, None] * columns
    assert torch.equal(trace.nodes["w"]["value"], expected)
    assert [link.site for link in slab_record(trace.nodes["w.slab"]).gates] == ["rows", "columns"]


def test_slab_returns_the_slab_without_its_gates_but_names_them():
    def model():
        unit = gate("unit", 1e-6, [3])
        return slab("w", normal(5, 3), unit)

    trace = trace_of(model)
    assert torch.equal(trace.nodes["_RETURN"]["value"], trace.nodes["w.slab"]["value"])
    assert trace.nodes["w.slab"]["value"].abs().min() > 0  # the gates are all shut, the slab is not
    record = slab_record(trace.nodes["w.slab"])
    assert record.weight == "w"
    assert record.gates[0].spread(torch.tensor([0.0, 1.0, 2.0])).tolist() == [[0.0, 1.0, 2.0]]
    assert slab_record(trace_of(lambda: slab("b", normal(2))).nodes["b.slab"]).gates == ()


def test_records_mark_gates_and_slabs_and_nothing_else():
    def model():
        pyro.sample("other", dist.Normal(0.0, 1.0))
        spike_and_slab("w", 0.5, normal(3))

    nodes = trace_of(model).nodes
    assert gate_record(nodes["w.gate"]).event_dim == 1
    assert slab_record(nodes["w.gate"]) is None
    assert gate_record(nodes["w.slab"]) is None
    assert slab_record(nodes["w.slab"]).weight == "w"
    assert gate_record(nodes["other"]) is None
    assert slab_record(nodes["other"]) is None


# ---- plates ----------------------------------------------------------------------------------------


def test_a_plate_adds_its_dimension_to_all_three_sites():
    def model():
        with pyro.plate("units", 6):
            return spike_and_slab("w", 0.5, normal(3))

    nodes = trace_of(model).nodes
    for name in ("w.gate", "w.slab", "w"):
        assert nodes[name]["value"].shape == (6, 3)
        assert nodes[name]["fn"].batch_shape == (6,)
    assert nodes["w.gate"]["value"][:, 0].unique().numel() == 2  # gates differ within the plate
    assert torch.equal(nodes["w"]["value"], nodes["w.gate"]["value"] * nodes["w.slab"]["value"])


def test_nested_plates_and_a_gate_of_the_outer_one_only():
    def model():
        with pyro.plate("groups", 4, dim=-2):
            shared = gate("g", 0.5, [2])
            with pyro.plate("members", 5, dim=-1):
                own = spike_and_slab("own", 0.5)
                both = spike_and_slab("both", slab=normal(2), gate=shared)
        return own, both

    nodes = trace_of(model).nodes
    assert nodes["g"]["value"].shape == (4, 1, 2)
    assert nodes["own.gate"]["value"].shape == nodes["own"]["value"].shape == (4, 5)
    assert nodes["both"]["value"].shape == (4, 5, 2)
    assert torch.equal(nodes["both"]["value"], nodes["g"]["value"] * nodes["both.slab"]["value"])


def test_a_gate_outside_a_plate_is_shared_by_the_slabs_inside():
    def model():
        shared = gate("g", 0.5, [3])
        with pyro.plate("units", 50):
            return spike_and_slab("w", slab=normal(3), gate=shared)

    nodes = trace_of(model).nodes
    assert nodes["g"]["value"].shape == (3,)
    shut = nodes["g"]["value"] == 0
    assert 0 < shut.sum() < 3
    assert torch.equal((nodes["w"]["value"] == 0).all(0), shut)


def test_batch_dimensions_of_the_slab_get_gates_of_their_own():
    def model():
        with pyro.plate("units", 4):
            return spike_and_slab("w", 0.5, dist.Normal(torch.zeros(4, 3), 1.0).to_event(1))

    nodes = trace_of(model).nodes
    assert nodes["w.gate"]["fn"].batch_shape == (4,)
    assert nodes["w.gate"]["value"].shape == (4, 3)


def test_views_of_gates_in_a_plate_keep_the_plate_to_the_left():
    def model():
        with pyro.plate("tasks", 5):
            unit = gate("unit", 0.5, [4])
            return spike_and_slab("w", slab=normal(4, 3), gate=unit.view(4, 1))

    nodes = trace_of(model).nodes
    assert nodes["unit"]["value"].shape == (5, 4)
    assert torch.equal(nodes["w"]["value"], nodes["unit"]["value"][..., None] * nodes["w.slab"]["value"])


def test_groups_in_a_plate_index_the_event_dimension():
    groups = torch.tensor([0, 0, 1])

    def model():
        with pyro.plate("tasks", 5):
            return spike_and_slab("w", 0.5, normal(3), groups=groups)

    nodes = trace_of(model).nodes
    assert nodes["w.gate"]["value"].shape == (5, 2)
    assert torch.equal(nodes["w"]["value"], nodes["w.gate"]["value"][:, groups] * nodes["w.slab"]["value"])
