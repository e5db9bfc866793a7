"""The latent sites of a model as a guide keeps them: plain data, so that guides copy and pickle."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any, Literal

import torch
from pyro import poutine
from pyro.infer.autoguide.initialization import InitMessenger
from pyro.infer.autoguide.utils import helpful_support_errors
from pyro.ops.tensor_utils import periodic_repeat
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.distributions import biject_to, constraints

from l0bayes.distributions import L2Penalty
from l0bayes.guides.prior_moments import moments_of
from l0bayes.infer.argument_faults import not_tensor
from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.first_run import explained_run
from l0bayes.infer.objectives.enumerated_latents import is_enumerated
from l0bayes.infer.objectives.observed_shapes import observes_anything
from l0bayes.sites import (
    GateLink,
    HiddenSiteWarning,
    SlabLinks,
    gate_record,
    hidden_sites,
    inner_law,
    slab_links,
    slab_record,
)
from l0bayes.user_warnings import warn_user

__all__ = ["Latent", "LatentLaw", "Role", "elementwise", "find_latents"]

# What is to be said first of a discrete site in a model that observes nothing.
_MISSING = (
    "; the model observes nothing: if this is the response, its data (labels) are missing. Give them with "
    "the inputs, as in AutoHardConcrete(model, (x, y)) and in every batch of a loader; and to the site, obs=y"
)

Role = Literal["gate", "slab", "other"]
LatentLaw = Literal["normal", "log_normal", "pushed"]


@dataclass(frozen=True)
class Latent:
    """A latent site of the model.

    Attributes:
        name: Name of the site.
        role: Whether it is a gate, a slab, or any other latent.
        event_dim: Event dimensions of the site's value.
        frames: The plates it stands in.
        support: Its constraint; ``None`` for gates.
        gates: For a slab, the latent gates that multiply it.
        fixed: For a slab, 1 and 0 for the gates that multiply it and are no latents, since they were
            conditioned on or intervened upon; ``None`` where there are none.
        dependent: For a slab, the name of its prior if that is a law of weights that depend on one another.
        given: Its plates whose subsample is given to the model and is smaller than the plate.
        prior_moments: For a slab, mean and standard deviation of its prior in the first run of the model, of
            the event's shape; 0 and 1 where there are none.
        law: For a slab or another latent, the law of a Normal pushed onto its support. The first two have
            analytic KLs; it is kept by name since constraints lose their identity in a copy.
    """

    name: str
    role: Role
    event_dim: int
    frames: tuple[Any, ...]
    support: Any = None
    gates: tuple[GateLink, ...] = ()
    fixed: Tensor | None = field(default=None, compare=False)
    dependent: str | None = None
    given: frozenset[str] = frozenset()
    prior_moments: tuple[Tensor, Tensor] | None = field(default=None, compare=False)
    law: LatentLaw = "pushed"

    @cached_property
    def key(self) -> str:
        """Attribute name of its parameters: site names hold dots, which modules do not accept.

        Dots become slashes, and slashes and backslashes get a backslash in front, so that no two names meet.
        """
        return self.name.replace("\\", r"\\").replace("/", r"\/").replace(".", "/")

    def opened(self, values: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """The product of a slab's gates, or of probabilities that they are open.

        Args:
            values: By gate site. A gate that is not among them, since it is hidden from the guide and
                enumerated in the model, counts as open.
            like: A tensor with the slab's precision and device.
        """
        parts = [link.spread(values[link.site]) for link in self.gates if link.site in values]
        if self.fixed is not None:
            parts.append(self.fixed.to(like))
        return reduce(torch.mul, parts) if parts else like.new_ones(())

    def gated_by(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The gate sites that are in ``values`` and multiply the slab.

        Args:
            values: Anything by gate site.
        """
        return tuple(link.site for link in self.gates if link.site in values)


def find_latents(
    model: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    init_loc_fn: Callable[[dict[str, Any]], Any],
) -> tuple[list[Latent], dict[str, Tensor]]:
    """Run the model once and describe its latent sites.

    Args:
        model: A Pyro model.
        args: Positional arguments to run it with.
        kwargs: Keyword arguments to run it with.
        init_loc_fn: Pyro's per-site initialisation for sites without an ``init`` of their own.

    Returns:
        The latents in the order of the model, and a start value for each. Values in a subsampled plate
        are repeated to the plate's full size.

    Raises:
        ValueError: If the model has no latent site, one that is discrete and no gate, a slab that is
            on a simplex or the like or was reparameterised, or a batch dimension outside every plate.
        NotImplementedError: If a site stands in a sequential plate.
        TypeError: If the arguments do not bind to the model's signature.

    Warns:
        HiddenSiteWarning: If a handler hides a gate or a slab from the guide.
    """
    _check_binds(model, args, kwargs)

    def start(site: dict[str, Any]) -> Any:
        fn = site["fn"]
        if gate_record(site) is not None:
            return fn.sample().fill_(1.0)  # open, so that the prototype run sees the whole model
        record = slab_record(site)
        if record is not None and record.init is not None:
            return record.init.detach().clone().expand(fn.shape())
        if isinstance(getattr(fn, "base_dist", fn), L2Penalty):
            return torch.zeros(fn.shape())
        return fn.sample() if fn.support.is_discrete else init_loc_fn(site)

    plates = _GivenPlates()
    with torch.no_grad(), poutine.block(), plates, evaluating(model), explained_run(model, args, kwargs):
        trace = poutine.trace(InitMessenger(start)(model)).get_trace(*args, **kwargs)
    links = slab_links(trace.nodes)
    for words in hidden_sites(trace.nodes):
        warn_user(
            f"{words}, and this guide does not cover it. That is right for a part of an AutoGuideList, or "
            "where it is summed over; both are trained on the model with all its sites in sight",
            HiddenSiteWarning,
        )
    latents, values, has_data = [], {}, observes_anything(trace.nodes)
    for name, node in trace.iter_stochastic_nodes():
        site: Any = node
        if site_is_subsample(site) or _is_summed(site):
            continue
        latent = replace(
            _describe(name, site, links.get(name), has_data),
            given=frozenset(plates.names) & {frame.name for frame in site["cond_indep_stack"]},
        )
        latents.append(latent)
        values[name] = _full_size(site["value"].detach(), latent)
    if not latents:
        raise ValueError("model has no latent site, so there is nothing for a guide to cover")
    return latents, values


def _is_summed(site: Any) -> bool:
    """Whether a site is no business of the guide, since objectives sum over it."""
    return gate_record(site) is None and is_enumerated(site)


def _check_binds(model: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    target = model.forward if isinstance(model, torch.nn.Module) else model
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # a callable without a signature: running it shows whether they fit
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        for value in args:
            if (words := not_tensor("what the guide was given", value)) is not None:
                raise TypeError(words) from error
        raise TypeError(
            f"the model's signature is {signature} and does not accept the given args and kwargs "
            f"({error}); pass example arguments as AutoGuide(model, args=(x, y))"
        ) from error


class _GivenPlates(Messenger):
    """Effect handler that notes the plates whose subsample is given, not drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def _pyro_sample(self, msg: Any) -> None:
        if site_is_subsample(msg) and msg["value"] is not None and len(msg["value"]) < msg["fn"].size:
            self.names.add(msg["name"])


def _describe(name: str, site: Any, links: SlabLinks | None, has_data: bool) -> Latent:
    fn, frames = site["fn"], tuple(site["cond_indep_stack"])
    if not all(frame.vectorized for frame in frames):
        raise NotImplementedError(
            f"site {name!r} stands in a sequential plate; only vectorised ones are handled"
        )
    _check_batch(name, fn.batch_shape, {frame.dim for frame in frames})
    if gate_record(site) is not None:
        return Latent(name, "gate", fn.event_dim, frames)
    if fn.support.is_discrete:
        raise ValueError(
            f"cannot cover discrete sample site {name!r}, which is no gate"
            + _MISSING * (not has_data)
            + (
                '; mark it with infer={"enumerate": "parallel"} and it is summed over'
                * fn.has_enumerate_support
            )
        )
    with helpful_support_errors(site):
        biject_to(fn.support)
    if links is None:
        return Latent(name, "other", fn.event_dim, frames, fn.support, law=_law_on(fn.support))
    law = inner_law(fn)
    if biject_to(elementwise(fn.support)).domain.event_dim:
        raise ValueError(
            f"slab site {name!r} has support {fn.support}, whose values depend on one another; gate guides "
            "cover slabs on the real line or a part of it"
        )
    return Latent(
        name,
        "slab",
        fn.event_dim,
        frames,
        fn.support,
        links.gates,
        _fixed(links, frames),
        type(law).__name__ if law.event_shape else None,
        prior_moments=moments_of(fn),
        law=_law_on(fn.support),
    )


def _fixed(links: SlabLinks, frames: tuple[Any, ...]) -> Tensor | None:
    """Which fixed gates are open; they count as open where a plate will hold other rows than now."""
    partial = any(frame.full_size is not None and frame.full_size != frame.size for frame in frames)
    return None if links.fixed is None or partial else (links.fixed > 0).detach().clone()


def _check_batch(name: str, batch_shape: torch.Size, plates: set[int]) -> None:
    """Refuse a batch dimension that no plate declares, as Pyro's objectives do when they score a site."""
    for dim, size in enumerate(reversed(batch_shape), start=1):
        if size > 1 and -dim not in plates:
            raise ValueError(
                f"site {name!r} has batch shape {tuple(batch_shape)}, whose dimension {-dim} belongs to no "
                f"plate; make {size} weights by .expand([{size}]).to_event(1), or use a plate"
            )


def elementwise(support: Any) -> Any:
    """The constraint of a single entry.

    Args:
        support: A constraint, with ``to_event`` or without.
    """
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support


def _law_on(support: Any) -> LatentLaw:
    support = elementwise(support)
    if support is constraints.real:
        return "normal"
    return "log_normal" if support in (constraints.positive, constraints.nonnegative) else "pushed"


def _full_size(value: Tensor, latent: Latent) -> Tensor:
    for frame in latent.frames:
        size = frame.full_size or frame.size
        if size != frame.size:
            value = periodic_repeat(value, size, frame.dim - latent.event_dim).contiguous()
    return value
