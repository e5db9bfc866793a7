"""Every refusal of gate, spike_and_slab and slab names what was given."""

import pyro.distributions as dist
import pytest
import torch
from torch import nn

from l0bayes.distributions import Gate
from l0bayes.sites import gate, slab, spike_and_slab

NORMALS = dist.Normal(0.0, 1.0).expand([3]).to_event(1)


@pytest.mark.parametrize("given", [0.0, 1.0, -0.5, 1.5, 0, 1, float("nan")])
@pytest.mark.parametrize("primitive", [gate, spike_and_slab])
def test_inclusion_outside_the_open_interval(primitive, given):
    with pytest.raises(ValueError, match=rf"inclusion must lie strictly between 0 and 1, got {given!r}"):
        primitive("w", given)


@pytest.mark.parametrize("given", [0.0, 1.0, 1.5])
def test_a_tensor_of_inclusions_outside_the_open_interval(given):
    with pytest.raises(ValueError, match=r"inclusion(.|\n)*strictly between 0 and 1(.|\n)*" + str(given)):
        spike_and_slab("w", torch.tensor([0.5, given, 0.5]), NORMALS)


@pytest.mark.parametrize("primitive", [gate, spike_and_slab])
def test_exactly_one_of_inclusion_and_expected_active(primitive):
    with pytest.raises(ValueError, match="exactly one of inclusion and expected_active"):
        primitive("w")
    with pytest.raises(ValueError, match="exactly one of inclusion and expected_active"):
        primitive("w", 0.5, expected_active=0.5)


@pytest.mark.parametrize("given", [0.0, -1.0, 3.0, 4.5])
def test_expected_active_outside_its_range(given):
    with pytest.raises(
        ValueError, match=rf"expected_active.*between 0 and the number of gates, 3; got {given}"
    ):
        spike_and_slab("w", slab=NORMALS, expected_active=given)


@pytest.mark.parametrize("given", ["half", True, [0.5], dist.Beta(1.0, 1.0)])
@pytest.mark.parametrize("primitive", [gate, spike_and_slab])
def test_inclusion_of_another_type(primitive, given):
    with pytest.raises(TypeError, match=rf"inclusion must be .* got {type(given).__name__}"):
        primitive("w", given)


@pytest.mark.parametrize("given", [torch.full((2,), 0.5), Gate(torch.full((4, 2), 0.5))])
def test_inclusion_that_does_not_broadcast(given):
    shape = tuple(given.shape if isinstance(given, torch.Tensor) else given.batch_shape)
    with pytest.raises(ValueError, match=r"inclusion of shape .* does not broadcast") as caught:
        spike_and_slab("w", given, NORMALS)
    assert all(part in str(caught.value) for part in (str(shape), "(3,)", "'w.gate'"))


def test_gate_shape_that_does_not_broadcast():
    for given in [(2,), (3, 1, 3)]:
        with pytest.raises(ValueError, match="gate_shape") as caught:
            spike_and_slab("w", 0.5, NORMALS, gate_shape=given)
        assert str(given) in str(caught.value)
        assert "(3,)" in str(caught.value)


def test_gate_shape_and_groups_together():
    with pytest.raises(ValueError, match="at most one of gate_shape and groups"):
        spike_and_slab("w", 0.5, NORMALS, gate_shape=(1,), groups=torch.tensor([0, 0, 1]))


def test_groups_of_another_shape():
    with pytest.raises(ValueError, match=r"groups .* shape \(3,\); got \(2,\)"):
        spike_and_slab("w", 0.5, NORMALS, groups=torch.tensor([0, 1]))


@pytest.mark.parametrize("given", [[0, 0, 2], [1, 1, 2], [-1, 0, 1]])
def test_groups_that_leave_an_index_out(given):
    with pytest.raises(ValueError, match="groups must use every index from 0 up") as caught:
        spike_and_slab("w", 0.5, NORMALS, groups=torch.tensor(given))
    assert str(sorted(set(given))) in str(caught.value)


@pytest.mark.parametrize("given", [torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0, 0, 1], dtype=torch.int32)])
def test_groups_of_another_dtype(given):
    with pytest.raises(TypeError, match=rf"groups .* torch.long, got {given.dtype}"):
        spike_and_slab("w", 0.5, NORMALS, groups=given)


def test_groups_that_are_no_tensor():
    with pytest.raises(TypeError, match=r"groups must be a tensor .* got list"):
        spike_and_slab("w", 0.5, NORMALS, groups=[0, 0, 1])


@pytest.mark.parametrize("given", [[0, 1, 2], [-1, 0, 1]])
def test_groups_beyond_the_gates_given(given):
    shared = gate("g", 0.5, [2])
    with pytest.raises(ValueError, match="groups must index the 2 gates given") as caught:
        spike_and_slab("w", slab=NORMALS, groups=torch.tensor(given), gate=shared)
    assert str(given) in str(caught.value)


def test_groups_of_a_gate_that_is_a_matrix():
    shared = gate("g", 0.5, [2, 2])
    with pytest.raises(ValueError, match="groups need a gate of one dimension; 'g' has 2"):
        spike_and_slab("w", slab=NORMALS, groups=torch.tensor([0, 1, 2]), gate=shared)


def test_groups_of_several_gates():
    gates = [gate("a", 0.5, [2]), gate("b", 0.5, [2])]
    with pytest.raises(ValueError, match="groups need exactly one gate, got 2"):
        spike_and_slab("w", slab=NORMALS, groups=torch.tensor([0, 1, 1]), gate=gates)


@pytest.mark.parametrize("extra", [{"inclusion": 0.5}, {"expected_active": 1.0}, {"gate_shape": (1,)}])
def test_a_gate_and_arguments_that_make_one(extra):
    shared = gate("g", 0.5, [3])
    with pytest.raises(ValueError, match="gate is given, so inclusion, expected_active and gate_shape"):
        spike_and_slab("w", slab=NORMALS, gate=shared, **extra)


@pytest.mark.parametrize("given", [torch.ones(3), 0.5, [torch.ones(3)], nn.Identity()])
def test_a_gate_that_is_no_gate(given):
    with pytest.raises(TypeError, match=r"gate must be a result of l0bayes.gate .* got \w+"):
        spike_and_slab("w", slab=NORMALS, gate=given)
    with pytest.raises(TypeError, match=r"gate must be a result of l0bayes.gate .* got \w+"):
        slab("w", NORMALS, given)


def test_no_gate_at_all():
    with pytest.raises(ValueError, match="gate is an empty sequence"):
        spike_and_slab("w", slab=NORMALS, gate=[])


def test_a_gate_that_does_not_broadcast_to_the_slab():
    shared = gate("g", 0.5, [4])
    for primitive in (
        lambda: spike_and_slab("w", slab=NORMALS, gate=shared),
        lambda: slab("w", NORMALS, shared),
    ):
        with pytest.raises(ValueError, match=r"gate 'g' of shape \(4,\) does not broadcast .* \(3,\)"):
            primitive()


def test_a_view_of_another_size():
    with pytest.raises(ValueError, match=r"gate 'g' of shape \(4,\) cannot be viewed as \(3, 1\)"):
        gate("g", 0.5, [4]).view(3, 1)


@pytest.mark.parametrize("given", [1.0, torch.zeros(3), torch.distributions.Normal(0.0, 1.0)])
def test_a_slab_that_is_no_pyro_distribution(given):
    with pytest.raises(TypeError, match=rf"slab must be a Pyro distribution, got {type(given).__name__}"):
        spike_and_slab("w", 0.5, given)
    with pytest.raises(TypeError, match=rf"Pyro distribution, got {type(given).__name__}"):
        slab("w", given)


def test_an_init_of_another_shape():
    for primitive in (
        lambda init: spike_and_slab("w", 0.5, NORMALS, init=init),
        lambda init: slab("w", NORMALS, init=init),
    ):
        with pytest.raises(ValueError, match=r"init must have the slab's shape \(3,\), got \(2,\)"):
            primitive(torch.zeros(2))
