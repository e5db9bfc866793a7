"""fit(): what data it takes, which parameters move at which rate, and what it returns."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI
from pyro.infer.autoguide import AutoGuideList, AutoNormal

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Constant, EarlyStopping, Geometric, Linear, MeanFieldELBO
from l0bayes.sites import spike_and_slab
from tests.infer.fitting import (
    Shifted,
    X,
    Y,
    dense,
    guide_of,
    loader,
    regression,
    same_state,
    short,
    state_of,
)

# ---- data --------------------------------------------------------------------------------------------


def test_the_planted_signal_is_found():
    guide = guide_of()
    fit = short(guide=guide, steps=600, lr=0.03, compile="graph", temperature=0.3)
    assert fit.mode == "graph"
    pips = guide.gates()["beta.gate"].prob_active
    assert pips[0] > 0.99
    assert pips[2] > 0.99
    assert pips[1] < 0.4
    # the slabs of the open gates lie at the ridge solution of their two columns
    two = X[:, [0, 2]]
    exact = torch.linalg.solve(two.mT @ two / 0.25 + torch.eye(2), two.mT @ Y / 0.25)
    found = guide.median()["beta.slab"][[0, 2]]
    torch.testing.assert_close(found, exact, atol=0.1, rtol=0.0)
    assert fit.elbo > fit.history.elbo[0] + 20.0


def test_a_tuple_holds_the_models_arguments():
    seen = []

    def spy(x, y):
        seen.append((x, y))
        return regression(x, y)

    short(spy, guide_of(), (X, Y), steps=1)
    assert all(x is X and y is Y for x, y in seen)
    assert seen


def test_one_tensor_is_the_only_argument():
    def model(x):
        w = spike_and_slab("w", 0.5)
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(w, 1.0), obs=x)

    guide = AutoHardConcrete(model, (X[:, 0],))
    before = state_of(guide)
    fit = short(model, guide, X[:, 0])
    assert not same_state(state_of(guide), before)
    assert fit.history.step == [1, 2, 3]


def test_a_model_without_arguments_needs_no_data():
    def model():
        w = spike_and_slab("w", 0.5)
        pyro.sample("y", dist.Normal(w, 1.0), obs=torch.tensor(2.0))

    assert short(model, AutoHardConcrete(model), ()).history.step == [1, 2, 3]


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_a_loader_with_a_smaller_last_batch(mode):
    """24 rows in batches of 10: 10, 10, 4, each epoch; the captured graph is made anew for the 4."""
    sizes = []

    def spy(x, y):
        sizes.append(len(x))
        return regression(x, y)

    guide = AutoHardConcrete(spy, (X, Y))
    sizes.clear()
    fit = short(spy, guide, loader(10), epochs=2, compile=mode)
    assert fit.config["steps"] == 6
    assert fit.history.step == [1, 2, 3, 4, 5, 6]
    assert fit.mode == mode
    assert all(math.isfinite(value) for value in fit.history.elbo)
    if mode == "eager":
        assert sizes[-6:] == [10, 10, 4, 10, 10, 4]
    else:  # run once a shape to capture it, not once a step
        assert sizes[-2:] == [10, 4]


def test_both_modes_take_the_same_steps_through_a_loader():
    ends = []
    for mode in ("eager", "graph"):
        guide = guide_of()
        short(guide=guide, data=loader(10), epochs=2, compile=mode)
        ends.append(state_of(guide))
    for name in ends[0]:
        torch.testing.assert_close(ends[0][name], ends[1][name], atol=1e-6, rtol=1e-5)


def test_steps_go_on_over_the_loaders_epochs():
    fit = short(data=loader(12), steps=5)
    assert fit.history.step[-1] == 5


def test_a_list_of_batches_is_a_loader():
    fit = short(data=[(X[:12], Y[:12]), [X[12:], Y[12:]]], epochs=2)
    assert fit.history.step == [1, 2, 3, 4]


# ---- rates and optimisers ----------------------------------------------------------------------------


class Recorder(torch.optim.SGD):
    """Plain SGD that remembers the rates of each step."""

    def __init__(self, groups):
        super().__init__(groups, lr=123.0)
        self.rates = []
        self.sizes = [sum(p.numel() for p in group["params"]) for group in self.param_groups]

    def step(self, closure=None):
        self.rates.append([group["lr"] for group in self.param_groups])
        return super().step(closure)


def test_the_factory_gets_two_groups_with_their_rates():
    made = []

    def factory(groups):
        made.append(Recorder(groups))
        return made[-1]

    guide = guide_of()
    fit = short(guide=guide, optimizer=factory, lr=0.01, gate_lr=0.4, lr_schedule=1.0, steps=2)
    (optimizer,) = made
    assert optimizer.rates == [[0.01, 0.4]] * 2
    assert optimizer.sizes == [6, 3]  # loc and scale of three slabs; three gates
    gates = {id(p) for p in guide.gate_parameters()}
    assert {id(p) for p in optimizer.param_groups[1]["params"]} == gates
    assert "factory" in fit.config["optimizer"]


def test_gates_move_at_ten_times_the_rate_unless_told():
    made = []
    short(optimizer=lambda groups: made.append(Recorder(groups)) or made[-1], lr=0.002, lr_schedule=1.0)
    assert made[0].rates[0] == pytest.approx([0.002, 0.02])


def test_the_rates_act_on_their_parameters():
    """Adam's first step has the size of the rate, whatever the gradient."""
    guide = guide_of().perturb(1)  # away from 0, where a shut gate leaves a slab without a gradient
    gates = [p.detach().clone() for p in guide.gate_parameters()]
    locs = [p.detach().clone() for p in guide.loc.parameters()]
    short(guide=guide, steps=1, lr=0.003, gate_lr=0.2)
    for before, after in zip(gates, guide.gate_parameters(), strict=True):
        torch.testing.assert_close((after - before).abs(), torch.full_like(after, 0.2), rtol=1e-3, atol=0.0)
    for before, after in zip(locs, guide.loc.parameters(), strict=True):
        torch.testing.assert_close((after - before).abs(), torch.full_like(after, 0.003), rtol=1e-3, atol=0.0)


def test_the_rate_schedule_multiplies_both_rates():
    made = []
    short(
        optimizer=lambda groups: made.append(Recorder(groups)) or made[-1],
        lr=0.1,
        gate_lr=0.2,
        lr_schedule=Linear(1.0, 0.0),
        steps=4,
    )
    factors = [1.0, 0.75, 0.5, 0.25]
    assert made[0].rates == [pytest.approx([0.1 * f, 0.2 * f]) for f in factors]


def test_the_default_rate_schedule_holds_and_then_falls():
    made = []
    short(optimizer=lambda groups: made.append(Recorder(groups)) or made[-1], lr=1e-4, steps=20)
    factors = [rates[0] / 1e-4 for rates in made[0].rates]
    assert factors[:11] == pytest.approx([1.0] * 11)
    assert factors[11:] == pytest.approx([1.0 - 0.99 * (i / 20 - 0.5) / 0.5 for i in range(11, 20)])


def test_the_parameters_of_a_model_module_are_trained_at_the_slabs_rate():
    model = Shifted()
    guide = guide_of(model)
    short(model, guide, steps=1, lr=0.01, gate_lr=0.3)
    assert model.shift.item() == pytest.approx(3.0 - 0.01, abs=1e-5)


# ---- schedules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_the_temperature_follows_its_schedule(mode):
    guide = guide_of()
    schedule = Geometric(0.8, 0.1)
    fit = short(guide=guide, temperature=schedule, steps=4, compile=mode, log_every=1)
    assert fit.history.temperature == pytest.approx([schedule(i / 4) for i in range(4)])
    assert guide.temperature.item() == pytest.approx(schedule(0.75))
    assert guide.gates()["beta.gate"].temperature == pytest.approx(schedule(0.75))


def test_a_number_is_a_constant_temperature():
    guide = guide_of(temperature=0.5)
    fit = short(guide=guide, temperature=0.2)
    assert guide.temperature.item() == pytest.approx(0.2)
    assert fit.config["temperature"] == repr(Constant(0.2))


def test_without_a_schedule_the_guides_temperature_stays():
    guide = guide_of(temperature=0.45)
    fit = short(guide=guide)
    assert guide.temperature.item() == pytest.approx(0.45)
    assert fit.config["temperature"] is None


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_the_kl_weight_follows_its_schedule_and_acts(mode):
    """At weight 0 the gates feel the likelihood alone, and the noise column has no reason to shut."""
    fit = short(kl_weight=Linear(0.0, 1.0), steps=4, log_every=1, compile=mode)
    assert fit.history.kl_weight == pytest.approx([0.0, 0.25, 0.5, 0.75])
    free, charged = guide_of(), guide_of()
    plain = {"steps": 1, "lr": 0.1, "gate_lr": 0.5, "optimizer": torch.optim.SGD, "compile": mode}
    short(guide=free, kl_weight=0.0, **plain)
    short(guide=charged, kl_weight=50.0, **plain)
    # the difference is 50 gradient steps of the KL alone
    fresh = guide_of()
    terms = MeanFieldELBO().terms(regression, fresh, X, Y)
    sum(terms.kl.values()).backward()
    for a, b, g in zip(free.parameters(), charged.parameters(), fresh.parameters(), strict=True):
        rate = 0.5 if any(g is gate for gate in fresh.gate_parameters()) else 0.1
        torch.testing.assert_close(a - b, 50.0 * rate * g.grad, rtol=1e-3, atol=1e-4)


def test_the_recorded_kl_is_unweighted():
    weighted, plain = short(kl_weight=7.0, steps=1), short(steps=1)
    assert weighted.history.kl == plain.history.kl
    assert weighted.history.elbo == plain.history.elbo


# ---- stopping ----------------------------------------------------------------------------------------


def test_early_stopping_waits_for_after_and_for_its_patience():
    rule = EarlyStopping(patience=3, min_rise=1e6, after=0.5)  # nothing ever counts as a rise
    fit = short(steps=40, log_every=1, early_stopping=rule)
    # the first record at progress 0.5 is the best by definition; three more without a rise
    assert fit.history.step[-1] == 23
    assert fit.best.stopped == "converged"
    assert "patience=3" in fit.config["early_stopping"]


def test_without_early_stopping_all_steps_are_done():
    fit = short(steps=7)
    assert fit.history.step[-1] == 7
    assert fit.best.stopped == "finished"


def test_an_interrupted_fit_returns_what_was_reached():
    def interrupt(history):
        if history.step[-1] == 4:
            raise KeyboardInterrupt

    guide = guide_of()
    before = state_of(guide)
    fit = short(guide=guide, steps=50, log_every=2, callback=interrupt)
    assert fit.best.stopped == "interrupted"
    assert fit.history.step == [2, 4]
    assert fit.guide is guide
    assert not same_state(state_of(guide), before)
    assert "interrupted after 4 steps" in repr(fit)


# ---- what comes back ---------------------------------------------------------------------------------


def test_the_history_has_one_value_a_record():
    seen = []
    fit = short(steps=10, log_every=4, callback=lambda history: seen.append(list(history.step)))
    assert fit.history.step == [4, 8, 10]
    assert seen == [[4], [4, 8], [4, 8, 10]]
    frame = fit.history.to_frame()
    assert frame.shape == (3, 8)
    assert list(frame.columns) == [*fit.history.__dataclass_fields__][:-1]
    assert not frame.isna().any().any()
    assert frame["elbo"].tolist() == pytest.approx((frame["log_likelihood"] - frame["kl"]).tolist())


def test_a_record_is_the_mean_over_the_steps_since_the_last():
    each = short(steps=4, log_every=1).history
    both = short(steps=4, log_every=2).history
    assert both.elbo == pytest.approx([sum(each.elbo[:2]) / 2, sum(each.elbo[2:]) / 2], rel=1e-5)
    assert both.kl == pytest.approx([sum(each.kl[:2]) / 2, sum(each.kl[2:]) / 2], rel=1e-5)


@pytest.mark.filterwarnings("ignore::l0bayes.infer.PruningWarning")  # the run is too short to close gates
def test_the_recorded_gate_counts_are_those_of_the_guide():
    guide = guide_of()
    with torch.no_grad():
        for parameter in guide.gate_parameters():
            parameter.copy_(torch.tensor([5.0, -6.0, 0.0]))
    fit = short(guide=guide, steps=1, lr=1e-6)
    active = guide.gates()["beta.gate"].prob_active.detach()
    assert fit.history.expected_l0 == pytest.approx([float(active.sum())])
    assert fit.history.deployed_l0 == [2]
    assert fit.num_gates == 3


def test_the_config_repeats_the_fit():
    fit = short(steps=5, lr=0.02, seed=4, num_particles=3, kl_weight=0.5)
    config = fit.config
    assert (config["steps"], config["lr"], config["gate_lr"], config["seed"]) == (5, 0.02, 0.2, 4)
    assert (config["num_particles"], config["restarts"], config["optimizer"]) == (3, 1, "Adam")
    assert config["kl_weight"] == repr(Constant(0.5))
    assert config["lr_schedule"] == repr(Linear(1.0, 0.01, begin=0.5))
    assert config["torch"] == torch.__version__
    assert config["pyro"] == pyro.__version__


def test_a_fit_explains_itself():
    guide = guide_of()
    fit = short(guide=guide)
    assert fit.guide is guide
    assert fit.model is regression
    assert fit.data[0] is X
    assert fit.mode == "eager"
    assert fit.seconds >= fit.best.seconds > 0.0
    assert fit.objective.relaxation == "HardConcrete"
    text = repr(fit)
    assert "activity KL" in text
    assert "(not a bound)" in text
    assert "finished after 3 steps" in text
    assert "gates     3, expected open" in text


def test_the_elbo_of_a_run_is_the_mean_of_its_last_tenth():
    fit = short(steps=30, log_every=1)
    assert fit.elbo == pytest.approx(sum(fit.history.elbo[-3:]) / 3)


# ---- random numbers ----------------------------------------------------------------------------------


def test_equal_seeds_give_equal_fits_and_the_global_generator_is_left_alone():
    guides, fits = [], []
    for noise in (1, 2):
        guides.append(guide_of())
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        fits.append(short(guide=guides[-1], steps=5, seed=7, num_particles=2))
        assert torch.equal(torch.get_rng_state(), before)
    assert same_state(state_of(guides[0]), state_of(guides[1]))
    assert fits[0].history == fits[1].history
    other = guide_of()
    short(guide=other, steps=5, seed=8, num_particles=2)
    assert not same_state(state_of(guides[0]), state_of(other))


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_a_shuffling_loader_follows_the_seed_too(mode):
    ends = []
    for noise in (1, 2):
        guide = guide_of()
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        short(guide=guide, data=loader(shuffle=True), epochs=2, compile=mode)
        assert torch.equal(torch.get_rng_state(), before)
        ends.append(state_of(guide))
    assert same_state(*ends)


def test_the_parameter_store_is_left_alone():
    pyro.param("mine", torch.tensor(1.0))
    short()
    assert set(pyro.get_param_store()) == {"mine"}


# ---- other guides ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_pyros_own_guide_on_a_model_without_gates(mode):
    guide = AutoNormal(dense)
    fit = short(dense, guide, steps=400, lr=0.03, compile=mode)
    assert fit.mode == mode
    assert fit.num_gates == 0
    assert fit.objective.name == "ELBO"
    assert fit.objective.is_bound
    assert fit.history.expected_l0[-1] == 0.0
    assert all(math.isnan(value) for value in fit.history.temperature)
    assert "gates" not in repr(fit)
    precision = X.mT @ X / 0.25 + torch.eye(3)
    torch.testing.assert_close(
        guide.median(X, Y)["beta"], torch.linalg.solve(precision, X.mT @ Y / 0.25), atol=0.15, rtol=0.0
    )


def with_scale(x, y=None):
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", len(x)):
        return pyro.sample("y", dist.Normal(x @ beta, sigma), obs=y)


def combined():
    sparse = ["beta.gate", "beta.slab"]
    guide = AutoGuideList(with_scale)
    guide.append(AutoHardConcrete(poutine.block(with_scale, expose=sparse), (X, Y)))
    guide.append(AutoNormal(poutine.block(with_scale, hide=sparse)))
    return guide


def test_a_gate_guide_beside_pyros_own():
    guide = combined()
    fit = short(with_scale, guide, steps=300, lr=0.03, temperature=0.3, compile="graph")
    pips = guide[0].gates()["beta.gate"].prob_active
    assert pips[0] > 0.95
    assert pips[1] < 0.5
    assert 0.3 < guide.median(X, Y)["sigma"] < 0.9
    assert fit.num_gates == 3
    assert fit.history.expected_l0[-1] == pytest.approx(pips.sum().item(), rel=1e-5)
    assert fit.history.temperature[-1] == pytest.approx(0.3)


def test_in_a_combination_the_gates_have_their_own_rate_too():
    guide = combined()
    before = [p.detach().clone() for p in guide[0].gate_parameters()]
    short(with_scale, guide, steps=1, lr=1e-3, gate_lr=0.2)
    for old, new in zip(before, guide[0].gate_parameters(), strict=True):
        torch.testing.assert_close((new - old).abs(), torch.full_like(new, 0.2), rtol=1e-3, atol=0.0)


def test_a_guide_trained_elsewhere_becomes_a_fit():
    guide = guide_of()
    svi = SVI(regression, guide, pyro.optim.Adam({"lr": 0.01}), MeanFieldELBO())
    for _ in range(3):
        svi.step(X, Y)
    fit = l0bayes.Fit.of(regression, guide, (X, Y))
    assert fit.guide is guide
    assert fit.model is regression
    assert fit.num_gates == 3
    assert fit.best.stopped == "trained elsewhere"
    assert math.isnan(fit.elbo)
    assert "trained elsewhere" in repr(fit)


@pytest.mark.usefixtures("float64")
def test_double_precision_is_kept():
    x, y = X.double(), Y.double()
    guide = AutoHardConcrete(regression, (x, y))
    short(guide=guide, data=(x, y), compile="graph")
    assert all(p.dtype == torch.float64 for p in guide.parameters())
    assert all(torch.isfinite(p).all() for p in guide.parameters())


def test_the_progress_bar_goes_to_standard_error(capsys):
    short(steps=2, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "training" in shown.err
    assert "gates open" in shown.err
    assert "deployed" in shown.err
    short(steps=2, progress=False)
    assert capsys.readouterr().err == ""
