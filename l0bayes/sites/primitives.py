r"""The primitives :func:`gate`, :func:`slab` and :func:`spike_and_slab`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor
from torch.distributions import TransformedDistribution

from l0bayes import validate
from l0bayes.distributions import MARGINALS, Gate, GatePrior, HardConcrete, marginal_of_open
from l0bayes.sites.site_kinds import inner_law
from l0bayes.sites.site_records import GateSite, SampledGate, SlabSite, WeightSite, broadcasts_to, mark

__all__ = ["Inclusion", "gate", "slab", "spike_and_slab"]

Inclusion = float | Tensor | GatePrior | HardConcrete
"""The prior of a gate: an inclusion probability, a tensor of them, or a gate prior."""


def gate(
    name: str,
    inclusion: Inclusion | None = None,
    shape: Sequence[int] = (),
    *,
    expected_active: float | None = None,
) -> SampledGate:
    r"""Sample a gate :math:`z \in [0, 1]` that several slabs may share.

    Args:
        name: Name of the sample site.
        inclusion: Prior inclusion probability π, strictly between 0 and 1: a number, a tensor that
            broadcasts to ``shape``, or a gate prior object. A latent π that may come with plate
            dimensions or in a batch of particles needs a dimension of size 1 for each of ``shape``,
            ``pi[..., None]`` for ``shape=[p]``, as parameters of any Pyro distribution do.
        shape: Shape of the gates that the site holds, as event dimensions. Plates add theirs to the
            left.
        expected_active: Another way to give π: how many of the site's gates are expected to be open
            a priori; π is this number over the number of gates.

    Returns:
        The sampled gate, to be given to :func:`spike_and_slab` as ``gate=``.

    Raises:
        ValueError: If π is not strictly inside (0, 1), if both or neither of ``inclusion`` and
            ``expected_active`` are given, or if shapes do not match.
        TypeError: If ``inclusion`` is of another type.
    """
    shape = torch.Size(shape)
    return _sample_gate(name, _gate_prior(inclusion, expected_active, math.prod(shape)), shape)


def spike_and_slab(
    name: str,
    inclusion: Inclusion | None = None,
    slab: TorchDistributionMixin | None = None,
    *,
    expected_active: float | None = None,
    gate_shape: Sequence[int] | None = None,
    groups: Tensor | None = None,
    gate: SampledGate | Sequence[SampledGate] | None = None,
    init: Tensor | None = None,
) -> Tensor:
    r"""Sample spike-and-slab weights :math:`w = z\,\theta` inside any Pyro model.

    .. math:: z \sim \text{gate prior}, \qquad \theta \sim \text{slab}, \qquad w = z\,\theta

    The sites are ``"{name}.gate"``, ``"{name}.slab"`` and the deterministic ``"{name}"`` for w. In a
    plate all three have the plate's dimensions. Gates are ordinary latent sites: they are binary in
    prior draws and under exact enumeration, and a gate guide may relax them.

    Args:
        name: Name of the effective weight.
        inclusion: Prior inclusion probability π, strictly inside (0, 1): a number, a tensor, a latent
            value (see :func:`gate`), or a gate prior (``Gate``, ``L0Penalty``, ``HardConcrete``).
        slab: Prior of θ, by default ``Normal(0, 1)``. Its event dimensions hold independent weights, or
            those of one ``MultivariateNormal`` (Zellner's g-prior), whose guide is
            :class:`~l0bayes.guides.AutoJointGates`.
        expected_active: Another way to give π: the expected number of open gates at this site.
        gate_shape: Shape of the gates, broadcastable to the slab's event shape; ``(1, p)`` on a slab
            of event shape ``(out, p)`` gives every input one gate. Default: one gate a weight.
        groups: Index of each weight's gate (``torch.long``, the slab's event shape, values 0 to
            G - 1 all used), for weights that share gates in any pattern.
        gate: A gate, or several, sampled before by :func:`gate`; the slab is multiplied by all.
            ``inclusion``, ``expected_active`` and ``gate_shape`` are then not given; ``groups``
            indexes the given gate, and there must be only one.
        init: Where guides may start the slab, of the slab's shape.

    Returns:
        The effective weights, of the slab's shape.

    Raises:
        ValueError: If π is outside (0, 1), if arguments contradict one another, if shapes do not match, or
            if the slab's weights depend on one another under a law that is not registered.
        TypeError: If an argument is of a type that is not accepted.

    Example::

        beta = l0bayes.spike_and_slab("beta", 0.1, dist.Normal(0.0, 1.0).expand([p]).to_event(1))
    """
    if slab is None:
        slab = dist.Normal(0.0, 1.0)
    _check_slab(slab, init)
    event_shape = slab.event_shape
    if gate is None:
        shape = _gate_shape(gate_shape, groups, event_shape)
        prior = _gate_prior(inclusion, expected_active, math.prod(shape))
        gates: tuple[SampledGate, ...] = (_sample_gate(f"{name}.gate", prior, shape, slab.batch_shape),)
    else:
        if inclusion is not None or expected_active is not None or gate_shape is not None:
            raise ValueError("gate is given, so inclusion, expected_active and gate_shape must not be")
        gates = _as_gates(gate)
        if not gates:
            raise ValueError("gate is an empty sequence; leave it out for gates of the slab's own")
        if groups is not None:
            if len(gates) != 1:
                raise ValueError(f"groups need exactly one gate, got {len(gates)}")
            _check_groups(groups, event_shape, math.prod(gates[0].shape))
    weight, record = _sample_slab(name, slab, gates, groups, init)
    for one, link in zip(gates, record.gates, strict=True):
        weight = weight * link.spread(one.value)
    # What pyro.deterministic does, and a mark.
    point = dist.Delta(weight, event_dim=len(event_shape)).mask(False)
    infer: Any = {"_deterministic": True, **mark(WeightSite(record))}
    return pyro.sample(name, point, obs=weight, infer=infer)


def slab(
    name: str,
    prior: TorchDistributionMixin,
    gate: SampledGate | Sequence[SampledGate] = (),
    *,
    init: Tensor | None = None,
) -> Tensor:
    r"""Sample a slab θ alone, for models that apply its gates themselves.

    Multiplying a layer's inputs by their gates can be cheaper than multiplying its weights, and is the same.
    The gates are still named here, so that a guide pairs them with the slab and a shut gate makes the
    weight free. Without any gate it is an ordinary weight that follows the guide's law of slabs.

    Args:
        name: Name of the effective weight; the site is ``"{name}.slab"``.
        prior: Prior of θ, as in :func:`spike_and_slab`.
        gate: The gates that multiply θ, sampled before by :func:`gate`.
        init: Where guides may start θ, of its shape.

    Returns:
        θ, *not* multiplied by the gates.

    Raises:
        ValueError: If shapes do not match, or the slab's weights depend on one another in a way that nothing
            is known of.
        TypeError: If an argument is of a type that is not accepted.
    """
    _check_slab(prior, init)
    return _sample_slab(name, prior, _as_gates(gate), None, init)[0]


def _check_slab(slab: TorchDistributionMixin, init: Tensor | None) -> None:
    if not isinstance(slab, TorchDistributionMixin):
        raise TypeError(f"slab must be a Pyro distribution, got {type(slab).__name__}")
    law = inner_law(slab)
    if law.event_shape and marginal_of_open(law) is None:
        known = ", ".join(sorted(one.__name__ for one in MARGINALS))
        raise ValueError(
            "slab must hold independent weights, as Normal(0, 1).expand([p]).to_event(1) does, or be of a "
            f"law whose marginals are known ({known}); {_why_unknown(law)}. Sample it by pyro.sample and "
            "multiply it by the value of l0bayes.gate, or make its marginals known by "
            "l0bayes.distributions.register_marginal"
        )
    if init is not None and init.shape != slab.shape():
        raise ValueError(f"init must have the slab's shape {tuple(slab.shape())}, got {tuple(init.shape)}")


def _why_unknown(law: Any) -> str:
    if isinstance(law, TransformedDistribution) and not inner_law(law.base_dist).event_shape:
        return (
            f"of the weights of {type(law).__name__} that is not known, since its transforms may mix them "
            "(for a shift and a scale write the law itself, as Normal(loc, scale).expand([p]).to_event(1))"
        )
    return f"the weights of {type(law).__name__} depend on one another"


def _as_gates(gate: SampledGate | Sequence[SampledGate]) -> tuple[SampledGate, ...]:
    gates = (gate,) if isinstance(gate, SampledGate) else gate
    for one in gates if isinstance(gates, Sequence) else (gates,):
        if not isinstance(one, SampledGate):
            raise TypeError(
                f"gate must be a result of l0bayes.gate or a sequence of them, got {type(one).__name__}"
            )
    return tuple(gates)


def _sample_slab(
    name: str,
    slab: TorchDistributionMixin,
    gates: tuple[SampledGate, ...],
    groups: Tensor | None,
    init: Tensor | None,
) -> tuple[Tensor, SlabSite]:
    record = SlabSite(tuple(one.link(slab.event_shape, groups) for one in gates), name, init)
    return pyro.sample(f"{name}.slab", slab, infer=mark(record)), record


def _gate_prior(
    inclusion: Inclusion | None, expected_active: float | None, count: int
) -> GatePrior | HardConcrete:
    if (inclusion is None) == (expected_active is None):
        raise ValueError("give exactly one of inclusion and expected_active")
    if expected_active is not None:
        if not 0.0 < expected_active < count:
            raise ValueError(
                f"expected_active must lie strictly between 0 and the number of gates, {count}; "
                f"got {expected_active!r}"
            )
        return Gate(expected_active / count)
    if isinstance(inclusion, GatePrior | HardConcrete):
        return inclusion
    if isinstance(inclusion, Tensor):
        return Gate(inclusion)
    if isinstance(inclusion, bool) or not isinstance(inclusion, int | float):
        raise TypeError(
            "inclusion must be a probability, a tensor, a gate prior (Gate, L0Penalty) or a "
            f"HardConcrete; got {type(inclusion).__name__}"
        )
    validate.inside("(0, 1)", inclusion=inclusion)
    return Gate(float(inclusion))


def _sample_gate(
    name: str, prior: GatePrior | HardConcrete, shape: torch.Size, batch_shape: torch.Size = torch.Size()
) -> SampledGate:
    try:
        full = torch.broadcast_shapes(prior.batch_shape, batch_shape + shape)
    except RuntimeError as error:
        raise ValueError(
            f"inclusion of shape {tuple(prior.batch_shape)} does not broadcast to the gates' shape "
            f"{tuple(batch_shape + shape)} at site {name!r}"
        ) from error
    law = prior.expand(full)
    law.site_name = name
    record = GateSite(len(shape))
    value = pyro.sample(name, law.to_event(len(shape)), infer=mark(record))
    return SampledGate(name, value, len(shape), tuple(shape), record=record)


def _gate_shape(
    gate_shape: Sequence[int] | None, groups: Tensor | None, event_shape: torch.Size
) -> torch.Size:
    if groups is not None:
        if gate_shape is not None:
            raise ValueError("give at most one of gate_shape and groups")
        return torch.Size([_check_groups(groups, event_shape, None)])
    if gate_shape is None:
        return event_shape
    if not broadcasts_to(tuple(gate_shape), event_shape):
        raise ValueError(
            f"gate_shape {tuple(gate_shape)} does not broadcast to the slab's event shape "
            f"{tuple(event_shape)}"
        )
    return torch.Size(gate_shape)


def _check_groups(groups: Tensor, event_shape: torch.Size, gates: int | None) -> int:
    """The number of gates that ``groups`` uses."""
    if not isinstance(groups, Tensor):
        raise TypeError(f"groups must be a tensor of indices, got {type(groups).__name__}")
    if groups.shape != event_shape:
        raise ValueError(
            f"groups must give one gate index a weight, shape {tuple(event_shape)}; got {tuple(groups.shape)}"
        )
    if groups.dtype != torch.long:
        raise TypeError(f"groups must hold indices of dtype torch.long, got {groups.dtype}")
    present = torch.unique(groups).tolist()
    count = len(present) if gates is None else gates
    if gates is None and present != list(range(count)):
        raise ValueError(f"groups must use every index from 0 up, got the indices {present}")
    if gates is not None and not (present[0] >= 0 and present[-1] < gates):
        raise ValueError(f"groups must index the {gates} gates given, got the indices {present}")
    return count
