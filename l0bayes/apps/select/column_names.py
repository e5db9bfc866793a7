r"""Names of columns that are no Python names, and what stands for them while a formula is read."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["ColumnNames"]


class ColumnNames:
    """Stand-ins for names such as ``1``, ``a:b`` or ``C(region)[T.south]``.

    ``formulaic`` knows terms by their text. To it a column named ``1`` is the intercept, one named ``a:b``
    an interaction, and one named ``C(region)`` a factor. Names that are no identifiers therefore have a
    stand-in, which is one and is no other name, while a formula is read and evaluated.

    Args:
        names: Names of the columns.
        formula: The formula, in which no stand-in may occur.
    """

    def __init__(self, names: Sequence[str], formula: str) -> None:
        mark = "column"
        while any(f"_{mark}" in text for text in (*names, formula)):
            mark += "_"
        self._alias = {
            name: f"_{mark}{index}_" for index, name in enumerate(names) if not name.isidentifier()
        }
        self._name = {alias: name for name, alias in self._alias.items()}
        self._pattern = re.compile(rf"_{mark}\d+_")

    def hide(self, name: str) -> str:
        """What stands for a column: its name, where that is an identifier.

        Args:
            name: The name.
        """
        return self._alias.get(name, name)

    def find(self, hidden: str) -> str:
        """The column for which something stands.

        Args:
            hidden: From :meth:`hide`.
        """
        return self._name.get(hidden, hidden)

    def hide_in(self, formula: str) -> str:
        """A formula in which stand-ins take the place of names in backticks.

        Args:
            formula: The formula.
        """
        return re.sub(r"`([^`]*)`", lambda match: self._alias.get(match[1], match[0]), formula)

    def type_in(self, text: str) -> str:
        """The reverse of :meth:`hide_in`.

        Args:
            text: A formula, or a part of one.
        """
        return self._pattern.sub(lambda match: f"`{self._name[match[0]]}`", text)

    def show_in(self, text: str) -> str:
        """A label or message with names in place of stand-ins: as they are where they stand alone.

        Args:
            text: Such as ``"log(_column3_)"`` or ``"_column3_[T.south]"``.
        """

        def shown(match: re.Match[str]) -> str:
            before, after = text[: match.start()][-1:], text[match.end() :][:1]
            name = self._name[match[0]]
            # Within an expression a name has the backticks that it was typed with.
            alone = before in ("", ":", "'", "`") and after in ("", ":", "[", "'", "`")
            return name if alone else f"`{name}`"

        return self._pattern.sub(shown, text)
