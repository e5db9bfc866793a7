"""Layers that do not compute what their class does: every kind must refuse them. Tests to be inherited."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune, weight_norm

from l0bayes.network import LayerKind, kind_of, nearest_kind
from l0bayes.testing.around_layer import AroundLayer
from l0bayes.testing.laid_out_network import lay_out

__all__ = ["ChangedLayerSuite"]


class _Twice(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2.0 * weight


class ChangedLayerSuite:
    """A layer as the suites are given it, and tests that a changed one is refused.

    Attributes:
        kind: The class of its kind.
    """

    kind: ClassVar[type[LayerKind]]

    # ---- what a subclass gives -------------------------------------------------------------------

    def make(self) -> nn.Module:
        """The layer."""
        raise NotImplementedError("a suite must define make()")

    def inputs(self) -> Tensor:
        """A batch of what it reads, rows first, at least 3."""
        raise NotImplementedError("a suite must define inputs()")

    def call(self, layer: Any, x: Tensor) -> Tensor:
        """How it is called.

        Args:
            layer: The layer.
            x: The batch.
        """
        out: Tensor = layer(x)
        return out

    def coupled(self) -> Iterable[tuple[nn.Module, str]]:
        """Layers with an option that couples units, each with a word of the reason."""
        return ()

    # ---- the layer, seeded and in float64 --------------------------------------------------------

    def layer(self) -> Any:
        """The layer, with running statistics as after training."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            layer = self.make().double()
            for name, value in layer.named_buffers():
                if name.endswith("running_mean"):
                    value.normal_()
                elif name.endswith("running_var"):
                    value.uniform_(0.5, 2.0)
            for parameter in layer.parameters():
                nn.init.normal_(parameter, 0.2, 0.6)
        return layer.eval()

    def batch(self, seed: int = 0) -> Tensor:
        """The batch, in float64 unless it holds numbers of rows.

        Args:
            seed: Its seed.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            x = self.inputs()
        return x.double() if x.is_floating_point() else x

    def fresh(self) -> Tensor:
        """Another batch."""
        return self.batch(seed=7)

    def of_layer(self) -> LayerKind:
        """The kind of the layer."""
        kind = kind_of(self.layer())
        assert type(kind) is self.kind
        assert kind is not None
        return kind

    def around(self, layer: nn.Module, flat: bool = True) -> AroundLayer:
        """A network around a layer.

        Args:
            layer: The layer.
            flat: Whether the last layer reads every position.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            return AroundLayer(layer, self.of_layer().unit_dim(self.layer()), self.batch(), self.call, flat)

    def changed(self) -> dict[str, tuple[nn.Module, str]]:
        """Layers that may compute something else, with a word of the reason, by what was done to them."""
        own = type(self.layer())

        def altered(change: Callable[[Any], Any]) -> nn.Module:
            layer = self.layer()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # the older weight_norm is deprecated
                change(layer)
            result: nn.Module = layer
            return result

        def replaced(layer: Any) -> None:
            layer.forward = lambda *args, **kwargs: own.forward(layer, *args, **kwargs)

        subclass = altered(lambda layer: setattr(layer, "__class__", type("Changed", (own,), {})))
        found = {
            "a subclass": (subclass, "subclass"),
            "another forward": (altered(replaced), "forward has been replaced"),
            "a hook": (altered(lambda layer: layer.register_forward_hook(_hook)), "hook"),
            "a hook before": (altered(lambda layer: layer.register_forward_pre_hook(_hook)), "hook"),
        }
        name = next((n for n, p in self.layer().named_parameters(recurse=False) if p.dim() > 1), None)
        if name is not None:
            doubled = altered(lambda layer: parametrize.register_parametrization(layer, name, _Twice()))
            found["a parametrised weight"] = (doubled, "Twice")
            found["a pruned weight"] = (altered(lambda one: prune.l1_unstructured(one, name, 0.3)), "L1Un")
            found["an older weight norm"] = (altered(lambda one: weight_norm(one, name)), "WeightNorm")
        return found

    def refused(self) -> list[tuple[str, nn.Module, str]]:
        """All layers that are not of the kind: what was done to them, the layer, a word of the reason."""
        changed = [(what, layer, word) for what, (layer, word) in self.changed().items()]
        return [*changed, *((f"coupled: {word}", layer, word) for layer, word in self.coupled())]

    # ---- tests -----------------------------------------------------------------------------------

    def test_it_is_of_its_kind(self) -> None:
        assert self.of_layer().reason_not(self.layer()) is None
        assert kind_of(copy.deepcopy(self.layer())) is self.of_layer()

    def test_changed_layers_are_refused_with_a_reason(self) -> None:
        for what, layer, word in self.refused():
            assert kind_of(layer) is None, what
            near = nearest_kind(layer)
            assert near is self.of_layer(), what
            assert near is not None
            assert word in (near.reason_not(layer) or ""), what

    def test_changed_layers_are_left_as_they_are(self) -> None:
        for what, layer, word in self.refused():
            dense = self.around(layer)
            laid = lay_out(dense, {"back": "input"}, self.batch())
            assert type(laid.net.layer) is type(layer), what
            assert word in laid.plan.trace.others["layer"].reason, what
            ones = {"back.gate": torch.ones(laid.plan.specs["back.gate"].shape).double()}
            torch.testing.assert_close(laid.run(ones), dense(self.batch()), rtol=0, atol=1e-11, msg=what)
            gates = laid.gates(0)
            expected = dense(self.fresh(), features=gates["back.gate"])
            torch.testing.assert_close(laid.run(gates, self.fresh()), expected, rtol=0, atol=1e-11, msg=what)
            copy.deepcopy(laid.net)  # which refuses what hooks leave behind
            torch.testing.assert_close(
                laid.shrink(gates)(self.fresh()), expected, rtol=0, atol=1e-11, msg=what
            )
            assert type(laid.shrink(gates).layer) is type(layer), what

    def test_changed_layers_are_named_where_gates_are_asked_for(self) -> None:
        for _, layer, word in self.refused():
            dense = self.around(layer)
            for placement in self.of_layer().placements:
                with pytest.raises(TypeError, match=rf"'layer': .*{word}"):
                    lay_out(dense, {"layer": placement}, self.batch())
                if placement == "input":
                    with pytest.warns(UserWarning, match=rf"stay as they are.*'layer': .*{word}"):
                        lay_out(dense, "input", self.batch())


def _hook(*_: Any) -> None:
    return None
