"""Several runs of one fit: independent, each with copies of its own, the best of them kept."""

import pytest
import torch

from tests.infer.fitting import Shifted, X, Y, guide_of, regression, same_state, short, state_of


def test_runs_have_seeds_histories_and_times_of_their_own():
    fit = short(restarts=3, seed=10, steps=4, log_every=2)
    assert [run.seed for run in fit.restarts] == [10, 11, 12]
    assert all(run.history.step == [2, 4] for run in fit.restarts)
    assert len({tuple(run.history.elbo) for run in fit.restarts}) == 3
    assert all(run.seconds > 0.0 for run in fit.restarts)
    assert fit.seconds >= sum(run.seconds for run in fit.restarts)
    assert fit.config["restarts"] == 3
    assert "restarts  3, objective " in repr(fit)


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_the_first_run_is_the_fit_without_restarts(mode):
    alone, several = guide_of(), guide_of()
    one = short(guide=alone, seed=4, compile=mode)
    fit = short(guide=several, restarts=2, seed=4, compile=mode)
    assert same_state(state_of(alone), state_of(fit.restarts[0].guide))
    assert fit.restarts[0].history == one.history


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_a_later_run_is_the_fit_from_the_perturbed_start(mode):
    """Nothing of an earlier run, its optimiser's state included, is felt in a later one."""
    fit = short(restarts=3, seed=4, compile=mode, steps=5)
    twin = guide_of().perturb(6)
    short(guide=twin, seed=6, compile=mode, steps=5)
    assert same_state(state_of(twin), state_of(fit.restarts[2].guide))


def test_the_guide_ends_as_the_best_run():
    guide = guide_of()
    fit = short(guide=guide, restarts=4, steps=30, lr=0.03)
    elbos = [run.elbo for run in fit.restarts]
    assert len(set(elbos)) == 4
    assert fit.elbo == max(elbos)
    assert fit.best is fit.restarts[elbos.index(max(elbos))]
    assert same_state(state_of(guide), state_of(fit.best.guide))
    worst = fit.restarts[elbos.index(min(elbos))]
    assert not same_state(state_of(guide), state_of(worst.guide))


@pytest.mark.filterwarnings("ignore::l0bayes.infer.PruningWarning")  # the run is too short to close gates
def test_runs_hold_copies_that_later_training_does_not_touch():
    guide = guide_of()
    fit = short(guide=guide, restarts=2)
    kept = [state_of(run.guide) for run in fit.restarts]
    assert all(run.guide is not guide for run in fit.restarts)
    assert fit.restarts[0].guide is not fit.restarts[1].guide
    short(guide=guide, steps=5)
    assert [same_state(state_of(run.guide), was) for run, was in zip(fit.restarts, kept, strict=True)] == [
        True,
        True,
    ]
    # a copy is a guide in working order
    assert set(fit.restarts[0].guide(X, Y)) == {"beta.gate", "beta.slab"}
    assert fit.restarts[0].model is regression


def test_a_single_run_holds_the_guide_itself():
    guide = guide_of()
    assert short(guide=guide).restarts[0].guide is guide


def test_the_models_parameters_start_afresh_and_end_with_the_best():
    model = Shifted()
    guide = guide_of(model)
    fit = short(model, guide, restarts=3, steps=20, lr=0.05, lr_schedule=1.0)
    shifts = [run.model.shift.item() for run in fit.restarts]
    assert len(set(shifts)) == 3
    assert all(1.9 < shift < 2.5 for shift in shifts)  # 20 steps of about 0.05, each from 3
    assert all(run.model is not model for run in fit.restarts)
    assert model.shift.item() == fit.best.model.shift.item()


def test_equal_seeds_give_equal_restarts():
    torch.manual_seed(1)
    one = short(restarts=2)
    torch.manual_seed(2)
    other = short(restarts=2)
    for a, b in zip(one.restarts, other.restarts, strict=True):
        assert same_state(state_of(a.guide), state_of(b.guide))


def test_an_interruption_ends_all_runs_and_keeps_the_best():
    records = []

    def interrupt(history):
        records.append(history.step[-1])
        if len(records) == 5:
            raise KeyboardInterrupt

    guide = guide_of()
    fit = short(guide=guide, restarts=3, steps=4, log_every=1, callback=interrupt)
    assert [run.stopped for run in fit.restarts] == ["finished", "interrupted"]
    assert fit.restarts[1].history.step == [1]
    assert same_state(state_of(guide), state_of(fit.best.guide))


def test_an_interruption_before_a_record_does_not_count_as_best():
    calls = []

    def model(x, y):
        calls.append(1)
        if len(calls) == 1 + 4 + 2:  # one before the first step, four steps, the second of the next run
            raise KeyboardInterrupt
        return regression(x, y)

    guide = guide_of()
    fit = short(model, guide, restarts=2, steps=4, log_every=4)
    assert [run.stopped for run in fit.restarts] == ["finished", "interrupted"]
    assert fit.restarts[1].history.step == []
    assert fit.best is fit.restarts[0]
    assert same_state(state_of(guide), state_of(fit.restarts[0].guide))
