r"""Expressions inside a formula that Python would evaluate, but not as one means them."""

from __future__ import annotations

import ast
from collections.abc import Callable

__all__ = ["check_expression", "function_of", "squares"]

_TRUTHS = (ast.Compare, ast.BoolOp, ast.Call)
_LIBRARIES = {"np", "numpy"}
_SIZES = {"abs", "absolute", "fabs"}
_POWERS = {"square", "power", "float_power", "pow"}
_PRODUCTS = {"multiply", "mul"}
_SIGNS: dict[type[ast.operator], str] = {ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"}


def check_expression(expression: str, is_truth: Callable[[str], bool]) -> None:
    """Refuse ``&`` and ``|`` between what are no comparisons: Python would combine the bits of numbers.

    ``a > 3 & b < 2`` is such a case: ``&`` binds more tightly than comparisons do.

    Args:
        expression: The expression, a function or what stands in braces, with stand-ins for columns.
        is_truth: Whether a name is that of a column of truth values.

    Raises:
        ValueError: If it is no expression, or has such a sign.
    """
    for node in ast.walk(_tree(expression)):
        sign = _SIGNS.get(type(node.op)) if isinstance(node, ast.BinOp) else None
        if (
            sign
            and isinstance(node, ast.BinOp)
            and not (_true(node.left, is_truth) and _true(node.right, is_truth))
        ):
            raise ValueError(
                f"formula has {sign} between numbers in {expression}: for 'and' and 'or' put comparisons "
                f"into parentheses, as in (a > 1) {'&' if sign == '^' else sign} (b > 1)"
            )


def _true(node: ast.expr, is_truth: Callable[[str], bool]) -> bool:
    if isinstance(node, ast.Name):
        return is_truth(node.id)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Invert | ast.Not) and _true(node.operand, is_truth)
    if isinstance(node, ast.BinOp):
        return type(node.op) in _SIGNS
    return isinstance(node, _TRUTHS)


def function_of(expression: str) -> str:
    """Name of the function that an expression is a call of: ``"C"`` of ``"C(region)"``; else nothing.

    Args:
        expression: The expression.
    """
    tree = _tree(expression)
    call = tree.body if isinstance(tree.body, ast.Call) else None
    return ast.unparse(call.func) if call is not None and isinstance(call.func, ast.Name) else ""


def squares(expression: str) -> list[str]:
    """Columns that an expression takes as they stand into a power, or into a product with another.

    Where such a column has its zero decides what the result says: :math:`x^2` of degrees Celsius is another
    curve than that of degrees Fahrenheit.

    Args:
        expression: The expression.
    """
    found: list[str] = []
    for node in ast.walk(_tree(expression)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            found += _as_they_stand(node.left)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            both = [_as_they_stand(side) for side in (node.left, node.right)]
            found += both[0] + both[1] if all(both) else []
        elif isinstance(node, ast.Call):
            found += _in_call(node)
    return list(dict.fromkeys(found))


def _as_they_stand(node: ast.expr) -> list[str]:
    """Columns of a sum of columns; nothing where numbers or functions may have moved their zero."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        both = [_as_they_stand(side) for side in (node.left, node.right)]
        return both[0] + both[1] if all(both) else []
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        return _as_they_stand(node.operand)
    if isinstance(node, ast.Call) and _last_name(node) in _SIZES and len(node.args) == 1:
        return _as_they_stand(node.args[0])
    return []


def _in_call(call: ast.Call) -> list[str]:
    """Columns of a power or a product that is written as a function, ``np.square(t)``, or a method."""
    name = _last_name(call)
    if name == "poly" and _is_raw(call):
        return [given.id for given in call.args[:1] if isinstance(given, ast.Name)]
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    of_method = _as_they_stand(owner) if owner is not None and ast.unparse(owner) not in _LIBRARIES else []
    given = [of_method, *map(_as_they_stand, call.args)] if of_method else [*map(_as_they_stand, call.args)]
    if name in _POWERS and given:
        return given[0]
    if name in _PRODUCTS and len(given) > 1 and all(given[:2]):
        return given[0] + given[1]
    return []


def _last_name(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _is_raw(call: ast.Call) -> bool:
    given = [word.value for word in call.keywords if word.arg == "raw"] or call.args[2:3]
    return any(isinstance(value, ast.Constant) and bool(value.value) for value in given)


def _tree(expression: str) -> ast.Expression:
    try:
        return ast.parse(expression.strip(), mode="eval")
    except SyntaxError:
        raise ValueError(f"formula cannot be read: {expression!r} is no expression") from None
