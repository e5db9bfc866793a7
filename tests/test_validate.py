"""Every check accepts its range and refuses the rest by argument, value and what is accepted."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from l0bayes import validate

nan, inf = math.nan, math.inf


ACCEPTED: list[tuple[Callable[..., None], tuple[Any, ...], list[Any]]] = [
    (validate.positive, (), [1, 0.5, 1e-300, np.float32(2.0), torch.tensor(0.1)]),
    (validate.not_negative, (), [0, 0.0, 3.5, inf]),
    (validate.at_least, (1,), [1, 7, np.int64(2), torch.tensor(3)]),
    (validate.at_least, (0,), [0]),
    (validate.inside, ("(0, 1)",), [0.5, 1e-9]),
    (validate.inside, ("[0, 1)",), [0, 0.99]),
    (validate.inside, ("(0, 1]",), [1, 0.01]),
    (validate.inside, ("[0, 1]",), [0, 1.0]),
    (validate.one_of, (("median", "mean"),), ["mean"]),
    (validate.true_or_false, (), [True, False, np.True_]),
    (validate.all_finite, (), [torch.zeros(0), torch.ones(2, 3), torch.arange(3)]),
    (validate.all_positive, (), [torch.ones(2), torch.tensor(inf), torch.arange(1, 3)]),
    (
        validate.squares_fit,
        (),
        [torch.zeros(3), torch.tensor([0.0, 1e-100, 1e100], dtype=torch.float64), torch.zeros(0, 2)],
    ),
    (validate.has_shape, ((2, 3),), [torch.zeros(2, 3)]),
]


@pytest.mark.parametrize(("check", "arguments", "values"), ACCEPTED)
def test_what_is_accepted(check: Callable[..., None], arguments: tuple[Any, ...], values: list[Any]) -> None:
    for value in values:
        check(*arguments, size=value)
    check(*arguments)  # nothing to check


REFUSED: list[tuple[Callable[..., None], tuple[Any, ...], Any, str]] = [
    (validate.positive, (), 0.0, "size must be positive, got 0.0"),
    (validate.positive, (), nan, "size must be positive, got nan"),
    (validate.positive, (), inf, "size must be finite, got inf"),
    (validate.positive, (), "1", "size must be a number and must be positive, got '1'"),
    (validate.positive, (), None, "size must be a number and must be positive, got None"),
    (validate.not_negative, (), -0.1, "size must not be negative, got -0.1"),
    (validate.not_negative, (), nan, "size must not be negative, got nan"),
    (validate.at_least, (2,), 1, "size must be at least 2, got 1"),
    (validate.at_least, (0,), -1, "size must be at least 0, got -1"),
    (validate.at_least, (2,), 2.0, "size must be a whole number, got 2.0"),
    (validate.at_least, (1,), True, "size must be a whole number, got True"),
    (validate.at_least, (1,), None, "size must be a whole number, got None"),
    (validate.inside, ("(0, 1)",), 1, "size must lie strictly between 0 and 1, got 1"),
    (validate.inside, ("[0, 1)",), 1.0, "size must lie in [0, 1), got 1.0"),
    (validate.inside, ("(0, 1]",), 0.0, "size must lie in (0, 1], got 0.0"),
    (validate.inside, ("[0, 1]",), nan, "size must lie in [0, 1], got nan"),
    (validate.inside, ("(0, 1)",), [0.5, 0.5], "size must be a number and must lie strictly between"),
    (validate.one_of, (("median", "mean"),), "mode", "size must be one of median, mean; got 'mode'"),
    (validate.one_of, (("median",),), "medain", "got 'medain'; did you mean 'median'?"),
    (validate.one_of, (("median",), " or a function"), 3, "one of median or a function; got 3"),
    (validate.true_or_false, (), "no", "size must be True or False, got 'no'"),
    (validate.true_or_false, (), 1, "size must be True or False, got 1"),
    (validate.all_finite, (), torch.tensor(nan), "size must hold finite numbers; got nan"),
    (validate.all_finite, (), torch.tensor([0.0, -inf]), "got -inf in row 1"),
    (validate.all_finite, (), torch.tensor([[0.0, 1.0], [nan, 0.0]]), "got nan in row 1, column 0"),
    (validate.all_finite, (), torch.full((1, 1, 2), nan), "got nan in index (0, 0, 0)"),
    (validate.all_positive, (), torch.tensor([1.0, 0.0]), "size must be positive, got 0.0 in row 1"),
    (validate.all_positive, (), torch.tensor([nan]), "size must be positive, got nan in row 0"),
    (
        validate.squares_fit,
        (),
        torch.full((3,), 1e150, dtype=torch.float64),
        "size has numbers of size 1e+150, whose squares",
    ),
    (validate.squares_fit, (), torch.tensor([[0.0, 1e-150]], dtype=torch.float64), "size 1e-150 in column 1"),
    (validate.has_shape, ((2,),), torch.zeros(2, 1), "size must have shape (2,), got (2, 1)"),
]


@pytest.mark.parametrize(("check", "arguments", "value", "message"), REFUSED)
def test_what_is_refused(
    check: Callable[..., None], arguments: tuple[Any, ...], value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check(*arguments, size=value)


def test_arguments_that_were_not_given_are_left_out() -> None:
    assert validate.given(lr=0.1, gate_lr=None, steps=0) == {"lr": 0.1, "steps": 0}
