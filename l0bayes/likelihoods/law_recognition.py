"""How a likelihood is recognised in a Pyro model: from the law of an observed site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from l0bayes.likelihoods.predictor_precision import PredictorPrecision

__all__ = ["RecognisedByLaw"]


class RecognisedByLaw:
    """What a likelihood reads from a Pyro law, out of ``to_event`` and ``mask``, of one of its types.

    Attributes:
        laws: The types. The likelihood whose type is nearest to a law's own is the one that reads it.
    """

    laws: ClassVar[tuple[type, ...]] = ()

    @classmethod
    def predictor_of(cls, law: Any) -> Tensor:
        """The predictor of a law that a model observes, of the shape of the law's entries.

        Args:
            law: The law.
        """
        raise NotImplementedError(f"{cls.__name__} is recognised in no law")

    @classmethod
    def precision_of(cls, law: Any) -> PredictorPrecision:
        """How well :meth:`predictor_of` recovers the predictor.

        Args:
            law: The law.
        """
        return PredictorPrecision.direct(cls.predictor_of(law).dtype)

    @classmethod
    def parameters_of(cls, law: Any) -> dict[str, Tensor]:
        """Positive parameters beside predictor and noise scale that no latent may move, by their names.

        Args:
            law: The law.
        """
        return {}

    @classmethod
    def weights_of(cls, law: Any) -> Tensor | None:
        """Case weights that a law of all rows together holds; ``None`` for ones.

        Args:
            law: The law.
        """
        return None

    @classmethod
    def noise_of(cls, law: Any) -> Tensor:
        """Scale of the noise, where there is one.

        Args:
            law: The law.
        """
        raise NotImplementedError(f"{cls.__name__} has no noise")

    @classmethod
    def of_law(cls, law: Any, rows: Callable[[Tensor], Tensor]) -> Self:
        """The likelihood with the parameters of a law.

        Args:
            law: The law.
            rows: From a parameter of the law to its entry for every observed row, shape ``(n,)``.

        Raises:
            ValueError: If a parameter differs between rows that has to be the same.
        """
        return cls()

    @staticmethod
    def same_in_all_rows(what: str, values: Tensor) -> float:
        """The number that all rows have.

        Args:
            what: What it is.
            values: One a row.

        Raises:
            ValueError: If rows differ.
        """
        if not torch.allclose(values, values[0], atol=0.0):
            raise ValueError(f"the {what} differs between rows")
        return float(values[0])
