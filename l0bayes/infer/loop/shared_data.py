"""Each rank's share of the data, and what cannot be shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from l0bayes.infer.loop.batches import Minibatches
from l0bayes.infer.ranks.ranks import Ranks
from l0bayes.infer.targets.target import Target

__all__ = ["counts_all", "facts_of", "refuse_measured", "share_of"]


def share_of(data: Any, ranks: Ranks) -> Any:
    """The share of the data that a rank trains on.

    Args:
        data: As :func:`l0bayes.fit` takes them, the same on all ranks; but a loader with a sampler, an
            iterable dataset or other batches that are already this rank's.
        ranks: The ranks.

    Raises:
        ValueError: If the data cannot be shared out, or every rank would have all of them.
    """
    if ranks.count == 1:
        return data
    if isinstance(data, Minibatches):
        return data.share(ranks.index, ranks.count)
    if isinstance(data, Tensor | tuple | Mapping):
        raise ValueError(
            "data given as a whole are not shared out among ranks, since which arguments go by rows is "
            "not known: give l0bayes.infer.Minibatches(x, y, batch_size=...), of all rows if you like"
        )
    if not isinstance(data, DataLoader) or isinstance(data.dataset, IterableDataset):
        return data
    sampler = _sampler_of(data)
    if not isinstance(sampler, DistributedSampler):
        raise ValueError(
            "the loader gives every rank all of the data: give it "
            "sampler=torch.utils.data.DistributedSampler(dataset)"
        )
    if (sampler.rank, sampler.num_replicas) != (ranks.index, ranks.count):
        raise ValueError(
            f"the loader's sampler gives the share of rank {sampler.rank} of {sampler.num_replicas}; this is "
            f"rank {ranks.index} of {ranks.count}"
        )
    return data


def counts_all(data: Any) -> bool:
    """Whether what is counted of the data are the examples of all ranks, and not those of one.

    Args:
        data: A rank's share.
    """
    shared = isinstance(data, DataLoader) and isinstance(_sampler_of(data), DistributedSampler)
    return shared or isinstance(data, Minibatches)


def facts_of(data: Any) -> dict[str, Any]:
    """What must be the same on all ranks, where each has all of the data.

    Args:
        data: A rank's share.
    """
    if not isinstance(data, Minibatches):
        return {}
    sums = [float(tensor.double().nan_to_num().sum()) for tensor in data.tensors]
    return {"Minibatches": {"batch_size": data.batch_size, "seed": data.seed, "sums of tensors": sums}}


def refuse_measured(target: str | Target) -> None:
    """Refuse a target whose cost is measured, on every rank a little otherwise.

    Args:
        target: The target of a fit by several ranks.

    Raises:
        ValueError: If it is one.
    """
    asked = Target.parse(target) if isinstance(target, str) else target
    if asked.kind.partition("@")[0] == "latency":
        raise ValueError(
            f"target {asked} is measured, on every rank a little otherwise, so that they would cut different "
            "units: give a target in macs with distributed=True"
        )


def _sampler_of(data: DataLoader[Any]) -> Any:
    return getattr(data.batch_sampler, "sampler", data.sampler)
