"""The description of a likelihood in tables and reports."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["WORDS_OF_ANY", "Words"]


@dataclass(frozen=True)
class Words:
    """A likelihood in words.

    Attributes:
        kind: What a regression with it is: ``"a logistic regression"``.
        formula: Law of one response, as HTML with ``<sub>`` and no other tag. ``{event}`` is replaced by the
            name of the class whose probability the predictor gives.
        effects: What a coefficient changes: ``"the log odds"``.
        summary: One line for tables.
    """

    kind: str
    formula: str
    effects: str
    summary: str

    def html(self, event: str = "1") -> str:
        """The formula as HTML.

        Args:
            event: Name of the class, already escaped.
        """
        return self.formula.replace("{event}", event)

    def plain(self, event: str = "1") -> str:
        """The formula as text, an index behind an underscore.

        Args:
            event: Name of the class.
        """
        return re.sub(r"<sub>(.*?)</sub>", r"_\1", self.formula).replace("{event}", event)


WORDS_OF_ANY = Words(
    kind="a regression with a law of its own for the response",
    formula="y<sub>i</sub> ~ p(y<sub>i</sub> | η<sub>i</sub>)",
    effects="the linear predictor",
    summary="a law that is described where it is registered",
)
"""Of a likelihood that does not describe itself."""
