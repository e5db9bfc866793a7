r"""The progress line of a training run."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

__all__ = ["TrainingProgress"]


class TrainingProgress:
    """A progress bar on standard error with ELBO, expected and deployed L0.

    Args:
        total: Number of steps.
        label: What is being trained.
        num_gates: Number of gates, 0 to leave the gate counts out.
        enabled: Whether to show anything.
    """

    def __init__(self, total: int, label: str, num_gates: int, enabled: bool) -> None:
        self.num_gates = num_gates
        self._bar: Any = None
        self._task: Any = None
        if enabled:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=12),
                TextColumn("{task.completed}/{task.total}"),
                TextColumn("{task.fields[reading]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(label, total=total, reading="")

    def update(self, step: int, elbo: float, expected: float, deployed: int) -> None:
        """Show the state after ``step`` steps."""
        if self._bar is None:
            return
        reading = f"ELBO {elbo:,.1f}"
        if self.num_gates:
            reading += f", gates open {expected:.1f} expected, {deployed} deployed"
        self._bar.update(self._task, completed=step, reading=reading)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
