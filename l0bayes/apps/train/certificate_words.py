r"""What the certificate of a saved network says, in words."""

from __future__ import annotations

from typing import Any

__all__ = ["certificate_lines", "size_lines"]


def size_lines(found: dict[str, Any]) -> list[str]:
    """How large a network is, beside the dense one.

    Args:
        found: Its certificate.
    """
    lines = []
    for key, word in (
        ("macs", "MACs"),
        ("parameters", "parameters"),
        ("nonzero", "not 0"),
        ("bytes", "bytes"),
    ):
        small, dense = found["deployed"][key], (found["dense"] or {}).get(key)
        if small is not None:
            lines.append(f"  {word:<11} {'' if dense is None else f'{dense:,.0f} to '}{small:,.0f}")
    return lines


def certificate_lines(found: dict[str, Any]) -> list[str]:
    """How far a network is from the gated one, and how fast beside the dense one.

    Args:
        found: Its certificate.
    """
    lines = []
    if found["largest_difference"]:
        lines.append(
            f"  saved       outputs within {found['largest_difference']['value']:.2g} of the gated network's"
        )
    if found["undecided_gates"]:
        gap = "an unknown amount" if found["expected_gap"] is None else f"{found['expected_gap']:.2g}"
        lines.append(
            f"  undecided   {found['undecided_gates']:,} of {found['gates']:,} gates: outputs in training "
            f"differ by {gap} on average"
        )
    small, dense = (found[key] and found[key]["latency_ms"] for key in ("deployed", "dense"))
    if small:
        parts = [
            f"{f'{dense[rows]:.2f} to ' if dense and dense[rows] is not None else ''}{small[rows]:.2f} ms at "
            f"batch size {rows}"
            for rows in small
            if small[rows] is not None
        ]
        lines.append(f"  time        {', '.join(parts)}")
    return lines
