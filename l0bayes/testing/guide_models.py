"""Small models with every kind of latent site, on which guides are tested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from l0bayes.infer import MeanFieldELBO
from l0bayes.sites import gate, spike_and_slab

__all__ = [
    "MEMBERS",
    "X",
    "Y",
    "batch_of",
    "data_plate",
    "nested",
    "outliers",
    "regression",
    "same_state",
    "state_of",
    "train",
    "two_layers",
]

_GENERATOR = torch.Generator().manual_seed(7)
X = torch.randn(20, 4, generator=_GENERATOR)
Y = X @ torch.tensor([1.0, 0.0, -1.0, 0.0]) + 0.5 * torch.randn(20, generator=_GENERATOR)
MEMBERS = 12
_SHIFTED = torch.linspace(-2.0, 2.0, MEMBERS)


def _standard_normal(*shape: int) -> Any:
    law: Any = dist.Normal(0.0, 1.0).expand(list(shape))
    return law.to_event(len(shape))


def regression(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Gates, slabs, and hyper-latents on the unit interval, the positives, the reals and a simplex.

    Args:
        x: Columns, shape (n, 4).
        y: Responses, shape (n,).
    """
    pi = pyro.sample("pi", dist.Beta(1.0, 3.0))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    intercept = pyro.sample("intercept", dist.Normal(0.0, 3.0))
    mix = pyro.sample("mix", dist.Dirichlet(torch.ones(3)))
    beta = spike_and_slab("beta", pi[..., None], _standard_normal(4))
    mean = (x @ beta[..., None])[..., 0] + intercept[..., None] + mix[..., 0:1]
    drawn: Tensor = pyro.sample("y", dist.Normal(mean, sigma[..., None]).to_event(1), obs=y)
    return drawn


def two_layers(x: Tensor, y: Tensor | None = None) -> Tensor:
    """A matrix of weights with gates on rows and columns, and a bias that dies with its row.

    Args:
        x: Columns, shape (n, 4).
        y: Responses, shape (n,).
    """
    rows, columns = gate("rows", 0.5, [2]), gate("columns", 0.3, [4])
    matrix = _standard_normal(2, 4)
    weight = spike_and_slab("weight", slab=matrix, gate=[rows.view(2, 1), columns])
    bias = spike_and_slab("bias", slab=_standard_normal(2), gate=rows)
    mean = (x @ weight.mT + bias[..., None, :]).tanh().sum(-1)
    drawn: Tensor = pyro.sample("y", dist.Normal(mean, 0.5).to_event(1), obs=y)
    return drawn


def nested() -> None:
    """A gate in the outer plate, shared inside; a gate of its own in the inner one."""
    with pyro.plate("groups", 4, dim=-2):
        shared = gate("shared", 0.5, [2])
        with pyro.plate("members", 5, dim=-1):
            spike_and_slab("own", 0.2)
            spike_and_slab("both", slab=_standard_normal(2), gate=shared)


def outliers(batch: tuple[Tensor, Tensor]) -> None:
    """Each datum has a gate: whether it is shifted, and by how much; some latents are global.

    Args:
        batch: What :func:`batch_of` gives.
    """
    indices, y = batch
    spread = pyro.sample("spread", dist.LogNormal(0.0, 1.0))
    weight = spike_and_slab("weight", 0.5, _standard_normal(3))
    with pyro.plate("data", MEMBERS, subsample=indices):
        shift = spike_and_slab("shift", 0.2, dist.Normal(0.0, 2.0))
        pyro.sample("y", dist.Normal(shift + weight.sum(-1, keepdim=True), spread), obs=y)


def data_plate(batch: tuple[Tensor, Tensor]) -> Any:
    """The plate of :func:`outliers`, for ``create_plates``.

    Args:
        batch: What :func:`batch_of` gives.
    """
    return pyro.plate("data", MEMBERS, subsample=batch[0])


def batch_of(rows: Any) -> tuple[Tensor, Tensor]:
    """Some rows of the data of :func:`outliers`, of ``MEMBERS`` in all.

    Args:
        rows: Their numbers.
    """
    indices = torch.as_tensor(rows)
    return indices, _SHIFTED[indices]


def state_of(guide: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers.

    Args:
        guide: The guide.
    """
    return {name: value.detach().clone() for name, value in guide.state_dict().items()}


def same_state(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two states hold the same values by the same names.

    Args:
        one: What :func:`state_of` gave.
        other: Another.
    """
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def train(
    guide: Any,
    model: Callable[..., Any],
    steps: int = 3,
    lr: float = 0.05,
    data: tuple[Tensor, ...] = (X, Y),
) -> list[float]:
    """A few steps of plain Adam on the ELBO.

    Args:
        guide: The guide.
        model: Its model.
        steps: Number of steps.
        lr: Learning rate.
        data: Arguments of the model.

    Returns:
        The losses.
    """
    elbo = MeanFieldELBO()(model, guide)
    optimiser = torch.optim.Adam(elbo.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = elbo(*data)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses
