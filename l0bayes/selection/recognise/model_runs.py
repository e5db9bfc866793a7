r"""A Pyro model run at many points, to see which parts of it depend on which latents."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.infer.objectives.observed_shapes import check_observed_shapes
from l0bayes.infer.objectives.site_densities import masks_of
from l0bayes.sites import gate_record, inner_law, slab_links

__all__ = ["ModelRuns", "NotLinearError", "Run"]

_CLOSED, _RANDOM, _PRIOR, _FEW = 1, 3, 2, 2  # how many points of each kind


class NotLinearError(ValueError):
    """The model is not one that the engines of variable selection support; the message is the reason."""


@dataclass(frozen=True)
class Run:
    """One run of a model.

    Attributes:
        values: Value of every latent.
        nodes: Sample sites of the trace.
    """

    values: dict[str, Tensor]
    nodes: dict[str, Any]

    def law(self, site: str) -> Any:
        """The law of a site's entries, out of ``to_event`` and ``mask``.

        Args:
            site: Its name.
        """
        return inner_law(self.nodes[site]["fn"])

    def masks(self, site: str) -> list[tuple[Any, int]]:
        """Masks on a site, of handlers and of its law, each with the number of event dimensions after it.

        Args:
            site: Its name.
        """
        fn, mask = (self.nodes[site][key] for key in ("fn", "mask"))
        found = [] if mask is None else [(mask, len(fn.event_shape))]
        return [*found, *masks_of(fn)]


class ModelRuns:
    r"""A model at a base point, at points where one latent differs, and at points where all do.

    All points are draws from the prior, and so on the model's own scale. Gates are open at the base, all shut
    at one point, and a few are open at others, there with three times the slabs.

    Where the model lets it be done, data and latents are made float64 first, so that what is not linear
    shows above rounding errors. A model that cannot take them (or rounds somewhere inside) is run as it is.

    Args:
        model: The model.
        arguments: Its arguments.

    Attributes:
        gates: Names of the gate sites.
        slabs: Names of the slabs that have gates.
        others: Names of all other latents.
        base: The base point.
        single: For every latent, runs that differ from the base in it alone.
        joint: Runs that differ in all.

    Raises:
        NotLinearError: If there are no gated weights, or the sites change from run to run.
        ValueError: If an observed value does not have the shape of its law.
    """

    def __init__(self, model: Callable[..., Any], arguments: ModelArguments) -> None:
        self.model = model
        self.double = True
        self.arguments = ModelArguments(_as_double(arguments.args), _as_double(dict(arguments.kwargs)))
        if not self._stays_double():
            self.double, self.arguments = False, arguments
        nodes = self.trace({})
        check_observed_shapes(nodes)
        latent = [name for name, site in nodes.items() if not site["is_observed"]]
        self.gates = [name for name in latent if gate_record(nodes[name]) is not None]
        self.links = slab_links(nodes)
        self.slabs = [name for name in latent if name in self.links and self.links[name].gates]
        self.others = [name for name in latent if name not in (*self.gates, *self.slabs)]
        if not self.slabs:
            raise NotLinearError("the model has no gated weights, so that there is nothing to refine")
        self.base = Run({name: nodes[name]["value"] for name in latent}, nodes)
        self.base = self._drawn({name: torch.ones_like(self.base.values[name]) for name in self.gates})
        self.single = {
            name: [self.at(**{name: value}) for value in self._alternatives(name)] for name in latent
        }
        self.joint = [self._drawn(gates) for gates in self._gate_points()]
        self.joint += [self._large() for _ in range(_FEW)]

    def trace(self, values: dict[str, Tensor]) -> dict[str, Any]:
        """Sample sites of a run.

        Args:
            values: Values of latents; those that are not given are drawn.
        """
        with _Doubled() if self.double else nullcontext(), Given(values):
            trace: Any = prune_subsample_sites(self.arguments.call(poutine.trace(self.model).get_trace))
        return {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}

    def at(self, **changes: Tensor) -> Run:
        """The run at the base, with changes.

        Args:
            **changes: Values by name of the latent.
        """
        values = self.base.values | changes
        return self._run(values, self.trace(values))

    def opened(self, slab: str, values: dict[str, Tensor]) -> Tensor:
        """The product of a slab's gates, in its shape.

        Args:
            slab: Its name.
            values: Values of all gates.
        """
        product = torch.ones(())
        for link in self.links[slab].gates:
            product = product * link.spread(values[link.site])
        return product.expand(self.base.values[slab].shape)

    def named(self, sites: list[str]) -> str:
        """Latents in a message: what they are, and their names.

        Args:
            sites: Their names, at least one, of one kind.
        """
        kind = "gate" if sites[0] in self.gates else "slab" if sites[0] in self.slabs else "latent"
        return f"the {kind} {sites[0]!r}" if len(sites) == 1 else f"the {kind}s {sites}"

    # ---- points ----------------------------------------------------------------------------------

    def _run(self, values: dict[str, Tensor], nodes: dict[str, Any]) -> Run:
        if nodes.keys() != self.base.nodes.keys():
            changed = sorted(nodes.keys() ^ self.base.nodes.keys())
            raise NotLinearError(f"the model has the sites {changed} in some runs and not in others")
        run = Run(values, nodes)
        for name in nodes:
            kinds = [type(one.law(name)) for one in (self.base, run)]
            if kinds[0] is not kinds[1]:
                raise NotLinearError(
                    f"the law of site {name!r} is {kinds[0].__name__} in one run and {kinds[1].__name__} in "
                    "another"
                )
        return run

    def _drawn(self, values: dict[str, Tensor]) -> Run:
        """A draw from the prior given some values, extreme numbers moderated."""
        nodes = self.trace(values)
        drawn = self._run({}, nodes)
        found: dict[str, Any] = {name: values.get(name, nodes[name]["value"]) for name in self.base.values}
        tame = {
            name: value if name in values else _tamed(drawn.law(name), value) for name, value in found.items()
        }
        if all(torch.equal(tame[name], found[name]) for name in found):
            return self._run(found, nodes)
        return self._run(tame, self.trace(tame))

    def _gate_points(self) -> list[dict[str, Tensor]]:
        shut = {name: torch.zeros_like(self.base.values[name]) for name in self.gates}
        points = [shut] * _CLOSED
        points += [{name: _coins(like) for name, like in shut.items()} for _ in range(_RANDOM)]
        return [*points, *({} for _ in range(_PRIOR))]

    def _large(self) -> Run:
        """Few gates open and slabs of three times a draw from the prior: single weights that are large."""
        gates = {name: torch.zeros_like(self.base.values[name]) for name in self.gates}
        for value in gates.values():
            value.view(-1)[torch.randperm(value.numel())[:4]] = 1.0
        run = self._drawn(gates)
        values = run.values | {name: 3.0 * run.values[name] for name in self.slabs}
        return self._run(values, self.trace(values))

    def _alternatives(self, name: str) -> list[Tensor]:
        """Values of a latent that are not its base."""
        base, law = self.base.values[name], self.base.law(name)
        if name in self.gates:
            return [torch.zeros_like(base), _coins(base)]
        if isinstance(law, dist.Delta):
            return []
        if isinstance(law, dist.Beta):
            values = [torch.full_like(base, value) for value in (0.3, 0.8)]
        elif law.has_enumerate_support:
            support = law.enumerate_support(expand=False).flatten()[:8]
            values = [torch.full_like(base, float(value)) for value in support]
        else:
            values = [_tamed(law, self.base.nodes[name]["fn"].sample().to(base)) for _ in range(2)]
            values = [value if not torch.equal(value, base) else value + 1 for value in values]
        return [value for value in values if not torch.equal(value, base)]

    def _stays_double(self) -> bool:
        try:
            with _Downcasts() as seen:
                self.trace({})
        except Exception:  # whatever a model raises for data of another precision
            return False
        return not seen.any


class _Doubled(Messenger):
    """Latents as float64 numbers."""

    def _pyro_post_sample(self, msg: Any) -> None:
        if not msg["is_observed"]:
            msg["value"] = _as_double(msg["value"])


class _Downcasts(TorchDispatchMode):
    """Notes whether a float64 number was converted to a shorter one."""

    any = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and found.is_floating_point() and found.dtype != torch.float64:
            self.any |= any(isinstance(arg, Tensor) and arg.dtype == torch.float64 for arg in args)
        return found


def _as_double(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if type(value) in (tuple, list):
        return type(value)(_as_double(part) for part in value)
    if type(value) is dict:
        return {key: _as_double(part) for key, part in value.items()}
    return value


def _coins(like: Tensor) -> Tensor:
    return torch.randint(0, 2, like.shape, device=like.device).to(like)


def _tamed(law: Any, value: Tensor) -> Tensor:
    """A draw from a wide or improper prior, moved into the range of exact arithmetic."""
    if not value.is_floating_point():
        return value
    value = torch.where(torch.isfinite(value), value, torch.randn_like(value))
    if isinstance(law, dist.Beta):
        return value.clamp(0.01, 0.99)
    if isinstance(law, dist.InverseGamma | dist.Gamma):
        inverse = isinstance(law, dist.InverseGamma)
        middle = law.rate / (law.concentration + 1) if inverse else law.concentration / law.rate
        return torch.minimum(torch.maximum(value, 1e-3 * middle), 1e3 * middle)
    return value
