r"""The history: one record every few steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import Record, TrainingRun
from l0bayes.infer.loop.gate_readings import read_gates
from l0bayes.infer.model_abilities import CostedModel
from l0bayes.infer.objectives.gate_parts import temperatures
from l0bayes.infer.targets.costs import activities, deployed, deployed_share_of

__all__ = ["CostColumns", "HistoryRecords"]


class CostColumns(Callback):
    """Gives the history expected and deployed costs, and the open gates of every site.

    Args:
        costs: The costs of the model.
    """

    def __init__(self, costs: CostedModel) -> None:
        self.costs = costs

    @torch.no_grad()
    def columns(self, run: TrainingRun) -> Mapping[str, float]:
        active = activities(run.guide)
        if not active:
            return {}
        strict, found, share_of = deployed(active), {}, deployed_share_of(self.costs)
        for kind in self.costs.cost_kinds:
            found[f"expected_{kind}"] = float(self.costs.cost_share(kind, active))
            found[f"deployed_{kind}"] = float(share_of(kind, strict))
        return found | {f"open:{name}": int(value.sum()) for name, value in strict.items()}


class HistoryRecords(Callback):
    """Writes the history of a run, the further columns of all callbacks included."""

    def on_start(self, run: TrainingRun) -> None:
        run.history.settings = dict(run.settings)

    def on_record(self, run: TrainingRun, record: Record) -> None:
        reading, heat = read_gates(run.guide), temperatures(run.guide)
        run.history.append(
            run.callbacks.columns(run),
            **vars(record),
            expected_l0=reading.expected,
            deployed_l0=reading.deployed,
            temperature=float(heat[0]) if heat else math.nan,
            kl_weight=float(run.objective.kl_weight),
        )

    def state_dict(self, run: TrainingRun) -> dict[str, Any]:
        return asdict(run.history)

    def load_state_dict(self, run: TrainingRun, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(run.history, name, value)
