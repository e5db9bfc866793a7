r"""What a law of a response is, for models, engines of selection, estimators and reports alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from l0bayes.likelihoods.for_selection import ForSelection
from l0bayes.likelihoods.law_recognition import RecognisedByLaw
from l0bayes.likelihoods.likelihood_options import Options
from l0bayes.likelihoods.likelihood_words import WORDS_OF_ANY, Words

__all__ = ["Likelihood"]


class Likelihood(Options, RecognisedByLaw, ForSelection, ABC):
    r"""The law of a response y given a predictor η: one class a law, in a file of its own.

    Options are arguments of the constructor, each with a default, kept in an attribute of the same name.
    :func:`~l0bayes.likelihoods.likelihood_registry.register` makes a class known by its name. Whoever uses
    one asks the attributes below what it is, and the methods ``supports_...`` whether something can be
    done: they return ``None``, or the reason why not.

    Attributes:
        name: Name in the registry.
        words: Its description in tables and reports; by default one that would do for any.
        conjugate: Whether coefficients with Normal priors are integrated out in closed form.
        has_noise: Whether it has a noise with a scale: the option ``noise_scale``, ``None`` for an unknown
            one, and ``"noise"`` among :meth:`latents`.
        has_classes: Whether the response is a class, and :meth:`inverse_link` gives its probabilities.
        by_row: Whether each row is an observation; otherwise all rows together are one.
        takes_trials: Whether each row has a number of trials, see :meth:`with_trials`.
        takes_exposure: Whether its mean is in proportion to an exposure, whose logarithm is then an offset.
        takes_intercept: Whether adding a constant to η changes anything.
        has_moments: Whether a response has a variance under all of its options.
        weights_multiply: Whether case weights multiply the log likelihood from outside; otherwise
            :meth:`law` takes them in.
        response_shape: Shape of one row's response.
        response_labels: Names of its entries by the name of their dimension.
    """

    name: ClassVar[str]
    words: ClassVar[Words] = WORDS_OF_ANY
    conjugate: ClassVar[bool] = False
    has_noise: ClassVar[bool] = False
    has_classes: ClassVar[bool] = False
    by_row: ClassVar[bool] = True
    takes_trials: ClassVar[bool] = False
    takes_exposure: ClassVar[bool] = False
    takes_intercept: ClassVar[bool] = True
    has_moments: ClassVar[bool] = True
    weights_multiply: ClassVar[bool] = True
    response_shape: ClassVar[tuple[int, ...]] = ()
    response_labels: ClassVar[dict[str, list[str]]] = {}

    def with_trials(self, trials: Tensor | None) -> Self:
        """The likelihood of rows with so many trials.

        Args:
            trials: Number of trials of each row, shape ``(n,)``.

        Raises:
            ValueError: If some are given and it takes none, or the other way round.
        """
        if trials is not None:
            raise ValueError(f"trials must be None for the {self.name} likelihood, which has no trials")
        return self

    def fractional(self) -> Self:
        """The likelihood of responses that need not be whole, its density by the same formula."""
        return self

    # ---- what it can be used for -----------------------------------------------------------------

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Sites that :meth:`latents` samples."""
        return ()

    def supports_regression(self) -> str | None:
        """Why there is no regression with one predictor a row, if so."""
        return None

    def supports_network(self) -> str | None:
        """Why it cannot be the law of a network's outputs, if so."""
        if not self.by_row:
            return "an observation is all rows together"
        if self.takes_trials:
            return "each row needs a number of trials"
        return self._unknown()

    def supports_derivatives(self) -> str | None:
        """Why there are no :meth:`derivatives`, if so."""
        if not self.by_row:
            return "an observation is all rows together, so that no row has a log density of its own"
        return self._unknown()

    def supports_draws(self) -> str | None:
        """Why no responses can be drawn, if so."""
        return None

    # ---- the Pyro law ----------------------------------------------------------------------------

    def latents(self, one: Tensor) -> dict[str, Tensor]:
        """Sample the latents that it has, and return all values that :meth:`law` needs.

        Args:
            one: A one, of the precision and on the device of the predictor.
        """
        return {}

    @abstractmethod
    def law(self, predictor: Tensor, latents: dict[str, Tensor], weights: Tensor | None = None) -> Any:
        """The Pyro law of the responses.

        Args:
            predictor: η, shape ``(..., n)``.
            latents: What :meth:`latents` gave.
            weights: Case weights, shape ``(n,)``; only where not ``weights_multiply``.
        """

    # ---- what can be observed --------------------------------------------------------------------

    @property
    @abstractmethod
    def accepts(self) -> str:
        """What a response must be: ``"zeros and ones"``."""

    @abstractmethod
    def violations(self, y: Tensor) -> Sequence[tuple[str, Tensor]]:
        """Conditions on a response, each with where it is not met: ``[("be positive", y <= 0)]``.

        Args:
            y: Responses, any shape.
        """

    def impossible(self, y: Tensor) -> Tensor:
        """Where a response cannot be observed, of the shape of ``y``.

        Args:
            y: Responses, any shape.
        """
        wrong = torch.zeros_like(y, dtype=torch.bool)
        for _, where in self.violations(y):
            wrong = wrong | where
        return wrong

    def check(self, y: Tensor) -> None:
        """Refuse responses that cannot be observed.

        Args:
            y: Responses, shape ``(n, *response_shape)``.

        Raises:
            ValueError: By the first row: what it holds, and what is accepted.
        """
        comma = "," if "," in self.accepts else ""
        self.refuse("y", y, self.impossible(y), f"{self.accepts}{comma} for the {self.name} likelihood")

    @staticmethod
    def refuse(name: str, values: Tensor, wrong: Tensor, accepted: str) -> None:
        """Raise where something is wrong.

        Args:
            name: Name of the argument.
            values: Its values, at least one dimension.
            wrong: Where they are wrong.
            accepted: What is accepted.

        Raises:
            ValueError: By the first row.
        """
        if bool(wrong.any()):
            first = tuple(wrong.nonzero()[0].tolist())
            raise ValueError(
                f"{name} must hold {accepted}; got {values[first].item()!r} ({int(wrong.sum())} values out "
                f"of range, the first in row {first[0]})"
            )

    def as_response(self, y: Any) -> Tensor:
        """A response as one tensor of numbers, from how a user may give it; ``True`` is 1.

        Args:
            y: A tensor of shape ``(n, *response_shape)``, or what else this likelihood takes.
        """
        response: Tensor = y
        if isinstance(y, Tensor) and y.dtype == torch.bool:
            response = y.to(torch.get_default_dtype())
        return response

    def target_shape(self, output_shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the responses that go with outputs of a network.

        Args:
            output_shape: Shape of the outputs, rows first.
        """
        return tuple(output_shape)

    def instead(self, y: Tensor, output_shape: Sequence[int]) -> str:
        """What to give where these do not fit outputs of this shape, in words; empty if it is not known."""
        return ""

    def check_targets(self, y: Tensor, output_shape: Sequence[int]) -> None:
        """Refuse responses that cannot be observed beside outputs of a network.

        Args:
            y: Responses.
            output_shape: Shape of the outputs, rows first.

        Raises:
            ValueError: By the first row.
        """
        self.check(y)

    # ---- density and mean ------------------------------------------------------------------------

    def derivatives(self, y: Tensor, eta: Tensor, order: int) -> tuple[Tensor, ...]:
        r"""Log density and its derivatives :math:`\partial^k \log p(y \mid \eta)/\partial\eta^k`.

        Args:
            y: Response, shape ``(n,)``.
            eta: η, shape ``(..., n)``.
            order: Highest derivative wanted, 0 to 4.

        Returns:
            ``order + 1`` tensors of the shape of ``eta``.

        Raises:
            NotImplementedError: If there are none, with the reason of :meth:`supports_derivatives`.
        """
        raise NotImplementedError(f"the {self.name} likelihood has no derivatives: {self._why_not()}")

    def log_density(self, y: Tensor, eta: Tensor) -> Tensor:
        """Log density of each row.

        Args:
            y: Response, shape ``(n,)``.
            eta: η, shape ``(..., n)``.
        """
        return self.derivatives(y, eta, 0)[0]

    def starting_predictor(self, y: Tensor) -> Tensor:
        """A finite η near the one that makes each response most probable, shape ``(n,)``.

        Args:
            y: Response, shape ``(n,)``.
        """
        raise NotImplementedError(f"the {self.name} likelihood has no derivatives: {self._why_not()}")

    def _unknown(self) -> str | None:
        return f"{self.unknowns[0]} is a latent of its own; give a number" if self.unknowns else None

    def _why_not(self) -> str:
        return self.supports_derivatives() or "its class does not define them"

    def link(self, mean: Tensor) -> Tensor:
        """The predictor at which the mean of a response (of one trial) is this.

        Args:
            mean: Mean, any shape.
        """
        raise NotImplementedError(f"the {self.name} likelihood has no mean")

    def inverse_link(self, eta: Tensor) -> Tensor:
        """Mean of a response (of one trial), or the probabilities of its classes.

        Args:
            eta: η, any shape.
        """
        raise NotImplementedError(f"the {self.name} likelihood has no mean")

    def mean(self, eta: Tensor) -> Tensor:
        """Mean of a response.

        Args:
            eta: η, shape ``(..., n)``.
        """
        return self.inverse_link(eta)

    def wider(self, y: Tensor, mean: Tensor) -> str:
        """A likelihood of responses y that vary more at these means, in words; empty if there is none."""
        return ""

    def variance(self, eta: Tensor) -> Tensor:
        """Variance of a response.

        Args:
            eta: η, shape ``(..., n)``.

        Raises:
            NotImplementedError: If it has none, or a latent of its own.
        """
        raise NotImplementedError(f"the {self.name} likelihood has no variance: {self._why_not()}")
