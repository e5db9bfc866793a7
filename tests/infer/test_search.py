"""The search before a cut: how long it takes, what steers it, and what it leaves out."""

import itertools
import math

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Callback, FitSettings, MeanFieldELBO, Minibatches
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.shrink import shrinking
from l0bayes.infer.shrink.phases import search_gate_rate, search_steps
from l0bayes.infer.shrink.search_elbo import SearchELBO
from l0bayes.infer.targets.costs import costs_of
from l0bayes.infer.targets.kept_gates import kept_gates
from l0bayes.infer.targets.target import Target
from l0bayes.models import SparseNetwork
from tests.infer.fitting import same_state, state_of


def pair():
    """A model and guide whose first layers have units that data do not care for."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(24, 6, generator=generator)
    y = (x[:, 0] > 0).long()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 2))
    model = SparseNetwork(net, inclusion=L0Penalty(0.0), slab=L2Penalty(0.0), num_data=24, example=x[:2])
    return model, AutoHardConcrete(model, (x, y), slab="delta", init_active=0.8), (x, y)


def fitted(path=None, stop=None, **options):
    model, guide, (x, y) = pair()

    def callback(history):
        if history.step[-1] == stop:
            raise KeyboardInterrupt

    settings = {"target": "macs:0.15", "gate_lr": 0.6, "lr": 0.01, "log_every": 5, "steps": 60, "seed": 2}
    settings |= {"shrink": True, "progress": False, "checkpoint": path, "callback": callback}
    settings |= {"search_share": 0.4, **options}
    done = l0bayes.fit(model, guide, Minibatches(x, y, batch_size=12, seed=2), **settings)
    return done, state_of(guide), state_of(model)


class Awake(Callback):
    """How many gates are awake before each step of the whole network."""

    def __init__(self):
        self.counts = []

    def after_step(self, run):
        if run.decision is None:
            self.counts.append(sum(int(one.sum()) for one in run.model.awake.gates().values()))


# ---- how long it takes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "search"),
    [
        (1, 1),
        (2, 1),
        (100, 25),
        (150, 44),
        (415, 150),
        (600, 150),
        (624, 156),
        (1000, 250),
        (1600, 310),
        (8600, 1010),
    ],
)
def test_the_search_takes_as_many_steps_as_a_run_can_spare(steps, search):
    assert search_steps(steps) == search


def test_it_never_falls_as_a_run_becomes_longer_and_its_part_rises_no_more_once_gates_can_decide():
    found = [search_steps(steps) for steps in range(1, 4000)]
    assert all(after >= before for before, after in itertools.pairwise(found))
    exact = [taken / steps for steps, taken in enumerate(found, 1)]
    assert max(exact[10:]) <= 150 / 415 + 0.5 / 415
    from_there = enumerate(itertools.pairwise(exact[414:]), 415)
    assert all(later <= sooner + 1.0 / steps for steps, (sooner, later) in from_there)


@pytest.mark.parametrize(("share", "search"), [(0.1, 200), (0.75, 1500), (0.9999, 1999), (0.0001, 1)])
def test_a_share_of_ones_own(share, search):
    assert search_steps(2000, share) == search
    settings = FitSettings(steps=2000, shrink=True, target="units:0.5", search_share=share)
    assert settings.search_steps == search
    assert settings.record()["search_share"] == share
    assert settings.gate_rate == search_gate_rate(2000, share) == min(0.12, 20.0 / search)


def test_the_network_is_cut_when_its_share_of_the_run_is_over():
    done, *_ = fitted(search_share=0.7)
    assert done.decision.step == 42
    assert fitted(search_share=None)[0].decision.step == search_steps(60) == 15


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, math.nan])
def test_a_share_outside_its_range_is_refused(share):
    with pytest.raises(ValueError, match="search_share must lie strictly between 0 and 1"):
        FitSettings(shrink=True, target="units:0.5", search_share=share)


@pytest.mark.parametrize("settings", [{"target": "units:0.5"}, {"shrink": True}, {}])
def test_a_share_of_no_search_is_refused(settings):
    with pytest.raises(ValueError, match="search_share goes with shrink=True and a target"):
        FitSettings(search_share=0.2, **settings)


# ---- what steers it --------------------------------------------------------------------------------


def test_the_price_looks_ahead_and_is_let_go_faster_than_it_rises():
    model, guide, batch = pair()
    sites = [*model.plan.specs, *(f"{name}.slab" for name in model.links)]
    objective = SearchELBO(
        model,
        guide,
        MeanFieldELBO(),
        sites,
        target=Target.parse("macs:0.2"),
        steps=80,
        observations=24.0,
        gate_rate=0.4,
    )
    price, speed, last = 0.0, 0.0, float(objective.start)
    for step, shift in enumerate([0.0, -0.5, -0.5, -1.5, 0.0, 0.0]):
        for parameter in guide.gate_parameters():
            parameter.data += shift
        objective.ask(min(1.0, 0.2 * step))
        objective.renew()
        now = math.log(objective.shares()[0])
        speed += 0.3 * ((now - last) - speed)
        last = now
        excess = now + 2.0 / 0.4 * speed - float(objective.asked)
        loss, likelihood, kl = objective.with_terms(*batch)
        wanted = float((kl - likelihood).detach()) + 24.0 * price * now
        assert float(loss.detach()) == pytest.approx(wanted, rel=1e-5)
        price = max(0.0, price + 12.0 / 80 * (excess if excess > 0.0 else 4.0 * excess))
        assert float(objective.multiplier) == pytest.approx(price, rel=1e-4, abs=1e-6)
    objective.eval()
    objective.with_terms(*batch)
    assert float(objective.multiplier) == pytest.approx(price, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("steps", "part"), [(40, 0.25), (150, 0.5), (300, 1.0), (4000, 1.0)])
def test_gates_on_what_the_network_is_given_feel_less_of_the_price_in_a_short_search(steps, part):
    """The value of the loss is the same; the price's gradient is a part of what differences of it give."""
    model, guide, batch = pair()
    assert model.data_sites == {"0.gate"}
    sites = [*model.plan.specs, *(f"{name}.slab" for name in model.links)]
    given = {"target": Target.parse("macs:0.2"), "steps": steps, "observations": 24.0, "gate_rate": 0.4}

    def gradients(data_sites, price):
        objective = SearchELBO(model, guide, MeanFieldELBO(), sites, data_sites=data_sites, **given)
        objective.eval()
        objective.multiplier.fill_(price)
        parameters = list(guide.gate_parameters())
        with private_randomness(3):
            loss, *_ = objective.with_terms(*batch)
        return loss.detach(), torch.autograd.grad(loss, parameters)

    free = gradients((), 0.0)[1]
    value, whole = gradients((), 2.0)
    same, felt = gradients(model.data_sites, 2.0)
    assert torch.allclose(value, same)
    wanted = [part if "0" in site else 1.0 for site in guide.gates()]
    assert wanted[0] == part
    for no, full, less, share in zip(free, whole, felt, wanted, strict=True):
        assert float((full - no).abs().max()) > 0.01
        torch.testing.assert_close(less - no, share * (full - no), rtol=1e-3, atol=1e-4)


def test_what_is_expected_stays_near_what_is_asked_for():
    done, *_ = fitted(steps=300, log_every=5, gate_lr=0.2)
    found = done.history
    before = [index for index, step in enumerate(found.step) if step < done.decision.step]
    expected = found.columns["expected_macs"][before[-1]]
    assert 0.6 * 0.15 < expected < 1.5 * 0.15


# ---- what it leaves out ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_units_that_have_shut_are_not_computed_in_the_search_and_all_are_at_the_end(mode):
    awake = Awake()
    done, *_ = fitted(callbacks=[awake], compile=mode)
    assert awake.counts[0] == 6 + 16 + 12
    assert awake.counts[-1] < 25
    assert not done.model.awake.live
    assert all(bool(one.all()) for one in done.model.awake.gates().values())


def test_a_checkpoint_resumes_bit_for_bit_while_units_are_left_out(tmp_path):
    awake = Awake()
    whole, guide, model = fitted()
    part, *_ = fitted(tmp_path / "run", 20, callbacks=[awake])
    assert part.decision is None
    assert awake.counts[-1] < 6 + 16 + 12
    assert not part.model.awake.live  # nothing is left out once a run has ended
    rest, same_guide, same_model = fitted(tmp_path / "run", resume=True)
    assert same_state(guide, same_guide)
    assert same_state(model, same_model)
    assert rest.history == whole.history


# ---- what comes after ------------------------------------------------------------------------------


def test_steps_of_what_is_left_are_captured_where_many_are_left_and_compute_the_same(tmp_path, monkeypatch):
    class Modes(Callback):
        def __init__(self):
            self.found = set()

        def after_step(self, run):
            self.found.add((run.decision is not None, run.gradient_step.mode))

    def modes(**options):
        watch = Modes()
        return watch, fitted(callbacks=[watch], **options)

    few, (eager, guide, model) = modes()
    assert few.found == {(False, "eager"), (True, "eager")}
    monkeypatch.setattr(shrinking, "_CAPTURED_FROM", 30)
    many, (captured, same_guide, same_model) = modes()
    assert many.found == {(False, "eager"), (True, "graph")}
    assert captured.history.elbo == pytest.approx(eager.history.elbo, rel=1e-4)
    for before, after in ((guide, same_guide), (model, same_model)):
        assert all(torch.allclose(value, after[name], atol=1e-5) for name, value in before.items())
    asked, _ = modes(compile="eager")
    assert asked.found == few.found
    fitted(tmp_path / "run", 40)
    again = fitted(tmp_path / "run", resume=True)
    assert same_state(same_guide, again[1])
    assert same_state(same_model, again[2])


def test_a_model_that_computes_everything_is_searched_too(monkeypatch):
    monkeypatch.setattr(ModelAbilities, "live", None)
    done, *_ = fitted()
    assert done.decision.step == 24


def test_of_equally_probable_gates_as_many_stay_as_the_target_allows():
    """The first steps of Adam move all gates by the same amount: a limit would take or leave hundreds."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4))
    model = SparseNetwork(net, inclusion=L0Penalty(0.0))
    guide = AutoHardConcrete(model, (torch.randn(4, 20), torch.zeros(4, dtype=torch.long)))
    with torch.no_grad():
        for value in guide.log_alpha.parameters():
            value.fill_(1.0)
    for share in (0.2, 0.5, 0.8):
        opened = kept_gates(model, guide, Target("macs", share))
        found = float(costs_of(model, guide).cost_share("macs", opened))
        assert share - 0.06 < found <= share
        left = [float(value.mean()) for value in opened.values()]
        assert max(left) - min(left) < 0.1  # no layer alone pays for a tie


def test_layers_with_one_weight_stay_tied_across_the_cut():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
            self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)
            self.two.weight = self.one.weight

        def forward(self, x):
            return self.last(self.two(torch.tanh(self.one(torch.relu(self.first(x))))))

    torch.manual_seed(0)
    x = torch.randn(64, 6)
    y = x[:, :3].argmax(1)
    with pytest.warns(UserWarning, match="weight is shared"):
        model = SparseNetwork(Tied(), gates="input", inclusion=L0Penalty(0.0), slab=L2Penalty(0.0))
    guide = AutoHardConcrete(model, (x, y), slab="delta", init_active=0.9)
    batches = Minibatches(x, y, batch_size=32)
    l0bayes.fit(model, guide, batches, steps=30, target="macs:0.9", shrink=True, progress=False)
    small = model.deploy(guide)
    assert small.two.weight is small.one.weight
