r"""What a deployed network is compared with when it is saved: the gated network and the dense one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.network import DeploymentOrigin, GatePlan, gated, remember_origin, shrink

__all__ = ["remember_deployment", "running_statistics"]

_DECIDED = 0.05


def running_statistics(net: nn.Module) -> dict[str, Tensor]:
    """Copies of the running statistics of batch normalisation, by name.

    Args:
        net: A network.
    """
    found = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for key, value in module.named_buffers(prefix=name):
                found[key] = value.clone()
    return found


@torch.no_grad()
def remember_deployment(
    small: nn.Module,
    net: nn.Module,
    plan: GatePlan,
    slabs: Mapping[str, Tensor],
    gates: Mapping[str, Tensor],
    laws: Mapping[str, Any],
    example: tuple[Any, ...],
    statistics: dict[str, Tensor],
) -> None:
    """Keep beside a deployed network what it was made of; nothing is computed before it is saved.

    Args:
        small: The deployed network.
        net: The prepared network.
        plan: Its gates.
        slabs: Values of the slabs by parameter name.
        gates: Deployed gate values by site.
        laws: Laws of the gates by site.
        example: Arguments of the network.
        statistics: Running statistics of ``small`` as they were before they were computed anew.
    """
    chances = {site: laws[site].prob_active.detach().clone() for site in plan.specs}
    used = [*net.parameters(), *net.buffers(), *slabs.values(), *gates.values()]
    versions = [x._version for x in used]

    def unchanged() -> bool:
        """Whether nobody trained on what the network was made of."""
        return all(x._version == version for x, version in zip(used, versions, strict=True))

    def run(inputs: tuple[Any, ...], values: Mapping[str, Tensor]) -> Any:
        with torch.no_grad(), evaluating(net):
            return gated(net, plan, slabs, values, inputs)

    def decided(inputs: tuple[Any, ...]) -> Any | None:
        return run(inputs, gates) if unchanged() else None

    def drawn(inputs: tuple[Any, ...]) -> Any | None:
        same = all(torch.equal(laws[site].prob_active, value) for site, value in chances.items())
        return run(inputs, {site: laws[site].sample() for site in chances}) if same and unchanged() else None

    def dense() -> nn.Module:
        opened = {site: torch.ones_like(value) for site, value in gates.items()}
        with evaluating(net):
            return shrink(net, plan, slabs, opened, remove=False).eval()

    between = [((x > _DECIDED) & (x < 1.0 - _DECIDED)).sum() for x in chances.values()]
    remember_origin(
        small,
        DeploymentOrigin(
            example=example,
            dense=dense,
            gated=decided,
            drawn=drawn,
            statistics=statistics,
            num_gates=sum(x.numel() for x in chances.values()),
            undecided=int(sum(between)),
        ),
    )
