r"""What every layer kind must do, as tests to be inherited.

A subclass gives a layer and a batch of what it reads; the tests do the rest, in float64::

    class TestLinear(LayerKindSuite):
        kind = LinearKind

        def make(self):
            return nn.Linear(6, 5)

        def inputs(self):
            return torch.randn(4, 6)
"""

from __future__ import annotations

import copy
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from l0bayes.network import (
    NetworkCost,
    Selective,
    count_macs,
    count_nonzero,
    kind_of,
    live_layers,
    load_deployed,
    save_deployed,
)
from l0bayes.network.kinds import Presence
from l0bayes.testing.around_layer import AroundLayer, GateCase, gate_cases
from l0bayes.testing.changed_layer_suite import ChangedLayerSuite
from l0bayes.testing.laid_out_network import LaidOutNetwork, lay_out
from l0bayes.testing.written_sizes import wrong_sizes

__all__ = ["LayerKindSuite"]

_SEEDS = range(4)


class LayerKindSuite(ChangedLayerSuite):
    """Tests of one kind on one layer.

    Attributes:
        counts_flops: Whether ``torch.utils.flop_counter`` counts it. (It leaves out what runs fused, such as
            attention.)
    """

    counts_flops = True

    # ---- what is known of a layer ----------------------------------------------------------------

    def test_its_axes_are_those_of_its_parameters(self) -> None:
        layer, kind = self.layer(), self.of_layer()
        assert layer is not kind.gateable(layer) or kind_of(layer) is kind
        dim, x = kind.unit_dim(layer), self.batch()
        read, made = x.shape[dim] if x.is_floating_point() else None, self.call(layer, x).shape[dim]
        for name, axes in kind.axes(layer).items():
            value = getattr(layer, name)
            if value is None:
                continue
            if axes.out is not None:
                assert value.shape[axes.out] == made
            if axes.into is not None:
                assert value.shape[axes.into] * axes.groups == read
        if kind.one_to_one(layer):
            assert made == read
        assert isinstance(kind.size(layer), str)

    def test_its_multiply_accumulates_are_those_that_run(self) -> None:
        layer, kind, x = self.layer(), self.of_layer(), self.batch()
        if not self.counts_flops:
            pytest.skip("torch does not count them")
        macs = kind.macs(layer, [tuple(x.shape)], tuple(self.call(layer, x).shape))
        assert macs == _flops(partial(self.call, layer, x)) / 2

    def test_its_terms_are_its_cost(self) -> None:
        """Costs of many layers are worked out at once by their terms."""
        layer, kind, x = self.layer(), self.of_layer(), self.batch()
        result = self.call(layer, x)
        uses, dim = kind.uses(layer, [tuple(x.shape)], tuple(result.shape)), kind.unit_dim(layer)
        terms = kind.terms(layer, uses)
        if terms is None:
            pytest.skip("its cost is not one of numbers of units alone")
        generator = torch.Generator().manual_seed(0)
        made = torch.rand(result.shape[dim], generator=generator).double()
        read = torch.rand(x.shape[dim] if x.is_floating_point() else 1, generator=generator).double()
        read = torch.ones_like(read) if terms.reads_all else read
        parts = torch.stack([torch.ones(()).double(), made.sum(), read.sum(), made.sum() * read.sum()])
        params, macs = kind.cost(layer, uses, Presence(made, read))
        for found, four in ((params, terms.params), (macs, terms.macs)):
            torch.testing.assert_close(found.double(), parts @ torch.tensor(four).double())

    # ---- gated, deployed, counted ----------------------------------------------------------------

    @pytest.mark.parametrize("training", [False, True])
    @pytest.mark.parametrize("flat", [False, True])
    def test_gates_multiply_units_of_the_dense_network(self, flat: bool, training: bool) -> None:
        for case, dense, laid in self.networks(flat):
            for seed in _SEEDS:
                gates = laid.gates(seed, 0.2, 0.9)
                laid.net.train(training)
                reference = copy.deepcopy(dense).train(training)
                found, expected = laid.run(gates), self.multiplied(reference, case, gates)
                torch.testing.assert_close(found, expected, rtol=0, atol=1e-11, msg=_says(case))

    @pytest.mark.parametrize("flat", [False, True])
    def test_the_gradients_are_those_of_the_dense_network(self, flat: bool) -> None:
        for case, dense, laid in self.networks(flat):
            gates = {site: value.clamp(0.2, 0.8).requires_grad_() for site, value in laid.gates(0).items()}
            values = {name: value.clone().requires_grad_() for name, value in laid.parameters.items()}
            laid.run(gates, parameters=values).square().sum().backward()
            own = {site: value.detach().clone().requires_grad_() for site, value in gates.items()}
            reference = copy.deepcopy(dense).requires_grad_(True)
            self.multiplied(reference, case, own).square().sum().backward()
            for site, value in gates.items():
                assert value.grad is not None
                assert bool(value.grad.abs().sum() > 0), _says(case)
                torch.testing.assert_close(value.grad, own[site].grad, rtol=1e-9, atol=1e-11, msg=_says(case))
            if case.weight is None and case.heads is None:
                for name, parameter in reference.named_parameters():
                    if name in values:
                        found = values[name].grad
                        torch.testing.assert_close(found, parameter.grad, rtol=1e-9, atol=1e-11, msg=name)

    @pytest.mark.parametrize("flat", [False, True])
    def test_the_deployed_network_is_the_gated_one(self, flat: bool) -> None:
        for case, _, laid in self.networks(flat):
            fresh = self.fresh()
            for seed in _SEEDS:
                for low, keep in ((0.0, True), (0.0, False), (0.2, True)):
                    gates = laid.gates(seed, low, 1.0 if low == 0.0 else 0.9, keep)
                    with torch.no_grad():
                        expected = laid.run(gates, fresh)
                        for remove in (True, False):
                            small = laid.shrink(gates, remove)
                            torch.testing.assert_close(
                                small(fresh), expected, rtol=0, atol=1e-11, msg=f"{_says(case)} {remove}"
                            )

    @pytest.mark.parametrize("flat", [False, True])
    def test_cost_is_counted_on_the_deployed_network(self, flat: bool) -> None:
        for case, dense, laid in self.networks(flat):
            cost, rows = NetworkCost(laid.net, laid.plan), len(laid.x)
            ones = {site: torch.ones(shape).double() for site, shape in cost.shapes.items()}
            assert cost.dense["params"] == sum(p.numel() for p in dense.parameters())
            for drawn in (ones, *(laid.gates(seed) for seed in _SEEDS)):
                # Gates on single weights leave zeros at full size; units that die with them are not foreseen.
                gates = drawn if case.weight is None else {**ones, case.weight: drawn[case.weight]}
                if any(float(one.macs) == 0 < float(whole.macs) for one, whole in _layers(cost, gates, ones)):
                    continue  # nothing is left of a layer: the network keeps one unit
                small, totals = laid.shrink(gates, remove=case.weight is None), cost.totals(gates)
                assert float(totals["macs"]) == count_macs(small, (laid.x,)), _says(case)
                if self.counts_flops:
                    assert float(totals["macs"]) * rows == _flops(partial(small, laid.x)) / 2, _says(case)
                left = count_nonzero(small) if case.weight else sum(p.numel() for p in small.parameters())
                assert float(totals["params"]) == left, _says(case)

    def test_units_that_sleep_are_not_missed(self) -> None:
        for case, _, laid in self.networks(flat=True):
            for training in (False, True):
                laid.net.train(training)
                for seed in _SEEDS:
                    gates = laid.gates(seed, 0.2, 0.9, keep=seed > 0)
                    live = live_layers(laid.plan, {site: value > 0 for site, value in gates.items()})
                    whole, part = laid.run(gates), laid.run(gates, live=live)
                    torch.testing.assert_close(part, whole, rtol=0, atol=1e-11, msg=_says(case))

    def test_the_deployed_network_is_plain(self) -> None:
        for _, _, laid in self.networks(flat=True):
            small = laid.shrink(laid.gates(1))
            small.call = None  # type: ignore[assignment]
            twin = pickle.loads(pickle.dumps(small))
            small.call = twin.call = self.call  # type: ignore[assignment]
            assert torch.equal(twin(laid.x), small(laid.x))
            assert all(p.requires_grad for p in small.parameters())
            assert not {id(p) for p in small.parameters()} & {id(p) for p in laid.net.parameters()}

    def test_a_smaller_layer_is_built_from_what_is_written(self, tmp_path: Path) -> None:
        for case, dense, laid in self.networks(flat=True):
            small = laid.shrink(laid.gates(1))
            saved = save_deployed(small, tmp_path / "net", program=False, onnx=False)
            assert not [name for name in saved.needs_code if name.startswith("layer")], _says(case)
            again = load_deployed(tmp_path / "net", network=dense)
            assert type(again.layer) is type(small.layer)
            assert torch.equal(again(laid.x), small(laid.x)), _says(case)

    def test_a_smaller_layer_says_its_size(self) -> None:
        """Code that reads ``in_features``, exports a layer or builds one like it relies on them."""
        for case, dense, laid in self.networks(flat=True):
            for seed in _SEEDS:
                small = laid.shrink(laid.gates(seed)).layer
                layer: Any = small.reading if isinstance(small, Selective) else small
                if isinstance(layer, type(dense.layer)):  # nothing else stands there now
                    wrong = wrong_sizes(self.of_layer(), dense.layer, layer)
                    assert not wrong, f"{_says(case)}: {'; '.join(wrong)}"

    # ---- networks and their references -----------------------------------------------------------

    def networks(self, flat: bool) -> list[tuple[GateCase, AroundLayer, LaidOutNetwork]]:
        """Every case of gates with its dense network and the same laid out for gates.

        Args:
            flat: Whether the last layer reads every position.
        """
        found = []
        for case in gate_cases(self.of_layer(), self.layer(), self.batch().is_floating_point()):
            dense = self.around(self.layer(), flat)
            found.append((case, dense, lay_out(dense, case.gates, self.batch())))
        return found

    def multiplied(self, dense: AroundLayer, case: GateCase, gates: Any) -> Tensor:
        """The dense network, its units, weights or heads multiplied by hand.

        Args:
            dense: The network; its layer is changed.
            case: What multiplies what.
            gates: Values by site.
        """
        units = [None if site is None else gates[site] for site in (case.before, case.after, case.features)]
        values: dict[str, Tensor] = {}
        if case.weight is not None:
            values["weight"] = dense.layer.weight * gates[case.weight]
        if case.heads is not None:
            values = self.with_heads(dense.layer, gates[case.heads])
        values = {f"layer.{name}": value for name, value in values.items()}
        result: Tensor = torch.func.functional_call(dense, values, (self.batch(), *units))
        return result

    def with_heads(self, layer: Any, gates: Tensor) -> dict[str, Tensor]:
        """Parameters, by name, with which the layer computes what it does with gates on its heads.

        Args:
            layer: The layer.
            gates: Value of each head.
        """
        raise NotImplementedError("a suite of a kind with heads must define with_heads()")


def _says(case: GateCase) -> str:
    return f"gates {case.gates}"


def _flops(run: Any) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def _layers(cost: NetworkCost, gates: Any, ones: Any) -> list[tuple[Any, Any]]:
    return list(zip(cost.layers(gates).values(), cost.layers(ones).values(), strict=True))
