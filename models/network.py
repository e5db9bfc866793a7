r"""A sparse version of any network, as a Pyro model."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import pyro
import torch
from pyro import poutine
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from l0bayes import validate
from l0bayes.distributions import DeploymentRule, deployed_gates
from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.model_arguments import as_arguments
from l0bayes.infer.objectives.elbo import MeanFieldELBO
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.targets.target import Target
from l0bayes.models.deployment_memory import remember_deployment, running_statistics
from l0bayes.models.network_deployment import both_sizes, deployed_network, example_like
from l0bayes.models.network_likelihoods import NetworkLikelihood, Observation
from l0bayes.models.network_precision import full_precision
from l0bayes.models.network_priors import PenaltyUnit, PerModule, gate_priors, learned_scales, slab_priors
from l0bayes.models.rounded_deployment import rounded_gates
from l0bayes.models.shrinking_network import ShrinkingNetwork, scale_key
from l0bayes.models.training_run_check import run_once
from l0bayes.network import (
    Gates,
    arguments_of,
    gated,
    map_tensors,
    names_of,
    names_of_parameters,
    recalibrate_norms,
    rows_of,
    tensors_in,
)
from l0bayes.sites import Inclusion, SampledGate, gate, slab

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SparseNetwork"]


class SparseNetwork(ShrinkingNetwork):
    r"""Spike-and-slab weights in any ``nn.Module``.

    .. math:: y \sim \text{likelihood}\bigl(f(x;\, z \odot \theta)\bigr)

    Gates are placed by globs over module names:

    ============  =====================================================================================
    ``"input"``   one gate an input feature of a Linear layer or convolution
    ``"output"``  one gate an output unit or map, also of a LayerNorm or Embedding
    ``"weight"``  one gate a weight
    ``"heads"``   one gate a head of an ``nn.MultiheadAttention`` (also inside
                  ``nn.TransformerEncoderLayer``), or of a module whose queries, keys and values are
                  made by layers of its own; heads that share keys and values have one together
    ``"block"``   one gate for a residual branch, or for a block with its residual connection inside
    a group       :class:`~l0bayes.network.GateGroup`: slices of parameters that share a gate
    ============  =====================================================================================

    A gate on a unit multiplies it *where it is read*, after normalisation and nonlinearity, so that its
    bias dies with it, and every weight into and out of the unit is tied to it. Units that a residual
    connection adds are one unit with one gate. How units hang together is found by running the network
    once on an example; see :func:`~l0bayes.network.trace_units`.

    The given network is copied and left untouched; its weights are the guide's starting point. Weights
    and biases of Linear layers, convolutions, embeddings and attention are slabs. All other parameters
    (normalisation, positions, classes, layers that share a weight) are points, trained along; running
    statistics follow the gated activations in training mode. A parameter that is frozen
    (``requires_grad=False``) is neither: it stays as it is. Slabs of a network in 16 bits are kept in 32.

    Sites are ``"{module}.gate"`` (``"{module}.{placement}.gate"`` where a module has several) and
    ``"{parameter}.slab"``.

    Args:
        net: The dense network.
        gates: A placement for all layers, or a mapping from globs to placements (several as a list);
            layers without a match are not gated. ``"output"`` for all means all hidden units. By default
            the network's own ``default_gates`` where it has them, else ``"input"``.
        inclusion: Prior of the gates: a probability, or a gate prior such as ``L0Penalty``, the same
            for all or a mapping from globs over the modules that are gated. By default 0.5, unless one of
            the next two is given.
        slab: Prior of a weight or bias, a scalar distribution such as ``Normal(0, 1)`` or
            ``L2Penalty(0)``, a mapping from globs over parameter names, or ``"learned"``: a Normal for each
            parameter tensor whose scale is trained along (empirical Bayes). Default ``Normal(0, 1)``.
        likelihood: ``"categorical"`` (labels as integers), ``"bernoulli"`` (one logit an output),
            ``"gaussian"`` with noise scale ``noise_scale``, ``"poisson"`` (log rates), or a function from
            the output to a Pyro distribution.
        num_data: Size of the data set that minibatches come from; scales their log likelihood. By default
            that of the loader that ``fit`` is given, or else the batch is all there is.
        noise_scale: Standard deviation of the Gaussian likelihood, or ``"learned"``.
        expected_active: Prior by the expected number of open gates a site; a number or a mapping.
        penalty: Prior by a penalty in nats (:class:`~l0bayes.L0Penalty`); a number or a mapping.
        penalty_per: Whether ``penalty`` is for a ``"gate"`` or, as the paper writes it, for each
            ``"parameter"`` of its module that the gate multiplies.
        example: Inputs of one or two examples, to run the network on: a tensor, a tuple of several inputs, or
            a dictionary of inputs by name. Not needed where a vector of
            the first Linear layer's size will do.

    Raises:
        TypeError: If an argument is of a type that is not accepted, or a module cannot have such gates.
        ValueError: If an argument is not one of the accepted values, a glob matches nothing, units are
            gated twice, or operations such as a softmax mix gated units.

    Example::

        net = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 10))
        model = SparseNetwork(net, gates="input", inclusion=0.5, num_data=len(x))
        guide = AutoHardConcrete(model, (x[:2], y[:2]), init_active=0.9)
    """

    supports_per_example_gates = True

    def __init__(
        self,
        net: nn.Module,
        gates: Gates | None = None,
        inclusion: Inclusion | PerModule | None = None,
        slab: TorchDistributionMixin | PerModule | Literal["learned"] | None = None,
        likelihood: NetworkLikelihood = "categorical",
        num_data: int | None = None,
        noise_scale: float | Literal["learned"] = 1.0,
        *,
        expected_active: float | PerModule | None = None,
        penalty: float | PerModule | None = None,
        penalty_per: PenaltyUnit = "gate",
        example: Any = None,
    ) -> None:
        validate.at_least(1, **validate.given(num_data=num_data))
        observation = Observation(likelihood, noise_scale)
        super().__init__(net, gates, example)
        self.observation = observation
        self.priors = gate_priors(
            self.plan.specs, inclusion, expected_active, penalty, penalty_per, names_of(self.net)
        )
        self.slab_priors = slab_priors(slab, self.links, names_of_parameters(self.net))
        learned = learned_scales(self.net, [name for name in self.links if self.slab_priors[name] is None])
        self.learned_scales = nn.ParameterDict()
        for name, scale in learned.items():  # one by one: a dictionary would be sorted
            self.learned_scales[scale_key(name)] = scale
        self.likelihood = observation.likelihood or likelihood
        self.num_data = num_data

    # ---- the model -------------------------------------------------------------------------------

    def forward(self, x: Any, y: Any = None, *more: Any) -> Any:
        """The Pyro model: sample weights, predict, observe.

        Args:
            x: Inputs of shape ``(batch, ...)``; several as a tuple, by name as a dictionary, or one argument
                each, with the targets behind them. A dictionary without a second argument may hold the
                targets too, as ``"y"``, ``"target"``, ``"targets"``, ``"label"`` or ``"labels"``.
            y: Targets: of shape ``(batch,)`` for the categorical likelihood, ``(batch, outputs)`` for the
                other named ones; ``None`` to draw them.
            *more: Further arguments, where the network takes several.

        Returns:
            The network's output (logits, means, log rates), of shape ``(batch, outputs)``; whatever it
            returns where the likelihood is a function of that.

        Raises:
            ValueError: If the targets' shape does not match.
            TypeError: If the network returns no tensor that the likelihood could take for its predictor.
        """
        inputs, y = self.split((x, y, *more))
        output = self.observation.predictor(self._predict(inputs))
        rows = rows_of(inputs)
        if y is not None:
            self.observation.check_shape(y, getattr(output, "shape", ()), rows)
        device = tensors_in(inputs)[0].device
        with pyro.plate("data", self.num_data or rows, subsample=torch.arange(rows, device=device)):
            pyro.sample("y", self.observation(output, y), obs=y)
        return output

    def check_data(self, x: Any, y: Any = None, *more: Any) -> None:
        """Refuse what cannot be trained, and targets that the likelihood does not admit, before any work.

        Args:
            x: Inputs, as for :meth:`forward`.
            y: Targets.
            *more: Further arguments.

        Raises:
            ValueError: If their shape does not match the network's output, values are out of range, or layers
                run under activation checkpointing.
            TypeError: If targets are no tensor, or the network returns none.
        """
        self.warn_held()
        inputs, y = self.split((x, y, *more))
        first = map_tensors(inputs, lambda one: one[:2] if one.dim() else one)
        self.observation.predictor(run_once(self.net, self.plan, first))
        if y is None:
            return
        rows = rows_of(inputs)
        if isinstance(y, Tensor) and len(y) != rows:
            raise ValueError(f"x and y must have as many rows; got {rows} and {len(y)}")
        args, named = arguments_of(example_like(self.example, self.net))
        with torch.no_grad(), evaluating(self.net):
            output = self.observation.predictor(self.net(*args, **named))
        self.observation.check(y, getattr(output, "shape", ()), rows)

    def _predict(self, inputs: tuple[Any, ...]) -> Any:
        sampled = {name: gate(name, self.priors[name], spec.shape) for name, spec in self.plan.specs.items()}
        parameters = {name: self._slab(name, sampled) for name in self.links}
        values = {name: one.value for name, one in sampled.items()}
        return gated(self.net, self.plan, parameters, values, inputs, self.awake.live)

    def _slab(self, name: str, sampled: Mapping[str, SampledGate]) -> Tensor:
        parameter: Tensor = attrgetter(name)(self.net)  # no nn.Parameter while a graph is captured
        links = [link.of(sampled) for link in self.links[name]]
        if name in self.held:  # a gate that is known, and nothing to be learned from
            with poutine.mask(mask=False), poutine.condition(data={f"{name}.held": self.is_there(name)}):
                links.append(gate(f"{name}.held", 0.5, parameter.shape))
        law = self.slab_prior(name).to_event(parameter.dim())
        return self.where_there(name, slab(name, law, links, init=full_precision(parameter)))

    # ---- after training --------------------------------------------------------------------------

    @torch.no_grad()
    def deploy(
        self,
        guide: Any,
        rule: DeploymentRule = "median",
        *,
        recalibrate: Any = None,
        round_to: int | None = None,
        target: str | Target | None = None,
    ) -> nn.Module:
        """A plain network with shut units removed and everything else folded in.

        Args:
            guide: The trained guide.
            rule: How a gate's law becomes a value; see
                :func:`~l0bayes.distributions.deployed_gates`. Slabs take their posterior median.
            recalibrate: Inputs to compute the running statistics of batch normalisation on anew, as
                :meth:`forward` takes them. ``fit`` leaves those of the rule ``"median"``.
            round_to: What numbers of units are to be multiples of, such as 8, never 0: rounded up where
                ``target`` allows it, else down. Gates opened for it take their law's mean given open.
            target: A size or time to keep to then, as :func:`l0bayes.fit` takes it.

        Returns:
            A network of the class of the given one, with smaller layers; where a layer reads part of
            what comes, one that selects it.

        Raises:
            ValueError: If the rule is unknown, or ``target`` cannot be reached.
        """
        laws = guide.gates()
        gates = {name: deployed_gates(laws[name], rule) for name in self.plan.specs}
        if round_to is not None or target is not None:
            gates = rounded_gates(self, guide, gates, round_to, target)
        slabs = self._slabs(guide)
        small = deployed_network(self.net, self.plan, slabs, gates, self.example)
        before = {} if recalibrate is None else running_statistics(small)
        if recalibrate is not None:
            recalibrate_norms(small, self.split(recalibrate)[0])
        remember_deployment(small, self.net, self.plan, slabs, gates, laws, self.example, before)
        return small

    @torch.no_grad()
    def misfit(self, guide: Any, gates: Mapping[str, Tensor] | None = None) -> str:
        if gates is None:
            gates = {name: deployed_gates(law, "median") for name, law in guide.gates().items()}
        return both_sizes(self.net, self.plan, self._slabs(guide), gates, self.example)[2]

    def _slabs(self, guide: Any) -> dict[str, Tensor]:
        middle = guide.median()
        return {name: middle[f"{name}.slab"] for name in self.links}

    @torch.no_grad()
    def layer_table(self, guide: Any, data: Any, rule: DeploymentRule = "median") -> pd.DataFrame:
        """What each layer keeps and costs.

        Args:
            guide: The trained guide.
            data: Model arguments to evaluate the KL with; a small batch will do.
            rule: Deployment rule.

        Returns:
            A DataFrame with one row a layer or gated block: where its gates are, how many, how many are
            expected and deployed open, its size dense and deployed, parameters (dense, those whose gates
            are open, and those of the deployed layer that are not 0), multiply-accumulates of
            one example (dense, expected under the gates' laws, deployed; NaN for a module that runs what
            nobody can count, which sums leave out), and the KL of its gates and its slabs in nats.
        """
        from l0bayes.models.layer_table import layer_table

        laws = guide.gates()
        gates = {name: deployed_gates(laws[name], rule) for name in self.plan.specs}
        with evaluating(self), private_randomness():
            kl = MeanFieldELBO()(self, guide).kl_by_site(*as_arguments(data))
        whole = bool(self.misfit(guide, gates))
        small = deployed_network(self.net, self.plan, self._slabs(guide), gates, self.example)
        return layer_table(self, laws, gates, small, kl, whole)
