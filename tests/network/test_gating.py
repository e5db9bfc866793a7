"""Gated runs: gates of each example, running statistics, weights that gates multiply."""

import pytest
import torch
from torch import nn

from l0bayes.network import gated, live_layers, recalibrate_norms
from tests.network.zoo import DIGITS, IMAGES, SETS, VECTORS, ZOO, case, lay_out, lenet, mlp, seeded

pytestmark = pytest.mark.usefixtures("float64")

SINGLE = [name for name, (_, gates, _) in ZOO.items() if "weight" in str(gates)]  # groups too


@pytest.mark.parametrize("name", [name for name in ZOO if name not in SINGLE])
def test_gates_of_each_example(name):
    """One run with a row of gates an example is the loop over examples."""
    laid = case(name)
    generator = torch.Generator().manual_seed(0)
    gates = {
        site: torch.rand(len(laid.x), *spec.shape, generator=generator).bernoulli(generator=generator)
        * torch.rand(len(laid.x), *spec.shape, generator=generator)
        for site, spec in laid.plan.specs.items()
    }
    with torch.no_grad():
        together = laid.run(gates)
        rows = [
            laid.run({site: value[i] for site, value in gates.items()}, laid.x[i : i + 1])
            for i in range(len(laid.x))
        ]
    torch.testing.assert_close(together, torch.cat(rows), rtol=0, atol=1e-12)


def test_gates_of_each_example_on_maps_that_are_the_output():
    net = nn.Sequential(seeded(nn.Conv2d, 2, 3, 3), nn.ReLU(), seeded(nn.Conv2d, 3, 2, 3))
    laid = lay_out(net, {"0": "output", "2": "output"}, IMAGES)
    gates = {"0.gate": torch.rand(6, 3), "2.gate": torch.rand(6, 2)}
    rows = [laid.run({s: v[i] for s, v in gates.items()}, IMAGES[i : i + 1]) for i in range(6)]
    torch.testing.assert_close(laid.run(gates), torch.cat(rows), rtol=0, atol=1e-12)
    once = {site: value[0] for site, value in gates.items()}
    torch.testing.assert_close(laid.shrink(once)(IMAGES), laid.run(once), rtol=0, atol=1e-12)


def test_examples_that_are_folded_into_other_dimensions():
    class Folded(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.last(self.first(x.flatten(0, 1)).tanh()).unflatten(0, (len(x), -1))

    laid = lay_out(Folded(), "output", SETS)
    with pytest.raises(ValueError, match=r"each of 6 examples cannot be used at 'last', .* shape \(42, 4\)"):
        laid.run({"first.gate": torch.rand(6, 4)})
    assert laid.run({"first.gate": torch.rand(4)}).shape == (6, 7, 2)


def test_some_sites_of_each_example_and_others_once():
    laid = case("mlp units and weights")
    gates = laid.gates(0, 0.3, 0.9)
    gates["2.input.gate"] = torch.rand(6, 4)
    rows = [
        laid.run({**gates, "2.input.gate": gates["2.input.gate"][i]}, VECTORS[i : i + 1]) for i in range(6)
    ]
    torch.testing.assert_close(laid.run(gates), torch.cat(rows), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SINGLE)
def test_gates_on_weights_are_drawn_once(name):
    laid = case(name)
    gates = laid.gates(0)
    site = next(s for s, spec in laid.plan.specs.items() if spec.placement in ("weight", "group"))
    gates[site] = gates[site].expand(6, *gates[site].shape)
    with pytest.raises(
        ValueError, match=rf"gate site '{site}' has values for each example, .* once a minibatch"
    ):
        laid.run(gates)


def test_several_draws_at_once():
    laid = case("mlp input")
    gates = {site: value.expand(3, 6, -1) for site, value in laid.gates(0).items()}
    with pytest.raises(ValueError, match="has values for several draws at once"):
        laid.run(gates)


@pytest.mark.parametrize("name", ["mlp input", "lenet", "tokens", "blocks", "residual output"])
def test_draws_may_be_batched_by_vmap(name):
    laid = case(name)
    gates = [laid.gates(seed, 0.2, 0.9) for seed in range(3)]
    stacked = {site: torch.stack([one[site] for one in gates]) for site in gates[0]}
    with torch.no_grad():
        together = torch.vmap(laid.run)(stacked)
        for row, one in zip(together, gates, strict=True):
            torch.testing.assert_close(row, laid.run(one), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["lenet", "tokens", "blocks"])
def test_nothing_is_left_hooked(name):
    laid = case(name)
    laid.run(laid.gates(0))
    with pytest.raises((RuntimeError, IndexError, ValueError)):
        laid.run(laid.gates(0), torch.zeros(3, 1))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in laid.net.modules())
    assert not any(getattr(m, "head_gates", None) is not None for m in laid.net.modules())


def test_gradients_reach_gates_and_weights():
    laid = case("lenet")
    gates = {site: value.clamp(0.2, 0.8).requires_grad_() for site, value in laid.gates(0).items()}
    values = {name: value.clone().requires_grad_() for name, value in laid.parameters.items()}

    def total(*tensors):
        parts = dict(zip([*gates, *values], tensors, strict=True))
        run = laid.run({s: parts[s] for s in gates}, laid.x[:2], {n: parts[n] for n in values})
        return run.square().sum()

    tensors = [*gates.values(), *values.values()]
    assert torch.autograd.gradcheck(total, tensors, fast_mode=True)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(total(*tensors), tensors))


# ---- running statistics ------------------------------------------------------------------------------


def test_training_updates_the_statistics_of_gated_activations():
    laid = lay_out(seeded(lenet), {"[03]": "output"}, DIGITS)
    norm = laid.net[4]
    gates = {"0.gate": torch.tensor([1.0, 0.0, 0.4]), "3.gate": torch.tensor([0.0, 1.0, 1.0, 0.5])}
    laid.run(gates)
    assert torch.equal(norm.running_mean, torch.zeros(4))
    laid.net.train()
    laid.run(gates)
    # Gates of the maps themselves act behind the normalisation.
    maps = laid.net[:3](DIGITS) * gates["0.gate"][:, None, None]
    maps = laid.net[3](maps).transpose(0, 1).flatten(1)
    torch.testing.assert_close(norm.running_mean, 0.1 * maps.mean(1))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * maps.var(1))
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize("size", [2, 6])
def test_statistics_anew(size):
    net = seeded(lenet).train()
    net[4].momentum = 0.3
    recalibrate_norms(net, DIGITS, batch_size=size)
    batches = [net[:4](rows).transpose(0, 1).flatten(1) for rows in DIGITS.split(size)]
    torch.testing.assert_close(net[4].running_mean, torch.stack([b.mean(1) for b in batches]).mean(0))
    torch.testing.assert_close(net[4].running_var, torch.stack([b.var(1) for b in batches]).mean(0))
    assert net[4].momentum == 0.3
    assert not net.training
    assert not net[4].training


def test_a_network_without_normalisation_has_no_statistics():
    net = seeded(mlp).train()
    recalibrate_norms(net, VECTORS)
    assert net.training


# ---- sleeping units ----------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ZOO)
def test_units_that_sleep_are_not_missed(name, training):
    """What only shut gates read need not be computed: the same values and the same gradients."""
    laid = case(name)
    laid.net.train(training)
    for seed in range(3):
        gates = laid.gates(seed, 0.2, 0.9, keep=seed < 2)
        live = live_layers(laid.plan, {site: value > 0 for site, value in gates.items()})
        found = {}
        for layers in ({}, live):
            values = {key: value.clone().requires_grad_() for key, value in laid.parameters.items()}
            output = gated(laid.net, laid.plan, values, gates, (laid.x,), layers)
            gradients = torch.autograd.grad(output.square().sum(), list(values.values()), allow_unused=True)
            found[bool(layers)] = [output, *(0.0 if g is None else g for g in gradients)]
        for one, other in zip(*found.values(), strict=True) if len(found) > 1 else ():
            difference = torch.as_tensor(one - other)
            assert difference.abs().max() < 1e-11
