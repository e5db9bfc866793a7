r"""Sums over discrete latents in log space, in operations that batch, differentiate and can be captured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from pyro.ops.rings import Ring
from torch import Tensor

__all__ = ["LogSums", "dims_of", "with_dims"]


def dims_of(factor: Tensor) -> str:
    """The dimensions of a packed factor, a symbol each.

    Args:
        factor: What :func:`pyro.ops.packed.pack` gave.
    """
    found: str = factor._pyro_dims  # type: ignore[attr-defined]
    return found


def with_dims(factor: Tensor, dims: str) -> Tensor:
    """A factor whose dimensions have symbols.

    Args:
        factor: A tensor.
        dims: A symbol for each of its dimensions.
    """
    factor._pyro_dims = dims  # type: ignore[attr-defined]
    return factor


class LogSums(Ring):
    """Products are sums, and sums are ``logsumexp``, as in Pyro's ``LogRing``.

    That one calls an autograd function of a form that torch.func does not take. Here one dimension is summed
    at a time, that with the smallest joint factor first, so that a Markov chain takes as many steps as it
    is long.
    """

    def sumproduct(self, terms: Iterable[Tensor], dims: Iterable[str]) -> Tensor:
        """The product of factors, summed over some dimensions.

        Args:
            terms: Packed factors, at least one.
            dims: Symbols of the dimensions.
        """
        left, todo = list(terms), set(dims)
        todo &= {symbol for term in left for symbol in dims_of(term)}
        while todo:
            symbol = min(sorted(todo), key=lambda one: _joint_size(left, one))
            joined = _product([term for term in left if symbol in dims_of(term)])
            left = [term for term in left if symbol not in dims_of(term)]
            place, names = dims_of(joined).index(symbol), dims_of(joined).replace(symbol, "")
            left.append(with_dims(torch.logsumexp(joined, place), names))
            todo.remove(symbol)
        return _product(left)

    def product(self, term: Tensor, ordinal: Any) -> Tensor:
        """The product of a factor along plates.

        Args:
            term: A packed factor.
            ordinal: Symbols of the plates.
        """
        names = dims_of(term)
        places = [place for place, symbol in enumerate(names) if symbol in ordinal]
        if not places:
            return term
        return with_dims(term.sum(places), "".join(symbol for symbol in names if symbol not in ordinal))

    def inv(self, term: Tensor) -> Tensor:
        """The inverse of a factor.

        Args:
            term: A packed factor.
        """
        return with_dims(-term.clamp(min=torch.finfo(term.dtype).min), dims_of(term))


def _joint_size(terms: list[Tensor], symbol: str) -> int:
    sizes = {
        one: size
        for term in terms
        if symbol in dims_of(term)
        for one, size in zip(dims_of(term), term.shape, strict=True)
    }
    total = 1
    for size in sizes.values():
        total *= size
    return total


def _product(terms: list[Tensor]) -> Tensor:
    names = "".join(sorted({symbol for term in terms for symbol in dims_of(term)}))
    total: Tensor = sum((_aligned(term, names) for term in terms), torch.zeros(()))
    return with_dims(total, names)


def _aligned(term: Tensor, names: str) -> Tensor:
    own = dims_of(term)
    ordered = term.permute([own.index(symbol) for symbol in names if symbol in own])
    return ordered[tuple(slice(None) if symbol in own else None for symbol in names)]
