r"""What stands for the columns of a table while a formula is read: one scheme for all names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = ["PYTHON_WORDS", "ColumnNames", "bare"]

# Words that are Python's own inside a function or braces; a column of such a name needs backticks there.
PYTHON_WORDS = frozenset(
    ["and", "or", "not", "in", "is", "if", "else", "for", "lambda", "None", "True", "False", "TRUE", "FALSE"]
)
_BARE = re.compile(r"\.?[^\W\d](?:[\w.]*\w)?")


def bare(name: str) -> bool:
    """Whether a name can be typed in a formula as it is; others go into backticks.

    Args:
        name: Name of a column: letters, digits, dots and underscores, beginning with a letter, will do.
    """
    return _BARE.fullmatch(name) is not None and name not in PYTHON_WORDS


class ColumnNames:
    """Stand-ins for the names of columns, whatever they are.

    ``formulaic`` finds columns by their text, and other things too: to it ``1`` is the intercept, ``a:b`` an
    interaction, ``weight.kg`` an attribute, and ``center`` and ``log`` are functions even where the table
    has such columns. While a formula is read and evaluated, every column therefore has a stand-in, which is
    an identifier, no function, and in no name and not in the formula.

    Args:
        names: Names of the columns.
        formula: The formula, in which no stand-in may occur.
    """

    def __init__(self, names: Sequence[str], formula: str) -> None:
        mark = "column"
        while any(f"_{mark}" in text for text in (*names, formula)):
            mark += "_"
        self._set({name: f"_{mark}{index}_" for index, name in enumerate(names)})

    @classmethod
    def of_aliases(cls, aliases: Mapping[str, str]) -> ColumnNames:
        """The same names with the stand-ins that they had.

        Args:
            aliases: From names to their stand-ins.
        """
        made = cls((), "")
        made._set(dict(aliases))
        return made

    def _set(self, aliases: dict[str, str]) -> None:
        self._alias = aliases
        self._name = {alias: name for name, alias in aliases.items()}
        self._pattern = re.compile(
            "|".join(sorted(map(re.escape, self._name), key=len, reverse=True)) or "(?!)"
        )

    def __contains__(self, name: object) -> bool:
        return name in self._alias

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._alias)

    def hide(self, name: str) -> str:
        """What stands for a column.

        Args:
            name: The name.

        Raises:
            KeyError: If there is no such column.
        """
        return self._alias[name]

    def find(self, hidden: str) -> str:
        """The column for which something stands; anything else is itself.

        Args:
            hidden: From :meth:`hide`.
        """
        return self._name.get(hidden, hidden)

    def held_in(self, text: str) -> list[str]:
        """The columns that a hidden expression uses.

        Args:
            text: Such as ``"log(_column3_)"``.
        """
        return list(dict.fromkeys(self._name[one] for one in self._pattern.findall(text)))

    def type_in(self, text: str) -> str:
        """A hidden formula as one would type it.

        Args:
            text: The formula, or a part of it.
        """

        def typed(match: re.Match[str]) -> str:
            name = self._name[match[0]]
            return name if bare(name) else f"`{name}`"

        return self._pattern.sub(typed, text)

    def show_in(self, text: str) -> str:
        """A label or message with names in place of stand-ins: as they are where they stand alone.

        Args:
            text: Such as ``"log(_column3_)"`` or ``"_column3_[south]"``.
        """

        def shown(match: re.Match[str]) -> str:
            before, after = text[: match.start()][-1:], text[match.end() :][:1]
            name = self._name[match[0]]
            # Within an expression an odd name has the backticks that it was typed with.
            alone = before in ("", ":", "'", "`") and after in ("", ":", "[", "'", "`")
            return name if alone or bare(name) else f"`{name}`"

        return self._pattern.sub(shown, text)
