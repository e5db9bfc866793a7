r"""One run of a guide, and of its model at the guide's draw."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pyro import poutine
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor

from l0bayes.distributions import JointGateLaw
from l0bayes.infer.objectives.enumerated_latents import enumerated_in, first_free_dim, run_enumerated
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.infer.objectives.observed_shapes import check_observed_shapes
from l0bayes.infer.objectives.per_example import PerExampleGates, check_per_example, num_examples
from l0bayes.sites import check_links, gate_record, inner_law

__all__ = ["PairTraces", "check_cover", "run_model", "run_pair"]


@dataclass(frozen=True)
class PairTraces:
    """The traces of one run of guide and model.

    Attributes:
        model: Trace of the model, without the subsample sites of plates.
        guide: Trace of the guide, without them.
        drawn: Value of every sample site that was drawn, subsample indices of plates included.
        first_enum_dim: The first dimension along which latents of the model are enumerated, if any are.
    """

    model: Any
    guide: Any
    drawn: dict[str, Tensor]
    first_enum_dim: int | None = None

    def model_at(
        self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], values: dict[str, Tensor]
    ) -> Any:
        """A trace of the model as in this run, but for some values.

        Args:
            model: The model.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            values: Value by name of the site.
        """
        known = self.drawn | values
        return run_model(model, args, kwargs, known, self.first_enum_dim)


def run_pair(
    model: Any,
    guide: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    per_example_gates: bool = False,
    first_enum_dim: int | None = None,
) -> PairTraces:
    """Run the guide, and the model at its draw: one run of each.

    A model with latents that are to be enumerated is run again, unless it is known where they are.

    Args:
        model: A Pyro model.
        guide: Its guide.
        args: Positional arguments of both.
        kwargs: Keyword arguments of both.
        per_example_gates: Draw every gate once for each example.
        first_enum_dim: The first dimension for enumeration, where a run before has found one.

    Raises:
        ValueError: If gates are to be drawn for each example and the model does not take them so, or an
            observed value does not have the shape of its law.
    """
    with ExitStack() as stack:
        if per_example_gates:
            check_per_example(model)
            stack.enter_context(PerExampleGates(num_examples(args)))
        guide_trace: Any = poutine.trace(guide).get_trace(*args, **kwargs)
    if first_enum_dim is not None:
        drawn, guide_trace = Given.sampled_in(guide_trace).values, prune_subsample_sites(guide_trace)
        summed = run_model(model, args, kwargs, drawn, first_enum_dim)
        return PairTraces(summed, guide_trace, drawn, first_enum_dim)
    # Not poutine.replay: that overwrites the records that l0bayes.sites leaves on the model's sites.
    with Given.sampled_in(guide_trace):
        model_trace: Any = poutine.trace(model).get_trace(*args, **kwargs)
    check_observed_shapes(model_trace.nodes)
    drawn, guide_trace = Given.sampled_in(model_trace).values, prune_subsample_sites(guide_trace)
    enumerated = enumerated_in(model_trace, guide_trace.nodes)
    if not enumerated:
        return PairTraces(prune_subsample_sites(model_trace), guide_trace, drawn)
    drawn = {name: value for name, value in drawn.items() if name not in enumerated}
    first_dim = first_free_dim(model_trace, guide_trace)
    model_trace = run_model(model, args, kwargs, drawn, first_dim)
    return PairTraces(model_trace, guide_trace, drawn, first_dim)


def run_model(
    model: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    values: dict[str, Tensor],
    first_enum_dim: int | None,
) -> Any:
    """A trace of a model at given values of its latents, without the subsamples of plates.

    Args:
        model: The model.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        values: Value by name of the site.
        first_enum_dim: The first dimension along which marked latents are enumerated; ``None`` to draw them.
    """

    def run() -> Any:
        with Given(values):
            return poutine.trace(model).get_trace(*args, **kwargs)

    if first_enum_dim is None:
        return prune_subsample_sites(run())
    return run_enumerated(run, first_enum_dim)


def check_cover(traces: PairTraces, gate_laws: tuple[type, ...], objective: str) -> None:
    """Refuse a guide that does not cover the model, or the model's gates with no gate law, and lost links.

    Args:
        traces: One run of both.
        gate_laws: What a guide may put on a gate site.
        objective: Name of the objective that takes these.

    Raises:
        ValueError: By site.
    """
    check_links(traces.model.nodes, traces.guide.nodes)
    for name, site in traces.model.nodes.items():
        if site["type"] != "sample" or site["is_observed"]:
            continue
        covered = traces.guide.nodes.get(name)
        kind = "gate site" if gate_record(site) is not None else "latent site"
        if covered is None:
            remedy = (
                '; to sum over it, mark it with infer={"enumerate": "parallel"}'
                if site["fn"].has_enumerate_support
                else "; if it is data, hand it to the model too, as in fit(model, guide, (x, y))"
            )
            raise ValueError(f"{kind} {name!r} of the model is not covered by the guide{remedy}")
        law = inner_law(covered["fn"])
        if kind == "gate site" and not isinstance(law, gate_laws):
            if isinstance(law, JointGateLaw):
                raise ValueError(
                    f"the gates of site {name!r} depend on one another, which {objective} does "
                    "not take; use l0bayes.infer.ScoreELBO, or guide.objective()"
                )
            raise ValueError(
                f"gate site {name!r} is given {type(law).__name__} by the guide, which is no "
                "gate law; use a gate guide such as l0bayes.guides.AutoHardConcrete"
            )
    for name, site in traces.guide.nodes.items():
        if site["type"] != "sample" or site["is_observed"] or site["infer"].get("is_auxiliary"):
            continue
        if name not in traces.model.nodes:
            raise ValueError(f"guide site {name!r} does not exist in the model")
