"""A cost that is measured is measured again at some places of a run."""

from types import SimpleNamespace

import pytest

from l0bayes.infer.targets.cost_settling import CostSettling


@pytest.mark.parametrize(
    ("steps", "at"), [(1000, [400, 500, 600, 700, 800, 900]), (25, [10, 12, 15, 18, 20, 22])]
)
def test_it_is_measured_again_as_the_run_goes_on_until_gates_are_decided(monkeypatch, steps, at):
    settled = []
    monkeypatch.setattr(CostSettling, "_settle", lambda self, guide: settled.append(guide))
    callback = CostSettling(object(), "latency")
    for done in range(steps):
        callback.before_step(SimpleNamespace(decision=None, done=done, steps=steps, guide=done))
    assert settled == at
    settled.clear()
    for done in range(steps):
        callback.before_step(SimpleNamespace(decision="made", done=done, steps=steps, guide=done))
    assert settled == []
    callback.on_finish(SimpleNamespace(guide="last"))
    assert settled == ["last"]
