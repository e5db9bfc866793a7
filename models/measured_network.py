r"""What a network that is trained says of the one that is deployed of it, when training ends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.distributions import DeploymentRule, deployed_gates
from l0bayes.infer.targets.target import Target
from l0bayes.models.gated_network import GatedNetwork
from l0bayes.models.network_likelihoods import Observation
from l0bayes.network import arguments_of, averaged_norms, gated, rows_of, split_batch

__all__ = ["MeasuredNetwork"]


class MeasuredNetwork(GatedNetwork):
    """A gated network with targets, which can be deployed; arguments as for :class:`GatedNetwork`.

    Attributes:
        observation: The law of the targets.
        num_data: Size of the data set, if it is known.
    """

    observation: Observation
    num_data: int | None

    @abstractmethod
    def deploy(
        self,
        guide: Any,
        rule: DeploymentRule = "median",
        *,
        recalibrate: Any = None,
        round_to: int | None = None,
        target: str | Target | None = None,
    ) -> nn.Module:
        """The plain network that is left; see :meth:`l0bayes.models.SparseNetwork.deploy`."""

    def split(self, arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        """Inputs and targets of a batch, these as the likelihood takes them.

        Args:
            arguments: The model's arguments.
        """
        inputs, y = split_batch(self.net, self.example, arguments)
        return inputs, self.observation.as_targets(y)

    def run_deployed(self, net: nn.Module, x: Any) -> Any:
        """What a deployed network predicts, for the likelihood to take.

        Args:
            net: The network, from :meth:`deploy`.
            x: Inputs, as the model takes them.
        """
        args, named = arguments_of(self.split((x,))[0])
        return self.observation.predictor(net(*args, **named))

    def use_num_data(self, count: int) -> None:
        """Take the size of the data set from its loader, unless it was given.

        Args:
            count: Number of examples.
        """
        self.num_data = self.num_data or count

    def settle_statistics(self, guide: Any, batches: Iterable[tuple[Any, ...]]) -> bool:
        """Compute running statistics of batch normalisation anew, for gates and slabs as they are deployed.

        Those that training leaves are averages over drawn gates. Normalisation in evaluation mode is left
        alone, as it was in training.

        Args:
            guide: The trained guide.
            batches: Model arguments.

        Returns:
            Whether there are any.
        """
        laws, middle = guide.gates(), guide.median()
        gates = {name: deployed_gates(laws[name], "median") for name in self.plan.specs}
        slabs = {name: middle[f"{name}.slab"] for name in self.links}

        def run(batch: tuple[Any, ...]) -> None:
            gated(self.net, self.plan, slabs, gates, self.split(batch)[0])

        return averaged_norms(self.net, batches, run)

    @torch.no_grad()
    def deployed_log_likelihood(
        self, guide: Any, batches: Iterable[tuple[Any, ...]]
    ) -> tuple[float, float, int] | None:
        """How well the deployed network predicts.

        Args:
            guide: The trained guide.
            batches: Model arguments.

        Returns:
            Its mean log likelihood of an example in nats, the number of entries of an example's target, and
            the number of examples that the model's likelihood stands for; ``None`` without targets.
        """
        small, total, seen, entries = self.deploy(guide), 0.0, 0, 1.0
        for batch in batches:
            inputs, y = self.split(batch)
            if y is None:
                return None
            args, named = arguments_of(inputs)
            law = self.observation(self.observation.predictor(small(*args, **named)), y)
            rows = rows_of(inputs)
            total, seen = total + float(law.log_prob(y).sum()), seen + rows
            entries = y.numel() / rows if isinstance(y, Tensor) else 1.0
        return (total / seen, entries, self.num_data or seen) if seen else None
