"""What tables and reports say about a likelihood."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Words"]


@dataclass(frozen=True)
class Words:
    """A likelihood in words.

    Attributes:
        kind: What a regression with it is: ``"a logistic regression"``.
        formula: Law of one response, as HTML with ``<sub>`` and no other tag. ``{event}`` stands for what
            happens with the probability that the predictor gives.
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
            event: What ``{event}`` stands for, already escaped.
        """
        return self.formula.replace("{event}", event)

    def plain(self, event: str = "1") -> str:
        """The formula as text, an index behind an underscore.

        Args:
            event: What ``{event}`` stands for.
        """
        return re.sub(r"<sub>(.*?)</sub>", r"_\1", self.formula).replace("{event}", event)
