r"""A formula as typed, read sign by sign: which of its names are columns, and which are functions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from l0bayes.apps.select.column_names import PYTHON_WORDS, ColumnNames, bare
from l0bayes.apps.select.formula_functions import NATURAL_SPLINE, function_called, is_function

__all__ = ["Reading", "read_formula_text", "sides"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |`(?P<quoted>[^`]*)`
    |(?P<string>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<name>\.?\w(?:[\w.]*\w)?)
    |(?P<percent>%[^%\s]*%)
    |(?P<sign>\*\*|==|!=|<=|>=|<-|&&|\|\||.)""",
    re.VERBOSE | re.DOTALL,
)
_TRUTH = {"TRUE": "True", "FALSE": "False"}
_PAIRS = {"(": ")", "[": "]", "{": "}"}
# What R writes inside a function, and how it is written here.
_SIGNS = {
    "&&": "(a > 1) & (b > 1)",
    "||": "(a > 1) | (b > 1)",
    "!": "~(a > 1)",
    "<-": "a < -1, with a space before the minus",
}
_PERCENT = {"%%": "a % b", "%/%": "a // b", "%in%": "a.isin([1, 2])"}


@dataclass
class Reading:
    """What was read.

    Attributes:
        hidden: The formula with stand-ins for columns, and functions by the names that they have here.
        columns: Columns that it names, also those that it takes away.
        unknown: Names that are neither columns nor functions.
        lookalikes: Columns whose odd names stand in the formula without backticks, where they are no names.
        notes: Names that are a column and a function, and as which of the two they were read.
    """

    hidden: str = ""
    columns: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    lookalikes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_formula_text(text: str, known: ColumnNames) -> Reading:
    """Tell columns from functions, by one rule for all names and all places.

    A name before a parenthesis is a function; any other is a column, whatever functions there are. Names
    may hold dots and underscores; odd ones, and Python's own words inside functions, are put into backticks.
    ``^`` is a power everywhere, also inside functions and braces.

    Args:
        text: The formula, or one side of it.
        known: The columns.

    Raises:
        ValueError: If a function is unknown, or something is written as in R where that does not work.
    """
    return _Reader(text, known).read()


def sides(formula: str) -> tuple[str, str]:
    """What stands left and right of the ``~`` of a formula.

    Args:
        formula: The formula.

    Raises:
        ValueError: If there is not one ``~`` with something on both sides.
    """
    depth, places = 0, []
    for match in _TOKEN.finditer(formula):
        depth += (match[0] in _PAIRS) - (match[0] in _PAIRS.values())
        if match[0] == "~" and not depth:
            places.append(match.start())
    left, right = (formula[: places[0]], formula[places[0] + 1 :]) if len(places) == 1 else ("", "")
    if not left.strip() or not right.strip():
        hint = "; write ~ in the place of =" if "=" in formula and not places else ""
        raise ValueError(f"formula must read 'response ~ terms', got {formula!r}{hint}")
    return left.strip(), right.strip()


class _Reader:
    def __init__(self, text: str, known: ColumnNames) -> None:
        self.known, self.found = known, Reading()
        self.tokens = [(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(text)]
        self.next = 0
        self.open: list[tuple[str, bool]] = []  # closing signs awaited, and whether Python stands before them
        unquoted = "".join("``" if kind in ("quoted", "string") else part for kind, part in self.tokens)
        self.found.lookalikes = [
            name
            for name in known.names
            if not bare(name)
            and name not in PYTHON_WORDS
            and not name.isdigit()
            and re.search(rf"(?<![\w.`]){re.escape(name)}(?![\w.`])", unquoted)
        ]

    def read(self) -> Reading:
        parts = []
        while self.next < len(self.tokens):
            kind, text = self.tokens[self.next]
            self.next += 1
            parts.append(getattr(self, f"_{kind}", str)(text))
        self.found.hidden = "".join(parts)
        return self.found

    @property
    def _in_python(self) -> bool:
        return any(python for _, python in self.open)

    def _peek(self, count: int = 0) -> str:
        """A token to come, spaces left out."""
        rest = [text for kind, text in self.tokens[self.next :] if kind != "space"]
        return rest[count] if count < len(rest) else ""

    def _quoted(self, text: str) -> str:
        return self._column(text[1:-1])

    def _name(self, name: str) -> str:
        if name.startswith(".") and self._follows_a_value():
            return name  # an attribute of what stands before it
        if self._peek() == "(" and not (self._in_python and name in PYTHON_WORDS):
            return self._before_parenthesis(name)
        if self._in_python:
            if self._peek() == "=":
                return name  # of an argument
            if name in PYTHON_WORDS:
                if name in self.known:
                    raise ValueError(f"formula has {name!r} in an expression: write `{name}` for the column")
                return _TRUTH.get(name, name)
        if name in self.known:
            return self._column(name)
        if self._in_python and "." in name and is_function(name):
            return name  # a number such as np.pi, or a coding such as contr.sum
        if self._in_python and (owner := self._owner(name)):
            return self._column(owner) + name[len(owner) :]
        if not (self._in_python and is_function(name)):
            self.found.unknown.append(name)
        return name

    def _before_parenthesis(self, name: str) -> str:
        owner = None if is_function(name) else self._owner(name)
        if owner and owner != name and self._in_python:
            return self._column(owner) + name[len(owner) :]  # a method of the column
        if name == "Q" and self._peek(1)[:1] in ("'", '"') and self._peek(2) == ")":
            # Q("my column") is other packages' way of naming an odd column.
            inside = self._peek(1)[1:-1]
            while self.tokens[self.next - 1][1] != ")":
                self.next += 1
            return self._column(inside)
        if owner == name:
            raise ValueError(
                f"formula has the column {name!r} before a parenthesis, as if it were a function: an "
                "operator is missing"
            )
        if name in self.known:
            self.found.notes.append(
                f"{name}(...) in the formula is the function; the column {name!r} is {name} without a "
                "parenthesis"
            )
        called = function_called(name)
        while self.tokens[self.next][0] == "space":
            self.next += 1
        self.next += 1
        self.open.append((")", True))
        if name == NATURAL_SPLINE:
            self.found.notes.append(
                "ns(...) is cs(..., constraints='center') here, a natural cubic spline with df columns "
                "beside the intercept; knots are not those of R"
            )
        return f"{called}("

    def _column(self, name: str) -> str:
        if name not in self.known:
            self.found.unknown.append(name)
            return f"`{name}`"
        self.found.columns.append(name)
        return self.known.hide(name)

    def _number(self, text: str) -> str:
        if text in self.known and not self._in_python:
            self.found.lookalikes.append(text)
        return text

    def _owner(self, name: str) -> str | None:
        """The longest column that a name begins with, up to a dot."""
        parts = name.split(".")
        starts = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        return next((start for start in starts if start in self.known), None)

    def _percent(self, text: str) -> str:
        if self._in_python:
            raise ValueError(f"formula has R's {text}; here one writes {_PERCENT.get(text, 'a function')}")
        return text

    def _sign(self, text: str) -> str:
        if text in _PAIRS:
            inside = text == "{" or (text == "[" and self._follows_a_value())
            self.open.append((_PAIRS[text], self._in_python or inside))
        elif self.open and text == self.open[-1][0]:
            self.open.pop()
        elif text in ("|", "||") and self.open and not self._in_python:
            raise ValueError(
                f"formula has {text!r}: effects that vary by group, as in (1|b), are not for formulas here. "
                "Write C(b) for a factor whose levels share a gate, and a:C(b) for a slope in each"
            )
        elif self._in_python:
            if text == "^":
                return "**"
            if text in _SIGNS:
                raise ValueError(f"formula has R's {text} in an expression; here one writes {_SIGNS[text]}")
        return text

    def _follows_a_value(self) -> bool:
        """Whether what was read last, without a space, is a value."""
        before = self.tokens[self.next - 2] if self.next > 1 else ("space", "")
        return before[0] in ("name", "quoted", "string") or before[1] in (")", "]", "}")
