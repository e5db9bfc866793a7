r"""How factors and products were made into columns, in words."""

from __future__ import annotations

from collections.abc import Iterable

from l0bayes.apps.select.formulas import FormulaData

__all__ = ["describe_coding"]

_MOST = 12


def describe_coding(data: FormulaData) -> list[str]:
    """Sentences on how to read the effects of levels and of products.

    Args:
        data: What the formula made of the table.
    """
    sentences = []
    compared = [data.groups[block.columns[0]] for block in data.blocks if any(block.contrasts)]
    if compared:
        sentences.append(
            f"Effects of {_listed(compared)} are those of each level, as differences from the mean of all "
            "its levels: they add up to 0. The prior treats all levels alike, so that no result depends on "
            "what they are called or which comes first; the effect of one level against another is the "
            "difference of the two."
        )
    own = [data.groups[block.columns[0]] for block in data.blocks if not any(block.contrasts)]
    if own:
        sentences.append(f"Effects of {_listed(own)} are those of each level by itself.")
    if data.centres:
        listing = ", ".join(f"{name} less {value:.5g}" for name, value in list(data.centres.items())[:_MOST])
        listing += ", ..." if len(data.centres) > _MOST else ""
        sentences.append(
            f"Products are of columns less their means ({listing}), so that no PIP depends on where a column "
            "has its zero, as degrees Celsius and Fahrenheit do; the effects of such columns by themselves "
            "are those at the mean of the others. --no-centre multiplies columns as they stand."
        )
    elif data.raw_products:
        sentences.append(
            "Products are of columns as they stand: their PIPs depend on where a column has its zero."
        )
    return sentences


def _listed(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:_MOST]) + (", ..." if len(unique) > _MOST else "")
