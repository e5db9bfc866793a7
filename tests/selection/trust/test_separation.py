from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from l0bayes.selection.trust.separation import _by_likelihood, _by_programme, is_separated


def data(n: int, p: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator, dtype=torch.float64)
    return x, torch.bernoulli(torch.sigmoid(x[:, 0] - 0.2), generator=generator)


def test_separated_by_a_direction() -> None:
    x, _ = data(200, 4)
    direction = torch.tensor([1.0, -2.0, 0.5, 0.3], dtype=torch.float64)
    y = (x @ direction > 0.7).double()
    assert is_separated(x, y)
    # With classes of unequal size an intercept is needed here, unless the plane goes through the origin.
    assert is_separated(x, (x @ direction > 0).double(), intercept=False)
    y[0] = 1.0 - y[0]
    assert not is_separated(x, y)


@pytest.mark.parametrize("seed", range(3))
def test_overlapping_classes(seed: int) -> None:
    x, y = data(150, 5, seed)
    assert not is_separated(x, y)


def test_a_category_with_one_class_only_is_quasi_separation() -> None:
    x, y = data(100, 2)
    dummy = torch.zeros(100, 1, dtype=torch.float64)
    dummy[:10] = 1.0
    y[:10] = 1.0
    assert is_separated(torch.cat([x, dummy], 1), y)
    y[3] = 0.0
    assert not is_separated(torch.cat([x, dummy], 1), y)


def test_more_columns_than_rows_and_one_class_only() -> None:
    x, y = data(20, 40)
    assert is_separated(x, y)
    x, y = data(30, 2)
    assert is_separated(x, torch.ones(30))


def test_columns_that_repeat_each_other() -> None:
    x, y = data(120, 3)
    assert not is_separated(torch.cat([x, x[:, :1] + x[:, 1:2]], 1), y)


@pytest.mark.parametrize("n", [12, 20, 30])
def test_the_proofs_agree_with_the_programme(n: int) -> None:
    """Near the border, where about half of all data sets are separated (n = 2p; Cover 1965)."""
    found = []
    for seed in range(12):
        x, _ = data(n, 10, seed)
        y = torch.bernoulli(torch.full((n,), 0.5).double(), generator=torch.Generator().manual_seed(seed))
        signed = x * (2.0 * y - 1.0)[:, None]
        exact = _by_programme(signed)
        assert _by_likelihood(signed) in (None, exact)
        assert is_separated(x, y, intercept=False) == exact
        found.append(exact)
    assert n != 12 or all(found[:1])


def test_large_data_need_no_programme(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Tensor) -> bool:
        raise AssertionError("a proof was at hand")

    monkeypatch.setattr("l0bayes.selection.trust.separation._by_programme", refused)
    x, y = data(10_000, 50)
    begin = time.process_time()
    assert not is_separated(x, y)
    assert is_separated(x, (x[:, 0] > 0.5).double())
    assert time.process_time() - begin < 10.0


def test_bad_input() -> None:
    x, y = data(10, 2)
    with pytest.raises(ValueError, match="zeros and ones"):
        is_separated(x, y + 1.0)
    with pytest.raises(ValueError, match="shapes"):
        is_separated(x, y[:5])
    with pytest.raises(ValueError, match="finite"):
        is_separated(x * torch.nan, y)
