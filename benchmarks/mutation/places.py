"""Places at which a mutant can be made, by the operators of Cosmic Ray, and the text of a mutant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mutant", "all_mutants", "mutated"]

FOLDERS = ("l0bayes/distributions", "l0bayes/infer", "l0bayes/selection/kernels")
OPERATORS = (
    "core/ReplaceBinaryOperator_Add_Sub",
    "core/ReplaceBinaryOperator_Sub_Add",
    "core/ReplaceBinaryOperator_Mul_Div",
    "core/ReplaceBinaryOperator_Div_Mul",
    "core/ReplaceUnaryOperator_Delete_USub",
)
# A minus in front of a whole number names an axis.
_AXIS = re.compile(r"-\s*\d+(?![\d.e])")


@dataclass(frozen=True)
class Mutant:
    """A place, and what is done to it."""

    file: str
    operator: str
    occurrence: int
    line: int


def all_mutants(root: Path) -> list[Mutant]:
    """Every place at which one of the operators can act."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            source = path.read_text()
            lines, nodes = source.splitlines(), list(ast_nodes(get_ast(source)))
            for name in OPERATORS:
                operator = get_operator(name)()
                places = [place for node in nodes for place in operator.mutation_positions(node)]
                for index, place in enumerate(places):
                    if "USub" in name and _AXIS.match(lines[place[0][0] - 1], place[0][1]):
                        continue
                    file = path.relative_to(root).as_posix()
                    found.append(Mutant(file, name, index, place[0][0]))
    return found


def mutated(root: Path, mutant: Mutant) -> str:
    """The file of a mutant, mutated."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    source = (root / mutant.file).read_text()
    code: str | None = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    assert code is not None, mutant
    return code
