r"""The likelihood and the KL as functions of the gates alone, everything else held."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.util import prune_subsample_sites, site_is_subsample
from torch import Tensor

from l0bayes.distributions import BernoulliGate, GatedSlab
from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.objectives.latent_draws import Given, map_draws
from l0bayes.infer.objectives.reading_mode import reading_mode
from l0bayes.infer.objectives.site_densities import log_density, masked, pair_kl
from l0bayes.infer.randomness import private_randomness
from l0bayes.sites import gate_record, slab_links

__all__ = ["GateProblem"]


@dataclass(frozen=True, eq=False)
class GateProblem:
    r"""The function of the gates that is differentiated, with all G gates of a guide in one row.

    With activity logits :math:`\ell`, and with slabs and all other latents :math:`\theta` at the guide's
    medians,

    .. math::
        F(\ell) = E_{z \sim \mathrm{Bern}(\sigma(\ell))}[f(z)] - K(\ell), \qquad
        f(z) = \log p(D \mid z, \theta),

    where K is every KL of the ELBO in which gates appear: that of the gates themselves,
    :math:`\mathrm{KL}(\mathrm{Bern}(\sigma(\ell))\,\|\,\text{prior})`, and
    :math:`P(\text{open})\,\mathrm{KL}(q(\theta)\,\|\,p(\theta))` of the slabs they gate. It is known in
    closed form, so that only f has to be estimated.

    A model that subsamples the data is held at one subsample. Modules are in evaluation mode.

    Args:
        model: The model.
        data: Its arguments.
        fixed: Values of everything but the gates: slabs, other latents, indices of subsamples.
        shapes: Shape of the gates of every site.
        logits: :math:`\ell`, shape (G,).
        kl_gradient: :math:`\partial K / \partial \ell`, shape (G,).
    """

    model: Any
    data: tuple[Any, ...]
    fixed: dict[str, Tensor]
    shapes: dict[str, torch.Size]
    logits: Tensor
    kl_gradient: Tensor

    @classmethod
    def of(cls, model: Any, guide: Any, data: tuple[Any, ...]) -> GateProblem:
        """The problem at a guide's parameters.

        Args:
            model: A Pyro model.
            guide: A gate guide for it.
            data: The model's arguments.

        Raises:
            ValueError: If the guide has no gates, gates stand in a subsampled plate, or a
                latent site has no guide.
        """
        with torch.no_grad():
            laws = guide.gates()
            if not laws:
                raise ValueError("guide must have gates; got one whose model has no gate site")
            by_site = {name: law.activity_logits.detach() for name, law in laws.items()}
            medians = {name: value.detach() for name, value in guide.median().items()}
            trace = _trace(model, data, _Held(medians))
        fixed = {name: value for name, value in Given.sampled_in(trace).values.items() if name not in laws}
        pruned = prune_subsample_sites(trace)
        if missing := sorted(set(laws) - set(pruned.nodes)):
            raise ValueError(f"guide must be of this model; its gate sites {missing} are not in the model")
        bases = {name: law.base for name, law in guide.laws().items() if isinstance(law, GatedSlab)}
        shapes = {name: logits.shape for name, logits in by_site.items()}
        flat = torch.cat([logits.reshape(-1) for logits in by_site.values()])
        return cls(model, data, fixed, shapes, flat, _kl_gradient(pruned, by_site, bases))

    @property
    def num_gates(self) -> int:
        """G."""
        return len(self.logits)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """``site[index]`` of every gate."""
        return tuple(
            f"{name}[{', '.join(map(str, index))}]" if shape else name
            for name, shape in self.shapes.items()
            for index in itertools.product(*map(range, shape))
        )

    def split(self, row: Tensor) -> dict[str, Tensor]:
        """Gates by site.

        Args:
            row: Shape (..., G).
        """
        parts = row.split([shape.numel() for shape in self.shapes.values()], -1)
        leading = row.shape[:-1]
        return {
            name: part.reshape(leading + shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def log_likelihood(self, gates: Tensor) -> Tensor:
        """F of one row of gates, a scalar.

        Args:
            gates: Values in [0, 1], shape (G,).
        """
        with Given(self.fixed | self.split(gates)):
            trace: Any = prune_subsample_sites(poutine.trace(self.model).get_trace(*self.data))
        total = gates.new_zeros(())
        for site in trace.nodes.values():
            if site["type"] != "sample" or not site["is_observed"] or site["infer"].get("_deterministic"):
                continue
            total = total + log_density(site).sum()
        return total

    def values(self, gates: Tensor) -> Tensor:
        """F of many rows, shape (n,), without gradient.

        Args:
            gates: Shape (n, G).
        """
        return self._map(self.log_likelihood, gates)

    def slopes(self, gates: Tensor) -> Tensor:
        r""":math:`\partial f / \partial z` at many rows, shape (n, G).

        Args:
            gates: Shape (n, G).
        """
        return self._map(torch.func.grad(self.log_likelihood), gates)

    def _map(self, function: Callable[[Tensor], Tensor], gates: Tensor) -> Tensor:
        with evaluating(self.model), reading_mode(self.model, whole=False):
            return map_draws(lambda draw: {"": function(draw["gates"])}, {"gates": gates}, seed=0)[""]


def _trace(model: Any, data: tuple[Any, ...], held: Given) -> Any:
    with (
        pyro.validation_enabled(False),
        private_randomness(0),
        reading_mode(model, whole=False),
        evaluating(model),
        held,
    ):
        return poutine.trace(model).get_trace(*data)


class _Held(Given):
    """Fixed values for the latents; each latent must have one, for all rows of its plates."""

    def _pyro_sample(self, msg: Any) -> None:
        if not msg["is_observed"] and not site_is_subsample(msg):
            if msg["name"] not in self.values:
                kind = "latent site" if gate_record(msg) is None else "gate site"
                raise ValueError(
                    f"guide must cover every site of the model; got none for {kind} {msg['name']!r}"
                )
            for frame in msg["cond_indep_stack"]:
                if frame.full_size is not None and frame.full_size != frame.size:
                    raise ValueError(
                        "model must have no gate, slab or other latent in a subsampled plate; "
                        f"site {msg['name']!r} stands in plate {frame.name!r}, "
                        f"{frame.size} of {frame.full_size} drawn"
                    )
        super()._pyro_sample(msg)


def _kl_gradient(trace: Any, logits: dict[str, Tensor], bases: dict[str, Any]) -> Tensor:
    leaves = {name: value.clone().requires_grad_() for name, value in logits.items()}
    with torch.enable_grad():
        total, links = torch.zeros(()), slab_links(trace.nodes)
        for name, site in trace.nodes.items():
            if site["type"] != "sample" or site["is_observed"]:
                continue
            if name in leaves:
                q: Any = BernoulliGate(leaves[name])
            elif name in bases and links[name].gates:
                open_ = [link.spread(leaves[link.site].sigmoid()) for link in links[name].gates]
                q = GatedSlab(bases[name], reduce(torch.mul, open_))
            else:
                continue
            prior = site["fn"]
            kl = pair_kl(q.to_event(prior.event_dim) if prior.event_dim else q, prior)
            total = total + masked(kl * site["scale"], site["mask"]).sum()
        gradients = torch.autograd.grad(total, list(leaves.values()))
    return torch.cat([gradient.reshape(-1) for gradient in gradients])
