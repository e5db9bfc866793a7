r"""A sparse version of any network, as a Pyro model."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, get_args

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from l0bayes.distributions import DeploymentRule, Gate, L0Penalty, deployed_gates
from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.objectives.elbo import MeanFieldELBO
from l0bayes.models.network_likelihoods import Likelihood, Observation
from l0bayes.network import (
    Gates,
    NetworkCost,
    chosen_places,
    gated,
    link_parameters,
    live_layers,
    plan_gates,
    prepare,
    recalibrate_norms,
    shrink,
    trace_units,
)
from l0bayes.sites import Inclusion, SampledGate, gate, slab

if TYPE_CHECKING:
    import pandas as pd

    from l0bayes.network import GatePlan, GateSpec, LiveLayer

__all__ = ["SparseNetwork"]

PenaltyUnit = Literal["gate", "parameter"]
PerModule = Mapping[str, Any]


class SparseNetwork(nn.Module):
    r"""Spike-and-slab weights in any ``nn.Module``.

    .. math:: y \sim \text{likelihood}\bigl(f(x;\, z \odot \theta)\bigr)

    Gates are placed by globs over module names:

    ============  =====================================================================================
    ``"input"``   one gate an input feature of a Linear layer or convolution
    ``"output"``  one gate an output unit or map, also of a LayerNorm or Embedding
    ``"weight"``  one gate a weight
    ``"heads"``   one gate a head of an ``nn.MultiheadAttention`` (also inside
                  ``nn.TransformerEncoderLayer``)
    ``"block"``   one gate for a residual branch, or for a block with its residual connection inside
    a group       :class:`~l0bayes.network.GateGroup`: slices of parameters that share a gate
    ============  =====================================================================================

    A gate on a unit multiplies it *where it is read*, after normalisation and nonlinearity, so that its
    bias dies with it, and every weight into and out of the unit is tied to it. Units that a residual
    connection adds are one unit with one gate. How units hang together is found by running the network
    once on an example; see :func:`~l0bayes.network.trace_units`.

    The given network is copied and left untouched; its weights are the guide's starting point. Weights
    and biases of Linear layers, convolutions, embeddings and attention are slabs. All other parameters
    (normalisation, positions, classes) are points, trained along; running statistics follow the gated
    activations in training mode.

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
        num_data: Size of the data set that minibatches come from; scales their log likelihood.
        noise_scale: Standard deviation of the Gaussian likelihood, or ``"learned"``.
        expected_active: Prior by the expected number of open gates a site; a number or a mapping.
        penalty: Prior by a penalty in nats (:class:`~l0bayes.L0Penalty`); a number or a mapping.
        penalty_per: Whether ``penalty`` is for a ``"gate"`` or, as the paper writes it, for each
            ``"parameter"`` of its module that the gate multiplies.
        example: Inputs of one or two examples, to run the network on. Not needed where a vector of
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
        likelihood: Likelihood = "categorical",
        num_data: int | None = None,
        noise_scale: float | Literal["learned"] = 1.0,
        *,
        expected_active: float | PerModule | None = None,
        penalty: float | PerModule | None = None,
        penalty_per: PenaltyUnit = "gate",
        example: Tensor | tuple[Any, ...] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(net, nn.Module):
            raise TypeError(f"net must be an nn.Module, got {type(net).__name__}")
        if not list(net.children()) or isinstance(net, nn.MultiheadAttention):
            raise TypeError(
                f"net is a single {type(net).__name__}, whose parts have no names; give nn.Sequential(net)"
            )
        if num_data is not None and num_data < 1:
            raise ValueError(f"num_data must be at least 1, got {num_data!r}")
        self.observation = Observation(likelihood, noise_scale)
        if gates is None:
            gates = getattr(net, "default_gates", "input")
        self.net = prepare(net)
        assert gates is not None
        places, groups = chosen_places(self.net, gates)
        self.example = _example(self.net, example)
        blocks = tuple(place.name for place in places if place.placement == "block")
        self.plan: GatePlan = plan_gates(
            self.net, trace_units(self.net, self.example, blocks), places, groups
        )
        self.cost = NetworkCost(self.net, self.plan)
        self.links = link_parameters(self.net, self.plan)
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(name not in self.links)
        self.priors = _gate_priors(self.plan.specs, inclusion, expected_active, penalty, penalty_per)
        self.learned_scales = nn.ParameterDict()
        self.slab_priors = self._slab_priors(slab)
        self.likelihood = likelihood
        self.num_data = num_data
        self.awake = nn.Module()
        for name, spec in self.plan.specs.items():
            self.awake.register_buffer(_key(name), torch.ones(spec.shape, dtype=torch.bool))
        self._live: dict[str, LiveLayer] = {}

    def _slab_priors(self, given: Any) -> dict[str, TorchDistributionMixin | None]:
        """Prior by parameter name; ``None`` for a Normal whose scale is learned."""
        if given is None:
            given = dist.Normal(0.0, 1.0)
        if isinstance(given, str):
            if given != "learned":
                raise ValueError(f"slab must be a distribution, a mapping or 'learned'; got {given!r}")
            for name, parameter in self.net.named_parameters():
                if name in self.links:
                    start = parameter.detach().square().mean().sqrt().clamp(min=1e-3).log()
                    self.learned_scales[_key(name)] = nn.Parameter(start)
            return dict.fromkeys(self.links)
        if isinstance(given, Mapping):
            return {name: _match(given, name, "slab") for name in self.links}
        if not isinstance(given, TorchDistributionMixin):
            raise TypeError(
                f"slab must be a Pyro distribution, a mapping or 'learned'; got {type(given).__name__}"
            )
        return dict.fromkeys(self.links, given)

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Names of the gates' dimensions in ArviZ data."""
        return {
            name: tuple(f"{name}_dim_{axis}" for axis in range(len(spec.shape)))
            for name, spec in self.plan.specs.items()
        }

    # ---- the model -------------------------------------------------------------------------------

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The Pyro model: sample weights, predict, observe.

        Args:
            x: Inputs of shape ``(batch, ...)``.
            y: Targets: of shape ``(batch,)`` for the categorical likelihood, ``(batch, outputs)`` for the
                other named ones; ``None`` to draw them.

        Returns:
            The network's output (logits, means, log rates), of shape ``(batch, outputs)``.

        Raises:
            ValueError: If the targets' shape does not match.
        """
        output = self._predict(x)
        if y is not None:
            self.observation.check_shape(y, output.shape, len(x))
        with pyro.plate("data", self.num_data or len(x), subsample=torch.arange(len(x), device=x.device)):
            pyro.sample("y", self.observation(output), obs=y)
        return output

    def check_data(self, x: Tensor, y: Tensor | None = None) -> None:
        """Refuse targets that the likelihood does not admit, before any work.

        Args:
            x: Inputs.
            y: Targets.

        Raises:
            ValueError: If their shape does not match the network's output, or values are out of range.
            TypeError: If targets are no tensor.
        """
        if y is None:
            return
        if len(y) != len(x):
            raise ValueError(f"x and y must have as many rows; got {len(x)} and {len(y)}")
        with torch.no_grad(), evaluating(self.net):
            shape = self.net(*self._example_here()).shape
        self.observation.check(y, shape, len(y))

    def _predict(self, x: Tensor) -> Tensor:
        sampled = {name: gate(name, self.priors[name], spec.shape) for name, spec in self.plan.specs.items()}
        parameters = {name: self._slab(name, sampled) for name in self.links}
        values = {name: one.value for name, one in sampled.items()}
        output: Tensor = gated(self.net, self.plan, parameters, values, (x,), self._live)
        return output

    @torch.no_grad()
    def sleep(self, active: Mapping[str, Tensor], threshold: float = 1e-3, gain: float = 0.1) -> bool:
        r"""Leave out of every following run what gates that are all but shut would multiply by 0.

        A gate with :math:`P(z \ne 0)` below the threshold is taken to be shut, and units that hang on it
        are not computed: the same draws but for one in ``1 / threshold``, for a fraction of the work. Its
        parameters stay where they are, and it wakes when its probability has risen again.

        Args:
            active: P(z != 0) by gate site.
            threshold: Probability below which a gate sleeps.
            gain: Least change of the work, as a share of it, for which anything is changed.

        Returns:
            Whether anything changed, so that graphs captured of this model are out of date.
        """
        awake = {site: value >= threshold for site, value in active.items()}
        before, after = (
            float(self.cost.share("macs", {site: value.double() for site, value in gates.items()}))
            for gates in (self._awake(), awake)
        )
        if (1.0 - gain) * before < after <= before:
            return False
        for site, value in self._awake().items():
            value.copy_(awake[site])
        self.settle()
        return True

    def settle(self) -> bool:
        """Compute what the ``awake`` buffers say, after they were loaded or changed.

        Returns:
            Whether anything sleeps.
        """
        self._live = live_layers(self.plan, self._awake())
        return bool(self._live)

    @torch.no_grad()
    def wake(self) -> None:
        """Compute everything again."""
        for value in self._awake().values():
            value.fill_(True)
        self._live = {}

    def _awake(self) -> dict[str, Tensor]:
        buffers = dict(self.awake.named_buffers())
        return {name: buffers[_key(name)] for name in self.plan.specs}

    def _slab(self, name: str, sampled: Mapping[str, SampledGate]) -> Tensor:
        parameter: Tensor = attrgetter(name)(self.net)  # no nn.Parameter while a graph is captured
        prior: Any = self.slab_priors[name]
        if prior is None:
            prior = dist.Normal(0.0, self.learned_scales[_key(name)].exp())
        links = [link.of(sampled) for link in self.links[name]]
        return slab(name, prior.expand(parameter.shape).to_event(parameter.dim()), links, init=parameter)

    # ---- cost ------------------------------------------------------------------------------------

    @property
    def cost_kinds(self) -> tuple[str, ...]:
        """What cost can be counted in."""
        return self.cost.kinds

    def cost_share(self, kind: str, active: Mapping[str, Tensor]) -> Tensor:
        """Expected cost over that of the dense network; see :class:`~l0bayes.network.NetworkCost`.

        Args:
            kind: ``"params"``, ``"macs"`` or ``"units"`` (gates).
            active: P(z != 0) by gate site; or zeros and ones, for a decided network.
        """
        return self.cost.share(kind, active)

    def smallest_share(self, kind: str) -> float:
        """The least share of the dense cost that leaves one gate open in every site.

        Args:
            kind: As for :meth:`cost_share`.
        """
        return self.cost.smallest(kind)

    @torch.no_grad()
    def cost_table(self, guide: Any) -> pd.DataFrame:
        """Cost of the dense, the expected and the deployed network under each deployment rule.

        Args:
            guide: The guide.

        Returns:
            A DataFrame with a row for ``dense``, ``expected``, ``sd`` (of the cost when gates are drawn)
            and each deployment rule, and columns ``params``, ``macs`` and ``units``.
        """
        import pandas as pd

        laws = guide.gates()
        active = {name: law.prob_active.double() for name, law in laws.items()}
        rows: dict[str, Any] = {"dense": self.cost.dense, "expected": _numbers(self.cost.totals(active))}
        rows["sd"] = {kind: self.cost.variance(kind, active) ** 0.5 for kind in self.cost.kinds}
        for rule in get_args(DeploymentRule):
            opened = {name: (deployed_gates(law, rule) != 0).double() for name, law in laws.items()}
            rows[rule] = _numbers(self.cost.totals(opened))
        return pd.DataFrame(rows).T.rename_axis("network")

    def cost_summary(self, guide: Any) -> dict[str, float]:
        """Dense, expected (with standard deviation) and deployed (median gates) cost as flat numbers.

        Args:
            guide: The guide.
        """
        table = self.cost_table(guide)
        names = {"dense": "dense", "expected": "expected", "sd": "sd", "median": "deployed"}
        return {
            f"{new}_{kind}": float(table[kind][row]) for row, new in names.items() for kind in self.cost.kinds
        }

    # ---- after training --------------------------------------------------------------------------

    @torch.no_grad()
    def deploy(
        self, guide: Any, rule: DeploymentRule = "median", *, recalibrate: Tensor | None = None
    ) -> nn.Module:
        """A plain network with shut units removed and everything else folded in.

        Args:
            guide: The trained guide.
            rule: How a gate's law becomes a value; see
                :func:`~l0bayes.distributions.deployed_gates`. Slabs take their posterior median.
            recalibrate: Inputs to compute the running statistics of batch normalisation on anew: those
                of training are averages over drawn gates.

        Returns:
            A network of the class of the given one, with smaller layers; where a layer reads part of
            what comes, one that selects it.

        Raises:
            ValueError: If the rule is unknown.
        """
        laws = guide.gates()
        gates = {name: deployed_gates(laws[name], rule) for name in self.plan.specs}
        return self._shrink(guide, gates, recalibrate)

    def _shrink(
        self, guide: Any, gates: Mapping[str, Tensor], recalibrate: Tensor | None = None
    ) -> nn.Module:
        slabs = guide.median()
        parameters = {name: slabs[f"{name}.slab"] * self._own_gates(name, gates) for name in self.links}
        for name in self.plan.groups.keys() - parameters.keys():  # points, such as those of normalisation
            parameters[name] = attrgetter(name)(self.net) * self._own_gates(name, gates)
        with evaluating(self.net):
            small = shrink(self.net, self.plan, parameters, gates)
            whole = shrink(self.net, self.plan, parameters, gates, remove=False)
        misfit = _misfit(small, whole, self._example_here())
        if misfit:  # forward() holds sizes of its own
            warnings.warn(
                "the deployed network keeps its full size, with zeros in place of what is shut: smaller "
                f"layers do not fit the network's forward ({misfit})",
                stacklevel=3,
            )
            small = whole
        if recalibrate is not None:
            recalibrate_norms(small, recalibrate)
        return small.eval()

    def _example_here(self) -> tuple[Any, ...]:
        """The example, of the network's type and on its device."""
        like = next(self.net.parameters())
        return tuple(
            x.to(like if x.is_floating_point() else like.device) if isinstance(x, Tensor) else x
            for x in self.example
        )

    def _own_gates(self, name: str, gates: Mapping[str, Tensor]) -> Tensor | float:
        """Gates on single weights of a parameter, and on slices of it."""
        total: Tensor | float = 1.0
        owner, _, key = name.rpartition(".")
        if key == "weight" and owner in self.plan.weight:
            total = gates[self.plan.weight[owner]]
        for factor in self.plan.groups.get(name, ()):
            total = factor.of(gates) * total
        return total

    @torch.no_grad()
    def layer_table(self, guide: Any, data: tuple[Any, ...], rule: DeploymentRule = "median") -> pd.DataFrame:
        """What each layer keeps and costs.

        Args:
            guide: The trained guide.
            data: Model arguments to evaluate the KL with; a small batch will do.
            rule: Deployment rule.

        Returns:
            A DataFrame with one row a layer or gated block: where its gates are, how many, how many are
            expected and deployed open, its size dense and deployed, parameters (dense, those whose gates
            are open, and those of the deployed layer that are not 0), multiply-accumulates an example
            (dense, expected under the gates' laws, deployed), and the KL of its gates and its slabs in nats.
        """
        from l0bayes.models.layer_table import layer_table

        laws = guide.gates()
        gates = {name: deployed_gates(laws[name], rule) for name in self.plan.specs}
        kl = MeanFieldELBO()(self, guide).kl_by_site(*data)
        return layer_table(self, laws, gates, self._shrink(guide, gates), kl)


def _numbers(totals: Mapping[Any, Tensor]) -> dict[str, float]:
    return {kind: float(value) for kind, value in totals.items()}


def _key(name: str) -> str:
    return name.replace(".", "/")


def _example(net: nn.Module, given: Tensor | tuple[Any, ...] | None) -> tuple[Any, ...]:
    if given is not None:
        example = given if isinstance(given, tuple) else (given,)
        return tuple(x[:2].detach().clone() if isinstance(x, Tensor) else x for x in example)
    first = next((m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)), None)
    if first is None:
        raise ValueError("net holds no Linear or convolution to gate")
    if not isinstance(first, nn.Linear):
        raise ValueError(
            "example is needed, one or two rows of your data, to find how the units of this network hang "
            f"together: its first layer is a {type(first).__name__}, whose input size is not known"
        )
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(2, first.in_features, generator=generator).to(first.weight),)


def _misfit(small: nn.Module, whole: nn.Module, example: tuple[Any, ...]) -> str:
    """Why a network with units taken out is not the same function; empty where it is."""
    wanted = whole(*example)
    try:
        found = small(*example)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if not (isinstance(wanted, Tensor) and isinstance(found, Tensor)):
        return ""
    if found.shape != wanted.shape:
        return f"it returns {tuple(found.shape)} in place of {tuple(wanted.shape)}"
    scale = float(wanted.abs().max()) if wanted.numel() else 0.0
    if not torch.allclose(found, wanted, rtol=0.0, atol=1e-3 * scale + 1e-6, equal_nan=True):
        return "it returns other values"
    return ""


def _match(given: Mapping[str, Any], name: str, what: str) -> Any:
    if name in given:
        return given[name]
    for pattern, value in given.items():
        if fnmatch.fnmatchcase(name, pattern):
            return value
    raise ValueError(f"{what} gives no prior for {name!r}; its keys are {sorted(given)}")


def _gate_priors(
    specs: Mapping[str, GateSpec], inclusion: Any, expected_active: Any, penalty: Any, penalty_per: str
) -> dict[str, Inclusion]:
    given = {"inclusion": inclusion, "expected_active": expected_active, "penalty": penalty}
    chosen = {name: value for name, value in given.items() if value is not None} or {"inclusion": 0.5}
    if len(chosen) > 1:
        raise ValueError(f"give one of {', '.join(given)}; got {' and '.join(chosen)}")
    if penalty_per not in get_args(PenaltyUnit):
        raise ValueError(
            f"penalty_per must be one of {', '.join(get_args(PenaltyUnit))}; got {penalty_per!r}"
        )
    ((what, value),) = chosen.items()
    if isinstance(value, Mapping):
        missing = [s.owner for s in specs.values() if not any(fnmatch.fnmatchcase(s.owner, p) for p in value)]
        if missing:
            raise ValueError(f"{what} gives no prior for the gated modules {missing}")
    priors: dict[str, Inclusion] = {}
    for name, spec in specs.items():
        one = _match(value, spec.owner, what) if isinstance(value, Mapping) else value
        if what == "penalty":
            if not one >= 0:
                raise ValueError(f"penalty must not be negative, got {one!r}")
            priors[name] = L0Penalty(float(one) * (spec.weights if penalty_per == "parameter" else 1.0))
        elif what == "expected_active":
            count = torch.Size(spec.shape).numel()
            if not 0 < one < count:
                raise ValueError(
                    f"expected_active must lie strictly between 0 and the {count} gates of {name!r}; "
                    f"got {one!r}"
                )
            priors[name] = Gate(one / count)
        else:
            priors[name] = one
    return priors
