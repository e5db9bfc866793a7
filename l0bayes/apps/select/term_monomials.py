r"""Terms of a formula as products of powers of variables."""

from __future__ import annotations

import ast
from typing import Any

from l0bayes.apps.select.column_names import ColumnNames

__all__ = ["term_monomials"]


def term_monomials(terms: list[Any], known: ColumnNames) -> tuple[dict[str, int], ...]:
    """Variables and powers of every term: ``a:I(b ** 2)`` is a once and b twice.

    Inside ``I()`` and braces products and whole powers are read; any other expression is a variable.

    Args:
        terms: The terms that have a gate.
        known: The names.
    """
    found = []
    for term in terms:
        powers: dict[str, int] = {}
        for factor in term.factors:
            for name, power in _powers(str(factor.expr), known).items():
                powers[name] = powers.get(name, 0) + power
        found.append(powers)
    return tuple(found)


def _powers(expression: str, known: ColumnNames) -> dict[str, int]:
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        return {known.type_in(expression): 1}
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "I":
        tree = tree.args[0]
    powers = _of_tree(tree)
    if powers is None:
        return {known.type_in(expression): 1}
    return {known.type_in(name): power for name, power in powers.items()}


def _of_tree(tree: ast.expr) -> dict[str, int] | None:
    """Names and powers of a product; ``None`` if it is none."""
    if isinstance(tree, ast.Name):
        return {tree.id: 1}
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Mult):
        left, right = _of_tree(tree.left), _of_tree(tree.right)
        if left is None or right is None:
            return None
        return {name: left.get(name, 0) + right.get(name, 0) for name in (*left, *right)}
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Pow) and isinstance(tree.right, ast.Constant):
        power, base = tree.right.value, _of_tree(tree.left)
        if base is not None and isinstance(power, int) and power > 0:
            return {name: power * one for name, one in base.items()}
    return None
