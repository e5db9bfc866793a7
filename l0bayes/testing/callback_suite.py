"""The conformance suite of callbacks of a fit, as tests to be inherited.

Example::

    class TestAveragedGates(CallbackSuite):
        def callback(self):
            return AveragedGates(0.9)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from l0bayes.guides.auto_hard_concrete import AutoHardConcrete
from l0bayes.infer.callbacks.callback import Callback
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.loop.batches import Minibatches
from l0bayes.infer.loop.fit import fit
from l0bayes.infer.loop.fit_result import Fit
from l0bayes.sites.primitives import spike_and_slab

__all__ = ["CallbackSuite"]

_STEPS, _EVERY = 24, 4


class CallbackSuite:
    """Tests of a callback: runs are independent of one another, and a resumed run is an uninterrupted one."""

    def callback(self) -> Callback:
        """The callback that is tested, made anew."""
        raise NotImplementedError("a suite must define callback()")

    def test_errors_and_checkpoints_can_name_it(self) -> None:
        assert isinstance(self.callback(), Callback)
        assert self.callback().name
        assert self.callback().name == self.callback().name

    def test_two_fits_with_new_callbacks_are_equal(self) -> None:
        _assert_same(_train(self.callback()), _train(self.callback()))

    def test_an_object_that_has_served_is_as_good_as_a_new_one(self) -> None:
        served = self.callback()
        _train(served, seed=8)
        _assert_same(_train(served), _train(self.callback()))

    def test_its_columns_are_the_same_at_every_record(self) -> None:
        history = _train(self.callback())[0].history
        assert all(len(values) == len(history.step) for values in history.columns.values())

    def test_a_resumed_run_ends_like_an_uninterrupted_one(self, tmp_path: Path) -> None:
        whole = _train(self.callback())
        for at in (_EVERY + 1, 2 * _EVERY):  # between two records, and right after one
            path = tmp_path / f"{at}.pt"
            _train(self.callback(), _Interrupt(at), checkpoint=path)
            if path.exists():  # the callback may have ended the run before
                _assert_same(_train(self.callback(), checkpoint=path, resume=True), whole)

    def test_a_finished_run_is_given_back(self, tmp_path: Path) -> None:
        path = tmp_path / "run.pt"
        first = _train(self.callback(), checkpoint=path)
        again = _train(self.callback(), checkpoint=path, resume=True)
        assert again[0].history == first[0].history


class _Interrupt(Callback):
    """Ctrl-C before a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def before_step(self, run: TrainingRun) -> None:
        if run.done == self.at:
            raise KeyboardInterrupt


def _model(x: Tensor, y: Tensor | None = None) -> Any:
    slab: Any = dist.Normal(0.0, 1.0).expand([x.shape[1]])
    beta = spike_and_slab("beta", 0.3, slab.to_event(1))
    with pyro.plate("data", 40, subsample=torch.arange(len(x))):
        return pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)


def _train(*callbacks: Callback, **settings: Any) -> tuple[Fit, dict[str, Any]]:
    """A fit of a few steps, and the state that its callback ended with."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(40, 3, generator=generator)
    y = x[:, 0] + 0.5 * torch.randn(40, generator=generator)
    state: dict[str, Any] = {}

    class Look(Callback):
        def on_end(self, run: TrainingRun) -> None:
            state.update(callbacks[0].state_dict(run))

    guide = AutoHardConcrete(_model, (x, y))
    settings = {"steps": _STEPS, "log_every": _EVERY, "seed": 3, **settings}
    # The last in the list is the first to end: it reads the state before the callback has ended.
    done = fit(
        _model,
        guide,
        Minibatches(x, y, batch_size=10),
        compile="eager",
        progress=False,
        callbacks=[*callbacks, Look()],
        **settings,
    )
    return done, state


def _assert_same(one: tuple[Fit, dict[str, Any]], other: tuple[Fit, dict[str, Any]]) -> None:
    assert one[0].best.stopped == other[0].best.stopped
    assert one[0].history == other[0].history
    for ours, theirs in zip(one[0].guide.parameters(), other[0].guide.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    _assert_equal(one[1], other[1], "state")


def _assert_equal(one: Any, other: Any, where: str) -> None:
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            _assert_equal(one[name], other[name], f"{where}[{name!r}]")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            _assert_equal(*pair, f"{where}[{index}]")
    elif isinstance(one, Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == pytest.approx(other, nan_ok=True) if isinstance(one, float) else one == other, where
