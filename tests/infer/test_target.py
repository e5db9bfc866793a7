"""A target: parsed, refused where it can't be had, and met by the deployed network."""

import math
import shutil
from dataclasses import replace

import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.distributions import L0Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import (
    Constant,
    GradientStep,
    Linear,
    MeanFieldELBO,
    Minibatches,
    Target,
    TargetELBO,
    TargetWarning,
)
from l0bayes.infer.callbacks.training_run import TrainingRun
from l0bayes.infer.objectives.gate_parts import gate_parameters
from l0bayes.infer.targets.costs import activities
from l0bayes.infer.targets.observations import num_observations
from l0bayes.infer.targets.target_steering import TargetSteering
from l0bayes.sites import spike_and_slab
from tests.infer.costed import WIDTH, Costed, X, Y, guide_of
from tests.infer.fitting import same_state, state_of


def fit(target, steps=1000, model=None, **options):
    model = Costed() if model is None else model
    settings = {"lr": 0.01, "gate_lr": 0.03, "progress": False, "compile": "graph", "guard_collapse": False}
    return l0bayes.fit(model, guide_of(model), (X, Y), steps=steps, target=target, **settings | options)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["units:0.5", "macs:0.25", "macs:0.1"])
def test_the_deployed_network_meets_its_target(target):
    kind, share = target.split(":")
    done = fit(target)
    columns = done.history.columns
    gates = [int(columns[f"open:{name}.gate"][-1]) for name in ("a", "b")]
    reached = sum(gates) / (2 * WIDTH) if kind == "units" else (3 * gates[0] + gates[1]) / (4 * WIDTH)
    assert reached == pytest.approx(columns[f"deployed_{kind}"][-1])
    assert float(share) - 0.038 < reached < float(share) + 0.02  # the costliest gate is 0.0375


def test_the_history_holds_shares_multiplier_and_target():
    done = fit("macs:0.5", steps=100, log_every=20, gate_lr=0.2)
    assert set(done.history.columns) == {
        "expected_macs",
        "deployed_macs",
        "expected_units",
        "deployed_units",
        "open:a.gate",
        "open:b.gate",
        "multiplier",
        "target",
    }
    frame = done.history.to_frame()
    assert frame.shape == (5, 16)
    assert frame["target"].iloc[-1] == pytest.approx(0.5)
    assert (frame["multiplier"] >= 0).all()
    assert frame["target"].is_monotonic_decreasing
    assert done.config["target"] == "macs:0.5"
    assert "target    macs:0.5, expected" in repr(done)


def test_without_a_target_a_costed_model_has_its_shares_recorded():
    done = fit(None, steps=4)
    assert "deployed_macs" in done.history.columns
    assert "multiplier" not in done.history.columns
    assert "target" not in repr(done)


@pytest.mark.filterwarnings(
    "ignore:the deployed network has .* smaller than it had:l0bayes.infer.TargetWarning"
)
def test_the_multiplier_is_let_go_where_the_constraint_is_satisfied():
    """All noise columns: the model prunes below the target by itself, and is not pushed further."""
    model = Costed(penalty=3.0)
    noise = torch.randn(200, generator=torch.Generator().manual_seed(1))
    done = l0bayes.fit(
        model,
        guide_of(model),
        (X, noise),
        steps=600,
        lr=0.01,
        gate_lr=0.05,
        progress=False,
        compile="graph",
        target="units:0.6",
    )
    assert done.history.columns["deployed_units"][-1] < 0.5
    assert done.history.columns["multiplier"][-1] < 1e-4


def test_any_model_has_the_share_of_its_gates():
    def model(x, y):
        beta = spike_and_slab("beta", L0Penalty(0.0), dist.Normal(0.0, 1.0).expand([2 * WIDTH]).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)

    guide = AutoHardConcrete(model, (X, Y), init_active=0.9)
    done = l0bayes.fit(
        model,
        guide,
        (X, Y),
        steps=1000,
        lr=0.01,
        gate_lr=0.03,
        progress=False,
        compile="graph",
        target=Target("units", 0.25),
    )
    assert 0.2 <= done.history.deployed_l0[-1] / (2 * WIDTH) <= 0.275
    assert done.history.columns["deployed_units"][-1] == pytest.approx(
        done.history.deployed_l0[-1] / (2 * WIDTH)
    )


def test_restarts_and_batches_start_the_controller_anew():
    model = Costed()
    guide = guide_of(model)
    batches = Minibatches(X, Y, batch_size=50)
    done = l0bayes.fit(
        model,
        guide,
        batches,
        steps=40,
        gate_lr=0.3,
        restarts=2,
        progress=False,
        compile="eager",
        target="units:0.5",
    )
    starts = [run.history.columns["target"][0] for run in done.restarts]
    assert all(start > 0.75 for start in starts)


# ---- the controller ------------------------------------------------------------------------------------


def objective_of(target="macs:0.1", steps=100, **options):
    model = Costed()
    guide = guide_of(model, slab="delta")
    return TargetELBO(
        model,
        guide,
        MeanFieldELBO(),
        Target.parse(target) if isinstance(target, str) else target,
        **{"steps": steps, "gate_lr": 0.05, "observations": 200.0, **options},
    )


@pytest.mark.parametrize(
    ("steps", "ramp", "gate_lr", "gain"),
    [
        (1000, 0.4, 0.5, 12.0 / 400.0),  # a ramp takes as long as the run has steps
        (4000, 0.4, 0.5, 12.0 / 1600.0),
        (4000, 0.1, 0.5, 12.0 / 400.0),
        (10, 0.4, 0.01, 2.5 * 0.01 / 3.0),  # but no faster than gates travel
    ],
)
def test_the_gain_of_the_controller(steps, ramp, gate_lr, gain):
    target = replace(Target.parse("macs:0.1"), ramp=ramp)
    assert objective_of(target, steps=steps, gate_lr=gate_lr).gain == pytest.approx(gain, rel=1e-12)


def test_the_price_is_on_the_logarithm_of_the_expected_cost():
    objective = objective_of()
    objective.eval()  # the controller holds still
    objective.multiplier.fill_(0.25)
    objective.asked.fill_(0.3)
    torch.manual_seed(0)
    loss, likelihood, kl = objective.with_terms(X, Y)
    share = objective.shares()[0]
    assert loss.item() == pytest.approx(
        (kl - likelihood).item() + 200 * 0.25 * math.log(share / 0.3), rel=1e-5
    )
    assert share == pytest.approx(0.9, abs=1e-4)
    assert float(objective.multiplier) == 0.25


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::l0bayes.infer.TargetWarning")  # 30 steps are few
@pytest.mark.parametrize(
    "mode",
    [
        "graph",
        pytest.param(
            "inductor", marks=pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
        ),
    ],
)
def test_a_captured_controller_is_the_eager_one(mode):
    ends = []
    for form in ("eager", mode):
        model = Costed()
        guide = guide_of(model)
        done = l0bayes.fit(
            model,
            guide,
            (X, Y),
            steps=30,
            gate_lr=0.2,
            progress=False,
            compile=form,
            target="macs:0.2",
            guard_collapse=False,
        )
        assert done.mode == form
        ends.append((state_of(guide), done.history.columns["multiplier"]))
    for name in ends[0][0]:
        torch.testing.assert_close(ends[0][0][name], ends[1][0][name], atol=1e-4, rtol=1e-4)
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-3)
    assert len(set(ends[0][1])) > 10


def test_an_excess_raises_the_multiplier_and_a_shortfall_lowers_it_faster():
    objective = objective_of()
    objective.integral.fill_(0.25)  # it does not fall below 0
    objective.asked.fill_(0.1)
    before = objective.integral.clone()
    objective.with_terms(X, Y)
    rise = float(objective.integral - before)
    assert rise > 0
    objective.asked.fill_(1.2)
    before = objective.integral.clone()
    objective.with_terms(X, Y)
    assert float(objective.integral - before) == pytest.approx(-4 * rise)


@pytest.mark.parametrize(
    ("ratio", "lift"), [(1.1, 0.0), (0.95, 0.0), (0.9**1.25, 0.25), (0.9**1.5, 0.5), (0.81, 1.0), (0.5, 1.0)]
)
def test_a_cost_below_nine_tenths_of_what_is_asked_is_lifted(ratio, lift):
    """By how far it is below, in logarithms, up to the same distance again."""
    objective = objective_of()
    objective.asked.fill_(objective.shares()[0] / ratio)
    objective.with_terms(X, Y)
    assert float(objective.lift) == pytest.approx(0.02 * lift, abs=1e-6)


def test_gates_on_their_way_need_no_push():
    """The same place is judged by where the gates are going."""
    still, moving = objective_of(), objective_of()
    for name in ("a.gate", "b.gate"):
        moving._motion(name)[0].add_(1.0)  # they were more open a step ago
    for objective in (still, moving):
        objective.asked.fill_(0.85)
        objective.with_terms(X, Y)
    assert float(moving.multiplier) < float(still.multiplier)


def test_the_price_does_not_rise_while_half_of_the_open_gates_are_closing():
    """Else it would close all of them alike before it is seen what closes."""
    objective = objective_of()
    objective.asked.fill_(0.1)
    for part in (0.0, 0.25, 0.5):
        objective.begin()
        objective.asked.fill_(0.1)
        objective.smoothing = 0.0  # the velocity stays
        for name in ("a.gate", "b.gate"):
            objective._motion(name)[1].fill_(-part * objective.gate_lr)
        objective.with_terms(X, Y)
        assert float(objective.integral) == pytest.approx(objective.gain * (1.0 - 2.0 * part), abs=1e-6)


def test_the_share_asked_for_falls_from_the_start_in_logarithms_and_slower_towards_the_end():
    objective = objective_of("macs:0.05")
    asked = []
    for progress in (0.0, 0.1, 0.2, 0.3, 0.4, 0.7, 1.0):
        objective.set_progress(progress)
        asked.append(float(objective.asked))
    ways = [1.0 - (1.0 - part) ** 1.5 for part in (0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0)]
    assert asked == pytest.approx([0.9 * (0.05 / 0.9) ** way for way in ways], rel=1e-4)


def test_a_schedule_of_ones_own():
    objective = objective_of()
    objective.target = Target("macs", 0.1, schedule=Linear(0.6, 0.0))
    for progress, wanted in ((0.0, 0.6), (0.5, 0.3), (1.0, 0.1)):
        objective.set_progress(progress)
        assert float(objective.asked) == pytest.approx(wanted)


def count(model, guide, *data):
    return num_observations(MeanFieldELBO().traces(model, guide, *data))


def test_observations_are_counted_with_their_scales():
    model = Costed()
    assert count(model, guide_of(model), X[:50], Y[:50]) == 200.0

    def two(x):
        spike_and_slab("w", 0.5)
        pyro.sample("s", dist.Normal(0.0, 1.0).expand([3]).to_event(1), obs=torch.zeros(3))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(0.0, 1.0).mask(torch.arange(200) < 30), obs=x[:, 0])

    assert count(two, AutoHardConcrete(two, (X,)), X) == 31.0  # 170 are masked


# ---- at the end ----------------------------------------------------------------------------------------


def steered(share="macs:0.31", steps=100, log_alpha=None, **options):
    """A run at its start, and its steering, with gates put to given logits."""
    model = Costed()
    guide = guide_of(model, slab="delta", **options)
    objective = TargetELBO(
        model, guide, MeanFieldELBO(), Target.parse(share), steps=steps, gate_lr=0.05, observations=200.0
    )
    run = TrainingRun(
        objective, torch.optim.SGD(guide.parameters(), 0.1), GradientStep(objective, "eager"), steps, None
    )
    steering = TargetSteering(objective)
    steering.on_start(run)
    if log_alpha is not None:
        with torch.no_grad():
            for name, value in zip(("a", "b"), log_alpha, strict=True):
                getattr(guide.log_alpha, f"{name}/gate_unconstrained").copy_(value)
    return run, steering


def logits(opened, others=-6.0, top=6.0):
    """Logits of a site: so many well open, each less probable than the one before, and the others shut."""
    return torch.where(torch.arange(WIDTH) < opened, top - 0.1 * torch.arange(WIDTH), others)


def test_open_gates_that_are_too_many_are_shut_late_and_the_others_trained_on():
    run, steering = steered(log_alpha=(logits(6), logits(8)))  # (18 + 8) / 80 = 0.325
    before = activities(run.guide)
    run.done = 84
    steering.before_step(run)
    assert run.decision is None
    run.done = 85
    steering.before_step(run)
    after = activities(run.guide)
    # All are open beyond a doubt, so that both sites give the same part, a 6 and b 8 become 5 and 7; then
    # another of b fits (23 / 80, where 24 are allowed), but none of a, which cost 3.
    assert steering.objective.shares()[1] == pytest.approx((15 + 8) / 80)
    shut = {name: value == 0 for name, value in run.decision.opened.items()}
    assert {name: int(value.sum()) for name, value in shut.items()} == {"a.gate": 1, "b.gate": 0}
    for name, value in shut.items():
        assert (after[name][value] < 1e-6).all()
        torch.testing.assert_close(after[name][~value], before[name][~value])
        assert run.decision.steps[name][value].tolist() == [85] * int(value.sum())
        assert run.decision.steps[name][~value].tolist() == [-1] * int((~value).sum())


@pytest.mark.parametrize("level", [0.3, -0.3])
def test_a_network_of_undecided_gates_is_decided_by_rank(level):
    """All open, or all shut, by the median rule; a small difference between the gates says which are kept."""
    ramp = torch.linspace(0.01, -0.01, WIDTH)
    run, steering = steered(log_alpha=(-1.6 + level + ramp, -1.6 + level + ramp))
    assert steering.objective.shares()[1] == (1.0 if level > 0 else 0.0)
    run.done = 85
    steering.before_step(run)
    assert steering.objective.shares() == pytest.approx((0.3, 0.3))
    assert run.decision.opened["a.gate"].tolist() == [1.0] * 6 + [0.0] * 14
    assert float(run.decision.probabilities["a.gate"][0]) == pytest.approx(0.5, abs=0.1)
    state = steering.state_dict(run)
    again, other = steered()
    other.load_state_dict(again, state)
    assert same_state(again.decision.opened, run.decision.opened)
    assert other._missed == steering._missed


def test_what_a_prior_shuts_is_not_opened_again():
    run, steering = steered(log_alpha=(logits(2), logits(2)))  # 0.1 where 0.31 is allowed
    run.done = 85
    steering.before_step(run)
    assert run.decision is None


@pytest.mark.filterwarnings("ignore::l0bayes.infer.PruningWarning")
def test_an_undecided_end_is_said_with_what_was_decided():
    model = Costed()
    said = (
        r"has 1.0000 of .* where 0.5 was .* after 17 steps, with gates undecided: 18 of them, .* leaves 0.5"
    )
    with pytest.warns(TargetWarning, match=said):
        done = l0bayes.fit(
            model,
            guide_of(model),
            (X, Y),
            steps=20,
            gate_lr=0.01,
            target="macs:0.5",
            compile="eager",
            progress=False,
        )
    assert done.decision.step == 17
    assert done.history.columns["deployed_macs"][-1] == pytest.approx(0.5)


# ---- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["macs", "macs:", "macs:ten", "macs:0", "macs:1", "macs:1.5", "macs:-0.1"])
def test_a_target_that_cannot_be_read(text):
    with pytest.raises(ValueError, match=f"target must be 'kind:share'.*got {text!r}"):
        fit(text)


def test_a_target_of_another_type():
    with pytest.raises(TypeError, match=r"target must be a text such as 'macs:0.10' or a Target, got float"):
        fit(0.1)


def test_a_cost_that_the_model_does_not_know():
    with pytest.raises(
        ValueError, match=r"names the cost 'flops'; for this model 'macs', 'units' can be used"
    ):
        fit("flops:0.1")


def test_a_share_below_the_smallest():
    model = Costed()
    guide = guide_of(model)
    before = state_of(guide)
    with pytest.raises(ValueError, match=r"macs:0.04 can't be reached: .* the share of macs is 0.05"):
        l0bayes.fit(model, guide, (X, Y), steps=5, target="macs:0.04")
    assert same_state(before, state_of(guide))


def test_a_guide_without_gates():
    def model(x):
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(mu, 1.0), obs=x)

    with pytest.raises(ValueError, match="has no gates"):
        l0bayes.fit(model, AutoHardConcrete(model, (X[:, 0],)), (X[:, 0],), steps=5, target="units:0.5")


def nearly_shut(model):
    """A guide with one open gate in each site."""
    guide = guide_of(model)
    with torch.no_grad():
        for parameter in gate_parameters(guide):
            parameter.fill_(-4.0)
            parameter.view(-1)[0] = 4.0
    return guide


def untrained(model, target):
    settings = {"lr": 1e-9, "gate_lr": 1e-9, "compile": "eager", "progress": False, "guard_collapse": False}
    return l0bayes.fit(model, nearly_shut(model), (X, Y), steps=2, target=target, **settings)


@pytest.mark.filterwarnings("ignore::l0bayes.infer.PruningWarning")
def test_a_network_much_smaller_than_asked_for_is_said_with_its_figures():
    with pytest.warns(
        TargetWarning, match=r"has 0.0500 of .* macs where 0.6 was asked .* smaller than it had"
    ):
        untrained(Costed(), "macs:0.6")


@pytest.mark.filterwarnings("ignore::l0bayes.infer.PruningWarning")
def test_coarse_gates_that_leave_no_nearer_size_are_no_miss():
    untrained(Costed(), "macs:0.0624")  # the next gate costs 0.0125


def test_a_missed_target_is_said_with_its_figures():
    model = Costed()
    with pytest.warns(TargetWarning, match=r"has 1.0000 of .* macs where 0.1 was asked .* larger gate_lr"):
        l0bayes.fit(
            model,
            guide_of(model),
            (X, Y),
            steps=50,
            gate_lr=1e-9,
            lr_schedule=Constant(1.0),
            target="macs:0.1",
            compile="eager",
            progress=False,
            optimizer=lambda groups: torch.optim.SGD(groups, lr=1e-9),
            lr=1e-9,
        )
