r"""The parts of every problem of variable selection: columns, gates and their priors."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.selection.problem.inclusion_prior import InclusionPrior

__all__ = ["SelectionProblem", "default_draws"]

T = TypeVar("T")
_DATA = frozenset({"x", "y", "unpenalised", "offset", "weights"})


@dataclass(frozen=True, eq=False)
class SelectionProblem(ABC):
    r"""A linear predictor with gates. Its two kinds add the law of the response.

    .. math::
        \eta = o + U\alpha + X\beta, \qquad \beta_j = \gamma_{g(j)}\,\theta_j, \qquad
        \theta_j \sim N(0, s_j^2), \qquad \alpha_k \sim N(0, t_k^2)

    The kinds are :class:`~l0bayes.selection.problem.gaussian_problem.GaussianProblem` and
    :class:`~l0bayes.selection.problem.generalised_problem.GeneralisedProblem`. All tensors are float64.

    Args:
        x: Columns that have a gate, shape ``(n, p)``.
        y: Response, shape ``(n,)``.
        prior: Prior of the gates.
        slab_scale: :math:`s_j`, shape ``(p,)``, positive.
        groups: Group of every column, ``0 ... G-1``, shape ``(p,)``; by default each is its own.
        unpenalised: Columns U without a gate, such as an intercept's ones, shape ``(n, k)``.
        unpenalised_scale: :math:`t_k`, shape ``(k,)``; infinity for a flat prior, under which evidences
            lack a constant.
        offset: o, shape ``(n,)``.
        weights: Weights of the rows, positive, shape ``(n,)``.

    Raises:
        ValueError: If shapes do not fit, a number is out of range or not finite.
    """

    is_gaussian: ClassVar[bool]
    """Whether the response is Normal, so that coefficients given the gates and the noise are Normal too."""

    x: Tensor
    y: Tensor
    prior: InclusionPrior
    slab_scale: Tensor
    groups: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    unpenalised: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    unpenalised_scale: Tensor = field(default_factory=lambda: torch.empty(0))
    offset: Tensor = field(default_factory=lambda: torch.empty(0))
    weights: Tensor = field(default_factory=lambda: torch.empty(0))

    def __post_init__(self) -> None:
        vars(self).update(_kept={}, _kept_of_data={})
        n, p = self.x.shape
        if n < 1 or p < 1:
            raise ValueError(f"x must have at least one row and one column, got shape {tuple(self.x.shape)}")
        defaults = {
            "groups": torch.arange(p),
            "unpenalised": torch.empty(n, 0, dtype=torch.float64),
            "unpenalised_scale": torch.empty(0, dtype=torch.float64),
            "offset": torch.zeros(n, dtype=torch.float64),
            "weights": torch.ones(n, dtype=torch.float64),
        }
        for name, value in defaults.items():
            if not getattr(self, name).numel() and value.shape != getattr(self, name).shape:
                object.__setattr__(self, name, value)
        for name in ("x", "y", "slab_scale", "unpenalised", "unpenalised_scale", "offset", "weights"):
            object.__setattr__(self, name, getattr(self, name).to(torch.float64))
        k = self.unpenalised.shape[-1]
        wanted = {
            "y": (n, *self.response_shape), "slab_scale": (p,), "groups": (p,), "unpenalised": (n, k),
            "unpenalised_scale": (k,), "offset": (n,), "weights": (n,),
        }  # fmt: skip
        for name, shape in wanted.items():
            validate.has_shape(shape, **{name: getattr(self, name)})
        for name in ("x", "y", "slab_scale", "unpenalised", "offset", "weights"):
            validate.all_finite(**{name: getattr(self, name)})
        for name in ("x", "y", "unpenalised", "offset"):
            validate.squares_fit(**{name: getattr(self, name)})
        for name in ("slab_scale", "unpenalised_scale", "weights"):
            validate.all_positive(**{name: getattr(self, name)})
        if sorted(set(self.groups.tolist())) != list(range(self.num_groups)):
            raise ValueError("groups must number the groups 0, 1, ... without gaps")
        odds = self.prior.log_odds
        if odds is not None and odds.shape != (self.num_groups,):
            raise ValueError(
                f"log_odds must have one entry for each of {self.num_groups} groups, got {tuple(odds.shape)}"
            )

    # ---- sizes -----------------------------------------------------------------------------------

    @property
    def num_rows(self) -> int:
        """Number of rows n."""
        return len(self.y)

    @property
    def response_shape(self) -> tuple[int, ...]:
        """Shape of one row's response."""
        return ()

    @property
    def num_columns(self) -> int:
        """Number of gated columns p."""
        return self.x.shape[1]

    @property
    def num_unpenalised(self) -> int:
        """Number of columns without a gate k."""
        return self.unpenalised.shape[1]

    @property
    def num_groups(self) -> int:
        """G, the number of gates."""
        return int(self.groups.max()) + 1

    @property
    def mixes_slabs(self) -> str | None:
        """Why slabs are not independent given the noise, and what takes them; ``None`` if they are."""
        return None

    @property
    def times_enumerated(self) -> int:
        """About how often all models are gone through to enumerate them."""
        return 1

    @property
    def noise_variance(self) -> float:
        """σ² where it is known and NaN where it is not; 1 where the response has no noise of its own."""
        return 1.0

    def slab_variance(self, variance: Tensor) -> Tensor:
        """Variance of every slab, shape ``(..., p)``.

        Args:
            variance: Noise variance σ², any shape.
        """
        return self.slab_scale.square().expand(*variance.shape, -1)

    @property
    def group_columns(self) -> list[list[int]]:
        """The columns of every group."""
        members: list[list[int]] = [[] for _ in range(self.num_groups)]
        for column, group in enumerate(self.groups.tolist()):
            members[group].append(column)
        return members

    # ---- computed once and kept ------------------------------------------------------------------

    @property
    def columns(self) -> Tensor:
        """All columns :math:`[U, X]`, the unpenalised ones first, shape ``(n, k + p)``."""
        return self.kept(_all_columns, of_data=True)

    @property
    def prior_scale(self) -> Tensor:
        """Prior standard deviation of every coefficient in the order of ``columns``, shape ``(k + p,)``."""
        return torch.cat([self.unpenalised_scale, self.slab_scale])

    def kept(self, compute: Callable[[Self], T], *, of_data: bool = False) -> T:
        """The value of a function of this problem: computed at the first call, and kept with the problem.

        Copies and pickles leave what is kept behind.

        Args:
            compute: The function; the same object at each call.
            of_data: Whether it depends on x, y, ``unpenalised``, ``offset`` and ``weights`` alone. Problems
                that :meth:`replace` makes by other changes then share its value.
        """
        store: dict[Any, Any] = self.__dict__["_kept_of_data" if of_data else "_kept"]
        if compute not in store:
            store[compute] = compute(self)
        value: T = store[compute]
        return value

    def replace(self, **changes: Any) -> Self:
        """The same problem with other values.

        Args:
            **changes: Values by name.
        """
        changed = replace(self, **changes)
        if not _DATA & set(changes):
            vars(changed)["_kept_of_data"] = self.__dict__["_kept_of_data"]
        return changed

    def parts(self) -> dict[str, Any]:
        """What every problem has, by name, to pose one of another kind for the same columns and gates."""
        return {part.name: getattr(self, part.name) for part in fields(SelectionProblem)}

    def of_columns(self, columns: Tensor, prior: InclusionPrior) -> Self:
        """The same problem with some of the columns, which share one gate.

        Args:
            columns: Their places, at least one, shape ``(k,)``; whole groups.
            prior: Prior of that gate.
        """
        groups = torch.zeros(len(columns), dtype=torch.long)
        return self.replace(
            x=self.x[:, columns], slab_scale=self.slab_scale[columns], groups=groups, prior=prior
        )

    def __getstate__(self) -> dict[str, Any]:
        return {part.name: getattr(self, part.name) for part in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _kept={}, _kept_of_data={})


def _all_columns(problem: SelectionProblem) -> Tensor:
    # No copy where there are none to add.
    return torch.cat([problem.unpenalised, problem.x], 1) if problem.num_unpenalised else problem.x


def default_draws(problem: SelectionProblem) -> int:
    """Size of a sample of models: 4000, and down to 1000 where there are many columns.

    Args:
        problem: The problem.
    """
    return max(1000, min(4000, 1_000_000 // problem.num_columns))
