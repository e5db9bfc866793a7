r"""Gate laws by site."""

from __future__ import annotations

from typing import NoReturn

from l0bayes.distributions import GateLaw

__all__ = ["GateLaws"]


class GateLaws(dict[str, GateLaw]):
    """A dictionary from gate sites to laws; of a site that is not there it says which ones are."""

    def __missing__(self, name: object) -> NoReturn:
        raise KeyError(f"no gate site {name!r}; there are {[*self]}")
