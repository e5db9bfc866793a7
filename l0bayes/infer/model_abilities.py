r"""The abilities of a Pyro model: no other file asks a model for its methods.

A model is a function or any module. It has an ability where it has the members of the ability's protocol;
nothing has to be inherited.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

__all__ = ["CostedModel", "DeployedModel", "LiveModel", "ModelAbilities", "ShrinkableModel"]


@runtime_checkable
class CostedModel(Protocol):
    """A model with costs of its own, which can be a target and are recorded during training."""

    @property
    def cost_kinds(self) -> tuple[str, ...]:
        """Names of the model's costs, such as ``("params", "macs", "units")``."""
        ...

    def cost_share(self, kind: str, active: Mapping[str, Tensor]) -> Tensor:
        r"""Expected cost over the cost of the dense network, a scalar, differentiable.

        Args:
            kind: One of ``cost_kinds``.
            active: :math:`P(z \ne 0)` by gate site, elementwise. Where it is 0 or 1 throughout, the
                result is the share of the deployed network, exactly.
        """
        ...

    def smallest_share(self, kind: str) -> float:
        """The share with one gate open at every site, the smallest that a target may ask for.

        Args:
            kind: One of ``cost_kinds``.
        """
        ...


@runtime_checkable
class LiveModel(Protocol):
    """A model that can leave out units whose gates have all but shut, while it is trained.

    It keeps in buffers which units are left out, so that they are part of its state.
    """

    def sleep(self, active: Mapping[str, Tensor]) -> bool:
        r"""Leave out units that shut gates would multiply by 0, in all following runs.

        Args:
            active: :math:`P(z \ne 0)` by gate site.

        Returns:
            Whether the computation changed, so that captured graphs are out of date.
        """
        ...

    def settle(self) -> bool:
        """Follow the buffers, after they were loaded.

        Returns:
            Whether anything is left out.
        """
        ...

    def wake(self) -> None:
        """Compute everything again."""
        ...


@runtime_checkable
class ShrinkableModel(Protocol):
    """A model of gates and slabs whose terms are known without running it, and that can be cut.

    When its gates are decided, what shut ones multiply by 0 is taken out for good.
    """

    def reason_not_cut(self) -> str | None:
        """Why that is not possible; ``None`` where it is."""
        ...

    def prior_laws(self, sites: Collection[str]) -> dict[str, Any]:
        """The priors of gates and slabs, elementwise.

        Args:
            sites: The sites.
        """
        ...

    def log_likelihood(self, values: Mapping[str, Tensor], *args: Any) -> Tensor:
        """Log likelihood of all data in nats, as estimated on a batch.

        Args:
            values: Values of all gates and slabs by site; gates perhaps with a first dimension of examples.
            *args: The model's arguments.
        """
        ...

    def cut(self, slabs: Mapping[str, Tensor], opened: Mapping[str, Tensor], decided: bool = True) -> Any:
        """What is left once gates are shut for good.

        Args:
            slabs: Values of all slabs by site.
            opened: Zeros and ones by gate site.
            decided: Whether the ones are open for good, so that no gate is left.

        Returns:
            A :class:`~l0bayes.infer.shrink.origin.ModelCut`.
        """
        ...


@runtime_checkable
class DeployedModel(Protocol):
    """A model that knows what of it is deployed, and how well that predicts."""

    def settle_statistics(self, guide: Any, batches: Iterable[tuple[Any, ...]]) -> bool:
        """Compute running statistics anew, for gates as they are deployed.

        Args:
            guide: The trained guide.
            batches: Model arguments.

        Returns:
            Whether there are any.
        """
        ...

    def deployed_log_likelihood(
        self, guide: Any, batches: Iterable[tuple[Any, ...]]
    ) -> tuple[float, float, int] | None:
        """How well the deployed network predicts.

        Args:
            guide: The trained guide.
            batches: Model arguments.

        Returns:
            Its mean log likelihood of an example in nats, the number of entries of an example's target, and
            the number of examples that the likelihood of the model stands for; ``None`` without targets.
        """
        ...


class ModelAbilities:
    """The abilities of a model beside being run. A method that it lacks is ``None``.

    Args:
        model: Any Pyro model, a function or a module.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def costs(self) -> CostedModel | None:
        """The model, if it has costs of its own."""
        return self.model if isinstance(self.model, CostedModel) else None

    @property
    def deployed_share(self) -> Callable[[str, Mapping[str, Tensor]], Tensor] | None:
        """Gives the exact cost of a decided network, where ``cost_share`` leaves out what stays anyhow.

        A method ``deployed_share``, called like ``cost_share`` with zeros and ones; without it, that is
        ``cost_share`` itself.
        """
        costs = self.costs
        return None if costs is None else self._method("deployed_share") or costs.cost_share

    @property
    def settle_cost(self) -> Callable[[str, Mapping[str, Tensor]], bool] | None:
        """Measures a decided network, for costs that are measured; says whether they changed."""
        return self._method("settle_cost")

    @property
    def cost_state(self) -> nn.Module | None:
        """What was measured of its costs, its attribute ``cost_state``; ``None`` without one."""
        found: nn.Module | None = getattr(self.model, "cost_state", None)
        return found

    @property
    def deployed(self) -> DeployedModel | None:
        """The model, if it can say how well what is deployed predicts."""
        return self.model if isinstance(self.model, DeployedModel) else None

    @property
    def live(self) -> LiveModel | None:
        """The model, if it can leave units out."""
        return self.model if isinstance(self.model, LiveModel) else None

    @property
    def shrinkable(self) -> ShrinkableModel | None:
        """The model, if units can be taken out of it for good while it is trained."""
        return self.model if isinstance(self.model, ShrinkableModel) else None

    @property
    def per_example_gates(self) -> bool:
        """Whether its gate sites take a value with the examples as first dimension.

        It is so for a model with the attribute ``supports_per_example_gates = True``.
        """
        return bool(getattr(self.model, "supports_per_example_gates", False))

    @property
    def data_sites(self) -> frozenset[str]:
        """Sites of gates on what the model is given, its attribute ``data_sites``."""
        found: frozenset[str] = getattr(self.model, "data_sites", frozenset())
        return found

    @property
    def example_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs that it was laid out for, rows first, its attribute ``example_shapes``."""
        found: tuple[tuple[int, ...], ...] = getattr(self.model, "example_shapes", ())
        return found

    def keeps_one(self, site: str, gates: int) -> bool:
        """Whether a site has a gate open in any case: one of several, or the only one on all that passes.

        A lone gate may shut otherwise, as that of a residual block. The model's attribute ``bottlenecks``
        names the sites whose lone gate is on the only unit that a layer reads or gives.

        Args:
            site: The site.
            gates: Its number of gates.
        """
        return gates > 1 or site in getattr(self.model, "bottlenecks", frozenset())

    @property
    def check_data(self) -> Callable[..., None] | None:
        """Refuses data that the model cannot observe; called with all the model's arguments."""
        return self._method("check_data")

    @property
    def use_num_data(self) -> Callable[[int], None] | None:
        """Takes the number of examples of the loader, unless the model was given one."""
        return self._method("use_num_data")

    @property
    def deploy(self) -> Callable[..., nn.Module] | None:
        """Gives the deployed network, for a guide and a deployment rule."""
        return self._method("deploy")

    @property
    def round_widths(self) -> Callable[..., dict[str, Tensor]] | None:
        """Rounds numbers of units, given zeros and ones by site, scores, the number, and what fits."""
        return self._method("round_widths")

    @property
    def run_deployed(self) -> Callable[[nn.Module, Any], Any] | None:
        """Runs the deployed network on inputs as the model takes them; without it they are its argument."""
        return self._method("run_deployed")

    @property
    def num_data(self) -> int | None:
        """Number of examples that a batch stands for, its attribute ``num_data``; ``None`` for its own."""
        found: int | None = getattr(self.model, "num_data", None)
        return found

    @property
    def misfit(self) -> Callable[[Any], str] | None:
        """Says for a guide why the deployed network would be of full size; empty where it would not be."""
        return self._method("misfit")

    @property
    def cost_summary(self) -> Callable[[Any], dict[str, float]] | None:
        """Gives dense, expected and deployed cost for a guide, by name."""
        return self._method("cost_summary")

    @property
    def likelihood(self) -> Any:
        """The law of the response or its name, its attribute ``likelihood``; ``None`` without one."""
        return getattr(self.model, "likelihood", None)

    @property
    def coords(self) -> Mapping[str, Sequence[Any]]:
        """Coordinate values by dimension name, its attribute ``coords``; empty without one."""
        found: Mapping[str, Sequence[Any]] = getattr(self.model, "coords", {})
        return found

    @property
    def dims(self) -> Mapping[str, Sequence[str]]:
        """Dimension names by site, its attribute ``dims``; empty without one."""
        found: Mapping[str, Sequence[str]] = getattr(self.model, "dims", {})
        return found

    def _method(self, name: str) -> Callable[..., Any] | None:
        found = getattr(self.model, name, None)
        return found if callable(found) else None
