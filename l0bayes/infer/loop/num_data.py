r"""For how many examples the likelihood of a batch stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from l0bayes.infer.loop.batch_stream import first_batch, num_examples
from l0bayes.infer.loop.shared_data import counts_all
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.ranks.ranks import Ranks
from l0bayes.infer.row_parts import num_rows
from l0bayes.user_warnings import warn_user

__all__ = ["examples_stood_for", "tell_num_data"]


def tell_num_data(model: Any, data: Any, ranks: Ranks) -> None:
    """Tell a model that wants to know the number of examples, where they come in batches.

    Args:
        model: Any Pyro model.
        data: A tuple of arguments or an iterable of batches.
        ranks: The processes that share the data.

    Warns:
        UserWarning: If they cannot be counted before training.
    """
    able = ModelAbilities(model)
    if able.use_num_data is None or isinstance(data, Tensor | tuple | Mapping):
        return
    count = num_examples(data) if counts_all(data) else ranks.total(num_examples(data))
    if count is not None:
        able.use_num_data(count)
    elif able.num_data is None:
        warn_user(
            f"how many examples the data have cannot be told of a {type(data).__name__} before training, so "
            "that each batch counts as all of them, and the prior for more than its share: give num_data= to "
            f"{type(model).__name__}"
        )


def examples_stood_for(model: Any, data: Any, told: int) -> int:
    """Number of examples that the likelihood of a step stood for.

    Args:
        model: The model.
        data: What it was trained on.
        told: What the model says of it, where it was not told the size of the data.
    """
    able = ModelAbilities(model)
    if able.use_num_data is None or able.num_data is not None:
        return told
    with private_randomness():  # a loader that shuffles draws
        return num_rows(first_batch(data)) or told
