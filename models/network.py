r"""A sparse version of a feed-forward network, as a Pyro model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from l0bayes.distributions import DeploymentRule, deployed_gates
from l0bayes.infer.elbo import MeanFieldELBO
from l0bayes.network.shrink import LayerWeights, members, shrink_sequential
from l0bayes.network.units import check_units
from l0bayes.sites import Inclusion, SampledGate, gate, slab

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GatePlacement", "Likelihood", "SparseNetwork"]

GatePlacement = Literal["input", "output", "weight"]
Likelihood = Literal["categorical", "bernoulli", "gaussian"]


class SparseNetwork(nn.Module):
    r"""Spike-and-slab weights in an ``nn.Sequential`` of Linear layers and activations.

    .. math:: y \sim \text{likelihood}\bigl(f(x;\, z \odot \theta)\bigr)

    A layer has gates on its input units, its output units, or each weight. A gate on a hidden unit,
    wherever it is declared, removes the unit: it multiplies the activation *after* the nonlinearity,
    so that the unit's bias dies with it, and every weight into and out of the unit is tied to it. A gate
    on an output of the last layer multiplies what that layer computes. The
    given network is copied as the guide's starting point and left untouched.

    Sites are ``"{layer}.gate"``, ``"{layer}.weight.slab"`` and ``"{layer}.bias.slab"``, with the
    layer's name in the Sequential.

    Args:
        net: The dense network: ``nn.Linear`` layers, activations and ``nn.Flatten`` in sequence.
        gates: ``"input"``, ``"output"`` or ``"weight"`` for all Linear layers, or a mapping from
            layer name to one of them; layers that are not in the mapping are not gated. ``"output"``
            for all means all hidden units, since the last layer's outputs are the prediction.
        inclusion: Prior of the gates: a probability, or a gate prior such as ``L0Penalty``, the same
            for all layers or a mapping from layer name.
        slab: Prior of a weight or bias, a scalar distribution such as ``Normal(0, 1)`` or
            ``L2Penalty(0)``.
        likelihood: ``"categorical"`` (labels as integers), ``"bernoulli"`` (one logit an output), or
            ``"gaussian"`` with noise scale ``noise_scale``.
        num_data: Size of the data set that minibatches come from; scales their log likelihood.
        noise_scale: Standard deviation of the Gaussian likelihood.

    Raises:
        TypeError: If ``net`` holds a module that cannot be gated.
        ValueError: If an argument is not one of the accepted values, a layer name is unknown, units are
            gated twice, or modules such as a softmax mix gated units.

    Example::

        net = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 10))
        model = SparseNetwork(net, gates="input", inclusion=0.5, num_data=len(x))
        guide = AutoHardConcrete(model, (x[:2], y[:2]), init_active=0.9)
    """

    def __init__(
        self,
        net: nn.Sequential,
        gates: GatePlacement | Mapping[str, GatePlacement] = "input",
        inclusion: Inclusion | Mapping[str, Inclusion] = 0.5,
        slab: TorchDistributionMixin | None = None,
        likelihood: Likelihood = "categorical",
        num_data: int | None = None,
        noise_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.linear_names = _check_layers(net)
        self.placement = _placement(gates, self.linear_names)
        check_units(net, self.linear_names, self.placement)
        self.inclusion = _per_layer(inclusion, self.placement)
        if likelihood not in get_args(Likelihood):
            raise ValueError(
                f"likelihood must be one of {', '.join(get_args(Likelihood))}; got {likelihood!r}"
            )
        if num_data is not None and num_data < 1:
            raise ValueError(f"num_data must be at least 1, got {num_data!r}")
        if not noise_scale > 0:
            raise ValueError(f"noise_scale must be positive, got {noise_scale!r}")
        self.net = copy.deepcopy(net).requires_grad_(False)
        self.slab_prior = dist.Normal(0.0, 1.0) if slab is None else slab
        self.likelihood = likelihood
        self.num_data = num_data
        self.noise_scale = noise_scale

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The Pyro model: sample weights, predict, observe.

        Args:
            x: Inputs of shape ``(batch, ...)``.
            y: Targets: of shape ``(batch,)`` for the categorical likelihood, ``(batch, outputs)`` for the
                others; ``None`` to draw them.

        Returns:
            The network's output (logits or means), of shape ``(batch, outputs)``.

        Raises:
            ValueError: If the targets' shape does not match.
        """
        output = self._predict(x)
        self._check_targets(y, output)
        with pyro.plate("data", self.num_data or len(x), subsample=torch.arange(len(x), device=x.device)):
            pyro.sample("y", self._observation(output), obs=y)
        return output

    def _check_targets(self, y: Tensor | None, output: Tensor) -> None:
        outputs = () if self.likelihood == "categorical" else (output.shape[-1],)
        expected = (output.shape[-2], *outputs)
        if y is not None and y.shape != expected:
            raise ValueError(
                f"y must have shape {expected} for the {self.likelihood} likelihood, got {tuple(y.shape)}"
            )

    def _observation(self, output: Tensor) -> Any:
        if self.likelihood == "categorical":
            return dist.Categorical(logits=output)
        if self.likelihood == "bernoulli":
            return dist.Bernoulli(logits=output).to_event(1)
        return dist.Normal(output, self.noise_scale).to_event(1)

    def _predict(self, x: Tensor) -> Tensor:
        units = self._unit_gates()
        final = units.get(None)
        for name, module in members(self.net):
            if not isinstance(module, nn.Linear):
                x = module(x)
                continue
            x = self._linear(name, module, x, units.get(name), units.get(self._next(name)))
            if final is not None and name == self.linear_names[-1]:
                x = x * final.value
        return x

    def _layer(self, name: str) -> nn.Linear:
        layer = self.net.get_submodule(name)
        assert isinstance(layer, nn.Linear)  # checked in the constructor
        return layer

    def _next(self, name: str) -> str | None:
        index = self.linear_names.index(name) + 1
        return self.linear_names[index] if index < len(self.linear_names) else None

    def _unit_gates(self) -> dict[str | None, SampledGate]:
        """Gates on units, keyed by the layer they feed; ``None`` is the network's output."""
        found: dict[str | None, SampledGate] = {}
        for name in self.linear_names:
            layer = self._layer(name)
            where = self.placement.get(name)
            if where == "input":
                size = layer.in_features
            elif where == "output":
                size = layer.out_features
            else:
                continue
            key = name if where == "input" else self._next(name)
            found[key] = gate(f"{name}.gate", self.inclusion[name], [size])
        return found

    def _linear(
        self, name: str, layer: nn.Linear, x: Tensor, before: SampledGate | None, after: SampledGate | None
    ) -> Tensor:
        shape = layer.weight.shape
        gates = [before] if before is not None else []
        if after is not None:
            gates.append(after.view(shape[0], 1))
        own = None
        if self.placement.get(name) == "weight":
            own = gate(f"{name}.gate", self.inclusion[name], shape)
            gates.append(own)
        prior = self.slab_prior
        weight = slab(f"{name}.weight", prior.expand(shape).to_event(2), gates, init=layer.weight)
        if own is not None:
            weight = weight * own.value
        if before is not None and name == self.linear_names[0]:
            # On the weights, for the network's own inputs need no gradient otherwise, a matrix product.
            weight = weight * before.value.unsqueeze(-2)
        elif before is not None:
            x = x * before.value
        if layer.bias is None:
            return x @ weight.mT
        bias = slab(
            f"{name}.bias",
            prior.expand(layer.bias.shape).to_event(1),
            after if after is not None else (),
            init=layer.bias,
        )
        return nn.functional.linear(x, weight, bias)

    # ---- after training --------------------------------------------------------------------------

    @torch.no_grad()
    def deploy(self, guide: Any, rule: DeploymentRule = "median") -> nn.Sequential:
        """A plain network with shut units removed and everything else folded in.

        Args:
            guide: The trained guide.
            rule: How a gate's law becomes a value; see
                :func:`~l0bayes.distributions.deployed_gates`. Slabs take their posterior median.

        Returns:
            An ``nn.Sequential`` of Linear layers, free of l0bayes but for a column selection where
            input columns are dropped.
        """
        return self._shrink(guide, {name: deployed_gates(law, rule) for name, law in guide.gates().items()})

    def _shrink(self, guide: Any, gates: Mapping[str, Tensor]) -> nn.Sequential:
        slabs = guide.median()
        layers, output_gates = {}, None
        for name in self.linear_names:
            weight = slabs[f"{name}.weight.slab"]
            if self.placement.get(name) == "weight":
                weight = weight * gates[f"{name}.gate"]
            layers[name] = LayerWeights(weight, slabs.get(f"{name}.bias.slab"), None)
        for name, where in self.placement.items():
            if where == "weight":
                continue
            fed = name if where == "input" else self._next(name)
            if fed is None:
                output_gates = gates[f"{name}.gate"]
            else:
                layers[fed].input_gates = gates[f"{name}.gate"]
        return shrink_sequential(self.net, layers, output_gates)

    @torch.no_grad()
    def layer_table(self, guide: Any, data: tuple[Any, ...], rule: DeploymentRule = "median") -> pd.DataFrame:
        """What each layer keeps and costs.

        Args:
            guide: The trained guide.
            data: Model arguments to evaluate the KL with; a small batch will do.
            rule: Deployment rule.

        Returns:
            A DataFrame with one row a Linear layer: where its gates are, how many, how many are
            expected and deployed open, weights (biases included) of the dense and the deployed layer,
            counted as non-zeros on the deployed network, and the KL of its gates and its slabs in nats.
        """
        import pandas as pd

        laws = guide.gates()
        gates = {name: deployed_gates(law, rule) for name, law in laws.items()}
        small = self._shrink(guide, gates)
        kl = MeanFieldELBO()(self, guide).kl_by_site(*data)
        rows = []
        for name in self.linear_names:
            law = laws.get(f"{name}.gate")
            dense, kept = self._layer(name), small.get_submodule(name)
            slabs = [kl.get(f"{name}.{part}.slab", 0.0) for part in ("weight", "bias")]
            rows.append(
                {
                    "layer": name,
                    "gates on": self.placement.get(name, "none"),
                    "gates": 0 if law is None else law.batch_shape.numel(),
                    "expected open": 0.0 if law is None else float(law.prob_active.sum()),
                    "deployed open": 0 if law is None else int(torch.count_nonzero(gates[f"{name}.gate"])),
                    "dense": f"{dense.in_features}-{dense.out_features}",
                    "deployed": f"{kept.in_features}-{kept.out_features}",
                    "dense weights": sum(p.numel() for p in dense.parameters()),
                    "deployed weights": sum(int(torch.count_nonzero(p)) for p in kept.parameters()),
                    "KL gates": float(kl.get(f"{name}.gate", 0.0)),
                    "KL slabs": float(sum(slabs)),
                }
            )
        return pd.DataFrame(rows).set_index("layer")


def _check_layers(net: nn.Sequential) -> list[str]:
    if not isinstance(net, nn.Sequential):
        raise TypeError(f"net must be an nn.Sequential of Linear layers, got {type(net).__name__}")
    linear: dict[str, nn.Linear] = {}
    for name, module in members(net):
        if isinstance(module, nn.Linear):
            if any(module is other for other in linear.values()):
                raise ValueError(f"net[{name!r}] is a Linear layer that stands in net before; use a copy")
            linear[name] = module
        elif next(module.parameters(), None) is not None:
            raise TypeError(
                f"net[{name!r}] is a {type(module).__name__} with parameters, which cannot be gated; "
                "Linear layers and modules without parameters are accepted"
            )
    if not linear:
        raise ValueError("net holds no Linear layer")
    return list(linear)


def _placement(
    gates: GatePlacement | Mapping[str, GatePlacement], names: list[str]
) -> dict[str, GatePlacement]:
    if isinstance(gates, str):
        # The outputs of the last layer are the prediction: "output" for all means all hidden units.
        chosen = names[:-1] if gates == "output" else names
        gates = dict.fromkeys(chosen, gates)
    unknown = sorted(set(gates) - set(names))
    if unknown:
        raise ValueError(f"gates names unknown layers {unknown}; the Linear layers are {names}")
    for name, where in gates.items():
        if where not in get_args(GatePlacement):
            raise ValueError(
                f"gates must be one of {', '.join(get_args(GatePlacement))}; got {where!r} for layer {name!r}"
            )
    return dict(gates)


def _per_layer(
    inclusion: Inclusion | Mapping[str, Inclusion], placement: Mapping[str, GatePlacement]
) -> dict[str, Inclusion]:
    if not isinstance(inclusion, Mapping):
        return dict.fromkeys(placement, inclusion)
    missing = sorted(set(placement) - set(inclusion))
    if missing:
        raise ValueError(f"inclusion gives no prior for the gated layers {missing}")
    return {name: inclusion[name] for name in placement}
