r"""Where to go from the demo, for each of the three who may have run it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["next_steps"]


def next_steps(out: Path) -> list[str]:
    """Three next steps.

    Args:
        out: Folder of the demo's results.
    """
    return [
        "Next:",
        "  A table of yours    l0bayes select yours.csv 'outcome ~ .' --out report      a report to mail",
        f"  A model of yours    l0bayes table {out / 'clinics' / 'posterior.nc'}, then docs/start-pyro.md",
        "  A network of yours  l0bayes train lenet-300-100 --data digits --target macs:0.1, then",
        "                      docs/start-network.md",
    ]
