r"""Likelihood and KL at a draw with binary gates, whose gradient has to be estimated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from l0bayes.distributions import GateLaw
from l0bayes.infer.objectives.gate_gradients import GATE_GRADIENT, GateGradient
from l0bayes.infer.objectives.site_densities import log_density
from l0bayes.sites import inner_law

__all__ = ["binary_sites", "terms_with_score"]


def binary_sites(guide_trace: Any) -> dict[str, GateGradient]:
    """The gate sites of a guide that need a gradient and whose draws carry none, each with its estimator.

    Args:
        guide_trace: A trace of the guide.

    Raises:
        ValueError: If such a site is to be trained and names no estimator, or two sites name different ones.
    """
    found: dict[str, GateGradient] = {}
    for name, site in guide_trace.nodes.items():
        if site["type"] != "sample" or site["is_observed"]:
            continue
        law = inner_law(site["fn"])
        if not isinstance(law, GateLaw) or law.has_rsample:
            continue
        if not (torch.is_grad_enabled() and law.activity_logits.requires_grad):  # the value alone is wanted
            continue
        if GATE_GRADIENT not in site["infer"]:
            raise ValueError(
                f"gate site {name!r} has binary gates, whose draws carry no gradient; name an estimator with "
                "infer={l0bayes.infer.GATE_GRADIENT: DisARM()}, as the gate guides do"
            )
        found[name] = site["infer"][GATE_GRADIENT]
    if len(set(found.values())) > 1:
        raise ValueError(
            "all binary gates of a guide change together, so one estimator serves all; got "
            + ", ".join(sorted({repr(estimator) for estimator in found.values()}))
        )
    return found


def terms_with_score(
    sites: dict[str, GateGradient],
    guide_trace: Any,
    model_trace: Any,
    run: Callable[[dict[str, Tensor]], Any],
    total_kl: Callable[[Any], Tensor | float],
    examples: int | None,
) -> tuple[Tensor, dict[str, Tensor]]:
    r"""The log likelihood, averaged over the evaluations, with a gradient in the gates' logits.

    The value is that of the likelihood alone. To it stands added
    :math:`\sum g \cdot (\ell - \ell^{\text{detached}})`, which is zero and whose gradient is the
    estimate g. So it is with the KLs, which depend on the values of gates where a prior does, as that of an
    interaction does on the gates of its parents.

    Args:
        sites: Binary gate sites and their estimator.
        guide_trace: The guide at its draw.
        model_trace: The model at that draw.
        run: From values of the gates to a trace of the model with all else as it was.
        total_kl: From a trace of the model to the sum of the KLs.
        examples: Number of examples where every one has gates of its own, which enter only the
            likelihood of that example; ``None`` where the gates are shared.

    Returns:
        The likelihood, a scalar, and by gate site a scalar that is to be added to its KL.
    """
    estimator = next(iter(sites.values()))
    logits = {name: inner_law(guide_trace.nodes[name]["fn"]).activity_logits for name in sites}
    gates = {name: [guide_trace.nodes[name]["value"]] for name in sites}
    for name, values in gates.items():
        values += estimator.companions(logits[name].detach(), values[0])
    traces = [model_trace]
    for index in range(1, estimator.num_evaluations):
        traces.append(run({name: values[index] for name, values in gates.items()}))
    likelihoods = [_likelihood(trace, examples) for trace in traces]
    kls = [torch.as_tensor(total_kl(trace)).detach() for trace in traces]
    likelihood, of_kl = torch.stack(likelihoods).mean(0).sum(), {}
    for name, values in gates.items():
        dims = (1,) * (values[0].dim() - 1)
        at = [f.detach() if examples is None else f.detach().reshape(-1, *dims) for f in likelihoods]
        change = logits[name] - logits[name].detach()
        likelihood = likelihood + (estimator.gradient(logits[name].detach(), values, at) * change).sum()
        of_kl[name] = (estimator.gradient(logits[name].detach(), values, kls) * change).sum()
    return likelihood, of_kl


def _likelihood(trace: Any, examples: int | None) -> Tensor:
    """Sum of the observed sites, a scalar; or one for each example, as far as a site has them apart."""
    total = torch.zeros(() if examples is None else (examples,))
    for site in trace.nodes.values():
        if site["type"] != "sample" or not site["is_observed"] or site["infer"].get("_deterministic"):
            continue
        log_prob = log_density(site)
        if examples is None:
            total = total.to(log_prob) + log_prob.sum()
        elif log_prob.dim() and len(log_prob) == examples:
            total = total.to(log_prob) + log_prob.reshape(examples, -1).sum(-1)
        else:
            raise ValueError(
                "per_example_gates with binary gates needs a likelihood for each example, in the first "
                f"dimension; an observed site has log densities of shape {tuple(log_prob.shape)}"
            )
    return total
