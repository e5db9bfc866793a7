"""Search, cut, train on: what is left is what was there, and the whole network hears of it."""

import copy

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.distributions import Gate, L0Penalty, L2Penalty
from l0bayes.guides import AutoBernoulliGates, AutoConcreteDropout, AutoHardConcrete, gate_guide
from l0bayes.infer import Callback, FitSettings, MeanFieldELBO, Minibatches
from l0bayes.infer.shrink.cut_run import carry_state, cut_objective
from l0bayes.infer.shrink.direct_elbo import DirectELBO
from l0bayes.infer.targets.kept_gates import kept_gates
from l0bayes.infer.targets.target import Target
from l0bayes.models import SparseNetwork
from tests.infer.fitting import same_state, state_of


class Residual(nn.Module):
    """Convolutions with a residual connection, batch normalisation and a flatten boundary."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.third = nn.Conv2d(4, 5, 3, padding=1), nn.Conv2d(5, 4, 3, padding=1)
        self.last = nn.Linear(4 * 4, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = x + self.third(torch.relu(self.second(x)))
        return self.last(nn.functional.max_pool2d(x, 2).flatten(1))


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))


def grouped():
    """A grouped convolution, whose entries are held at 0 at full size, and a depthwise one, which is cut."""
    return nn.Sequential(
        nn.Conv1d(2, 6, 1),
        nn.ReLU(),
        nn.Conv1d(6, 6, 3, padding=1, groups=6),
        nn.Conv1d(6, 4, 1, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


def volume():
    """A layer without a class of its own for reading a part of what comes."""
    return nn.Sequential(nn.Conv3d(2, 4, 1), nn.ReLU(), nn.Conv3d(4, 4, 1), nn.Flatten(), nn.Linear(32, 3))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 4, 12, dropout=0.0, batch_first=True)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.layer(x).mean(1))


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.branch, self.last = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.last(x + self.branch(x))


NETWORKS = {
    "mlp": (mlp, (6,), "input"),
    "outputs": (mlp, (6,), "output"),
    "residual": (Residual, (1, 4, 4), {"first": "output", "second": "output", "last": "input"}),
    "grouped": (grouped, (2, 4), {"3": "input", "6": "input"}),
    "volume": (volume, (2, 2, 2, 2), {"2": "input", "4": "input"}),
    "heads": (Attention, (3, 8), {"layer.self_attn": "heads", "layer.linear2": "input"}),
    "blocks": (Blocks, (6,), {"branch": "block", "last": "input"}),
}


def data(shape, rows=12):
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(rows, *shape, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 3, (rows,), generator=generator)


def pair(name="mlp", slab="delta", prior=None, inclusion=None, num_data=100):
    """A model and guide in float64."""
    make, shape, gates = NETWORKS[name]
    x, y = data(shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = make().double()
    prior = (L2Penalty(0.5) if slab == "delta" else dist.Normal(0.0, 1.0)) if prior is None else prior
    inclusion = Gate(0.3) if inclusion is None else inclusion
    model = SparseNetwork(net, gates=gates, inclusion=inclusion, slab=prior, num_data=num_data, example=x[:2])
    return model, AutoHardConcrete(model, (x, y), slab=slab, init_active=0.8), (x, y)


def whole_objective(model, guide):
    sites = [*model.plan.specs, *(f"{name}.slab" for name in model.links)]
    return DirectELBO(model, guide, MeanFieldELBO(), sites)


def some_open(guide, share=0.5):
    """Zeros and ones by site, at least one 1 in each site of several gates."""
    generator = torch.Generator().manual_seed(7)
    found = {}
    for site, law in guide.gates().items():
        opened = (torch.rand(law.batch_shape, generator=generator) < share).double()
        if opened.numel() > 1:
            opened.flatten()[1] = 1.0
        found[site] = opened
    return found


# ---- the objective ---------------------------------------------------------------------------------


@pytest.mark.parametrize("slab", ["delta", "normal"])
@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_the_direct_elbo_is_the_mean_field_elbo(name, slab):
    model, guide, batch = pair(name, slab)
    direct, reference = whole_objective(model, guide), MeanFieldELBO()(model, guide)
    found, wanted = direct.direct_kls(guide.gates()), reference.kl_by_site(*batch)
    assert found.keys() == wanted.keys()
    assert all(torch.allclose(found[site], wanted[site], rtol=1e-12) for site in found)
    guide.decide(some_open(guide))  # no gate noise is left, and the noise of slabs is made small
    with torch.no_grad():
        for parameter in guide.scale.parameters():
            parameter.fill_(-60.0)
    model.eval()
    assert torch.allclose(direct.with_terms(*batch)[1], reference.with_terms(*batch)[1], rtol=1e-10)


def test_a_point_under_a_flat_prior_is_not_looked_at():
    model, guide, batch = pair(prior=L2Penalty(0.0))
    direct = whole_objective(model, guide)
    assert direct.charged == list(model.plan.specs)
    assert torch.allclose(direct.with_terms(*batch)[2], MeanFieldELBO()(model, guide).with_terms(*batch)[2])


# ---- the cut ---------------------------------------------------------------------------------------


def gradients_of(objective, batch):
    objective.zero_grad()
    loss, likelihood, kl = objective.with_terms(*batch)
    loss.backward()
    own = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    return (loss.detach(), likelihood.detach(), kl.detach()), own


@pytest.mark.parametrize("name", NETWORKS)
def test_loss_and_gradients_of_what_is_left_are_those_of_the_uncut_network(name):
    model, guide, batch = pair(name)
    whole = whole_objective(model, guide)
    run = cut_objective(whole, some_open(guide), batch)
    assert sum(p.numel() for p in run.small.model.net.parameters()) <= sum(
        p.numel() for p in model.net.parameters()
    )
    wanted, theirs = gradients_of(whole, batch)
    found, ours = gradients_of(run.small, batch)
    assert all(torch.allclose(a, b, rtol=1e-9) for a, b in zip(found, wanted, strict=True))
    assert ours.keys() == {n for n, p in run.small.named_parameters() if p.requires_grad}
    for key, value in ours.items():
        origin = run.origins[key]
        assert torch.allclose(value, origin.of(theirs[origin.name]), rtol=1e-7, atol=1e-9), key
    # What was taken out leaves no trace in the likelihood of the whole network either.
    whole.zero_grad()
    (-whole.with_terms(*batch)[1]).backward()
    values = dict(whole.named_parameters())
    for key in {origin.name for origin in run.origins.values()} & theirs.keys():
        left = values[key].grad.clone()
        for small, origin in run.origins.items():
            if origin.name == key:
                origin.put_back(torch.zeros_like(run.small.state_dict()[small]), left)
        assert float(left.abs().max()) < 1e-9, key


@pytest.mark.parametrize("name", ["mlp", "outputs", "residual", "volume", "blocks", "heads"])
def test_units_are_taken_out_physically(name):
    model, guide, batch = pair(name)
    opened = some_open(guide, 0.4)
    run = cut_objective(whole_objective(model, guide), opened, batch)
    deployed = model.deploy(guide)
    small = {key: tuple(p.shape) for key, p in run.small.model.net.named_parameters()}
    wanted = {key: tuple(p.shape) for key, p in deployed.named_parameters()}
    assert small == wanted
    assert sum(p.numel() for p in run.small.parameters()) < sum(
        p.numel() for p in run.whole.parameters()
    ) - sum(v.numel() for v in opened.values())


@pytest.mark.parametrize(("name", "slab"), [("mlp", "delta"), ("residual", "delta"), ("mlp", "learned")])
def test_removing_gates_of_probability_0_leaves_the_trajectory_unchanged(name, slab):
    model, guide, batch = pair(name, prior="learned" if slab == "learned" else None)
    whole = whole_objective(model, guide)
    optimizer = torch.optim.Adam(whole.parameters(), lr=0.01)
    guide.decide(some_open(guide))

    def steps(objective, optimizer, count):
        for _ in range(count):
            gradients_of(objective, batch)
            optimizer.step()

    steps(whole, optimizer, 3)
    uncut = copy.deepcopy(whole)
    again = torch.optim.Adam(uncut.parameters(), lr=0.01)
    again.load_state_dict(optimizer.state_dict())
    run = cut_objective(whole, some_open(guide), batch)
    own = torch.optim.Adam([p for p in run.small.parameters() if p.requires_grad], lr=0.01)
    carry_state(run, own, optimizer)
    steps(uncut, again, 4)
    steps(run.small, own, 4)
    run.put_back()
    wanted = uncut.state_dict()
    for key, value in run.small.state_dict().items():
        if key in run.origins:
            origin = run.origins[key]
            assert torch.allclose(value, origin.of(wanted[origin.name]), rtol=1e-9, atol=1e-12), key
            if not origin.held:
                assert torch.equal(value, origin.of(whole.state_dict()[origin.name]))


def test_the_constant_of_removed_gates_stays_in_the_elbo():
    model, guide, batch = pair(slab="normal")
    run = cut_objective(whole_objective(model, guide), some_open(guide), batch)
    kept = sum(float(v.sum()) for v in some_open(guide).values())
    total = sum(v.numel() for v in some_open(guide).values())
    closed = -torch.tensor(0.7).log() * (total - kept) - torch.tensor(0.3).log() * kept
    assert float(run.small.decided_kl) == pytest.approx(float(closed), rel=1e-6)
    with torch.no_grad():
        small, whole = run.small.with_terms(*batch)[2], run.whole.with_terms(*batch)[2]
    assert float(small) == pytest.approx(float(whole), rel=1e-9)


def test_a_cut_model_is_a_pyro_model_with_the_same_elbo():
    model, guide, batch = pair("grouped")
    run = cut_objective(whole_objective(model, guide), some_open(guide), batch)
    assert run.small.model.held
    small = MeanFieldELBO()(run.small.model, run.small.guide).with_terms(*batch)
    direct = run.small.with_terms(*batch)
    assert torch.allclose(small[1], direct[1])
    assert torch.allclose(small[2] + run.small.decided_kl, direct[2])


# ---- gates that are left ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("each", [False, True])
def test_gates_that_are_left_do_what_they_did(name, each):
    model, guide, batch = pair(name)
    opened = some_open(guide)
    run = cut_objective(whole_objective(model, guide), opened, batch, decided=False)
    small, generator = run.small.model, torch.Generator().manual_seed(5)
    assert all(run.origins[f"guide.{key}"].name for key in run.small.guide.state_dict())
    values, left = {}, {}
    for site, value in opened.items():
        shape = (12, *value.shape) if each else value.shape
        values[site] = torch.rand(shape, generator=generator, dtype=torch.float64) * value
        if bool(value.any()):
            left[site] = values[site][..., value > 0]
    assert {site: value.shape[-1:] for site, value in left.items()} == {
        site: torch.Size(spec.shape) for site, spec in small.plan.specs.items()
    }
    values |= {site: guide.draw_slab(site) for site in run.whole.slabs}
    left |= {site: run.small.guide.draw_slab(site) for site in run.small.slabs}
    model.eval(), small.eval()
    wanted = model.log_likelihood(values, *batch)
    assert torch.allclose(small.log_likelihood(left, *batch), wanted, rtol=1e-9)
    assert torch.allclose(run.small.total_kl(), run.whole.total_kl(), rtol=1e-9)
    assert torch.isfinite(MeanFieldELBO(per_example_gates=each)(small, run.small.guide).with_terms(*batch)[0])


def test_a_second_cut_carries_what_the_first_one_left():
    model, guide, batch = pair("residual")
    whole = whole_objective(model, guide)
    opened = some_open(guide, 0.7)
    first = cut_objective(whole, opened, batch, decided=False)
    optimizer = torch.optim.Adam([p for p in first.small.parameters() if p.requires_grad], lr=0.01)
    for _ in range(2):
        gradients_of(first.small, batch)
        optimizer.step()
    first.put_back()
    fewer = {site: value * some_open(guide, 0.6)[site] for site, value in opened.items()}
    again = cut_objective(whole, fewer, batch, decided=False)
    own = torch.optim.Adam([p for p in again.small.parameters() if p.requires_grad], lr=0.01)
    carry_state(again, own, optimizer, first)
    values = dict(first.small.named_parameters())
    places = {first.origins[key].name: key for key in values}
    for key, parameter in again.small.named_parameters():
        origin = again.origins[key]
        before = places[origin.name]
        full = torch.full_like(whole.state_dict()[origin.name], torch.nan)
        first.origins[before].put_back(values[before], full)
        assert torch.equal(parameter, origin.of(full))
        if parameter.requires_grad:
            assert own.state[parameter]["step"] == 2.0
            first.origins[before].put_back(optimizer.state[values[before]]["exp_avg"], full)
            assert torch.equal(own.state[parameter]["exp_avg"], origin.of(full))


# ---- which gates stay ------------------------------------------------------------------------------


def check_no_more_fit(model, guide, opened, share):
    """Every site has its most probable gates, and no site's next one fits or it is dear for what is left."""
    left = share - float(model.deployed_share("macs", opened))
    for site, law in guide.gates().items():
        kept = opened[site] > 0
        if bool(kept.all()):
            continue
        assert law.activity_logits[kept].min() >= law.activity_logits[~kept].max()
        more = {**opened, site: opened[site].clone()}
        more[site][law.activity_logits == law.activity_logits[~kept].max()] = 1.0
        assert float(model.deployed_share("macs", more)) > share or left < 0.005 * share


def test_as_many_of_the_most_probable_gates_stay_as_the_target_allows():
    model, guide, _ = pair()
    guide.perturb(3, gates=2.0)
    opened = kept_gates(model, guide, Target("macs", 0.3))
    share = float(model.deployed_share("macs", opened))
    assert 0.2 < share <= 0.3
    check_no_more_fit(model, guide, opened, 0.3)


def test_where_open_gates_alone_are_too_many_every_site_gives_the_same_part():
    """How far beyond a doubt a gate is open says how long it was pushed: cheap units would all go first."""
    model, guide, _ = pair()
    with torch.no_grad():
        for number, parameter in enumerate(guide.gate_parameters()):
            parameter.copy_(
                torch.linspace(8.0 + 4.0 * number, 10.0 + 4.0 * number, parameter.numel()).view_as(parameter)
            )
    opened = kept_gates(model, guide, Target("macs", 0.3))
    assert 0.2 < float(model.deployed_share("macs", opened)) <= 0.3
    parts = []
    for site, law in guide.gates().items():
        kept = opened[site].bool()
        assert law.activity_logits.min() > 4.0
        assert law.activity_logits[kept].min() >= law.activity_logits[~kept].max()
        parts.append((int(kept.sum()), kept.numel()))
    share = min(count / total for count, total in parts)
    # Equal parts but for the units that still fit once the next one of the dearest site does not.
    assert all(count / total - share <= 2.0 / total + 1e-6 for count, total in parts)
    check_no_more_fit(model, guide, opened, 0.3)


@pytest.mark.parametrize("shrink", [True, False])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_only_channel_of_an_image_stays(shrink):
    """Without it the network is a constant. A residual block, whose gate is alone too, may shut."""
    torch.manual_seed(0)
    x, y = torch.randn(24, 1, 4, 4), torch.arange(24) % 3
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    model = SparseNetwork(net, gates="input", inclusion=L0Penalty(0.0), num_data=24, example=x[:2])
    assert model.bottlenecks == {"0.gate"}
    guide = AutoHardConcrete(model, (x, y), slab="delta")
    with torch.no_grad():
        next(iter(guide.gate_parameters())).fill_(-9.0)
    assert guide.gates()["0.gate"].prob_active < 0.001
    settings = {"target": "macs:0.3", "shrink": shrink, "log_every": 5, "progress": False}
    l0bayes.fit(model, guide, (x, y), steps=40, **settings)
    small = model.deploy(guide)
    assert small[0].weight.dtype == torch.float32
    assert small[0].in_channels == 1
    assert float(small[0].weight.abs().sum()) > 0.0


def test_no_site_is_left_empty_and_what_has_closed_for_good_stays_shut():
    model, guide, _ = pair()
    with torch.no_grad():
        for parameter in guide.gate_parameters():
            parameter.fill_(-12.0)
    opened = kept_gates(model, guide, Target("macs", 0.9))
    assert all(int(value.sum()) == 1 for value in opened.values())


# ---- fits ------------------------------------------------------------------------------------------


def fitted(path=None, stop=None, name="residual", shut=(), **options):
    """A fit of 24 steps; the gates ``shut`` of every site start as good as closed."""
    model, guide, (x, y) = pair(name, num_data=12)
    for parameter in guide.gate_parameters():
        parameter.data[list(shut)] = -14.0

    def callback(history):
        if history.step[-1] == stop:
            raise KeyboardInterrupt

    settings = {"target": "macs:0.4", "gate_lr": 0.3, "lr": 0.01, "log_every": 3, "seed": 3, **options}
    batches = Minibatches(x, y, batch_size=6, seed=2)
    if settings["target"] is not None:
        settings = {"search_share": 0.4, **settings}
    settings |= {"steps": 24, "shrink": True, "progress": False, "checkpoint": path, "callback": callback}
    done = l0bayes.fit(model, guide, batches, **settings)
    return done, state_of(guide), state_of(model)


@pytest.mark.parametrize("stop", [6, 15])
def test_a_checkpoint_resumes_bit_for_bit_before_and_after_the_cut(tmp_path, stop):
    whole, guide, model = fitted()
    part, *_ = fitted(tmp_path / "run.pt", stop)
    assert part.best.stopped == "interrupted"
    assert (part.decision is None) == (stop == 6)
    rest, same_guide, same_model = fitted(tmp_path / "run.pt", resume=True)
    assert same_state(guide, same_guide)
    assert same_state(model, same_model)
    assert rest.history == whole.history
    assert rest.decision.step == whole.decision.step == 10
    assert same_state(rest.decision.opened, whole.decision.opened)


def test_the_result_speaks_of_the_original_units():
    done, *_ = fitted()
    model, guide, decision = done.model, done.guide, done.decision
    assert not any(module is model for module in [done.restarts])
    assert {site: law.batch_shape for site, law in guide.gates().items()} == {
        site: torch.Size(spec.shape) for site, spec in model.plan.specs.items()
    }
    for site, law in guide.gates().items():
        assert torch.equal(law.median, decision.opened[site])
        assert decision.probabilities[site].shape == law.batch_shape
    assert f"{decision.kept} of 25 gates kept before step 11" in repr(done)
    table = model.cost_table(guide)
    assert table["macs"]["median"] <= 0.4 * table["macs"]["dense"]
    assert table["macs"]["expected"] == pytest.approx(table["macs"]["median"], rel=1e-9)
    last = {name: column[-1] for name, column in done.history.columns.items()}
    assert last["expected_macs"] == pytest.approx(last["deployed_macs"], rel=1e-9)
    assert last["multiplier"] == 0.0
    assert done.history.step[-1] == 24
    idata = l0bayes.to_arviz(done, data=pair("residual")[2], num_draws=3)
    assert idata.posterior["first.gate"].shape == (1, 3, 4)
    assert idata.constant_data["first.gate.decided_at"].values.tolist() == [10] * 4
    found = torch.tensor(idata.constant_data["first.gate.pip_before"].values)
    assert torch.allclose(found, decision.probabilities["first.gate"])


def test_the_deployed_network_is_the_one_that_was_trained_on():
    trained = {}

    class Watch(Callback):
        def on_end(self, run):
            trained["net"] = run.objective.model.net
            trained["values"] = run.objective.guide.median()

    done, *_ = fitted(name="mlp", callbacks=[Watch()])
    x, _ = data((6,))
    deployed = done.model.deploy(done.guide)
    net = trained["net"]
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(trained["values"][f"{name}.slab"])
    assert torch.allclose(net(x), deployed(x), rtol=1e-12)
    assert type(deployed) is nn.Sequential


@pytest.mark.parametrize("options", [{"compile": "graph"}, {"per_example_gates": True}, {"num_particles": 2}])
def test_other_ways_to_run(options):
    done, *_ = fitted(name="mlp", **options)
    assert done.best.stopped == "finished"
    assert done.decision is not None


def test_without_a_target_what_has_closed_for_good_goes_and_other_gates_are_trained_on(tmp_path):
    options = {"target": None, "name": "mlp", "gate_lr": 0.1, "shut": (1, 3)}
    done, guide, _ = fitted(**options)
    decision = done.decision
    closed = {site: value == 0 for site, value in decision.opened.items()}
    assert all(value.nonzero().flatten().tolist() == [1, 3] for value in closed.values())
    for site, law in done.guide.gates().items():
        assert bool((decision.steps[site][closed[site]] >= 6).all())
        assert bool((decision.steps[site][~closed[site]] == -1).all())
        assert bool((decision.probabilities[site][closed[site]] < 1e-3).all())
        assert bool(decision.probabilities[site][~closed[site]].isnan().all())
        assert bool((law.prob_active[closed[site]] < 1e-9).all())
    fitted(tmp_path / "run.pt", 15, **options)
    again, same, _ = fitted(tmp_path / "run.pt", resume=True, **options)
    assert same_state(guide, same)
    assert again.history == done.history


def test_normal_slabs_are_cut_with_their_scales():
    model, guide, batch = pair(slab="normal")
    done = l0bayes.fit(
        model, guide, batch, steps=20, shrink=True, target="macs:0.4", gate_lr=0.4, progress=False
    )
    assert done.decision.kept < 19
    assert all(bool(torch.isfinite(value).all()) for value in guide.state_dict().values())


# ---- what is refused -------------------------------------------------------------------------------


def refused(model, guide, batch, message, error=ValueError, **options):
    before = state_of(guide)
    options = {"steps": 20, "shrink": True, "progress": False, **options}
    with pytest.raises(error, match=message):
        l0bayes.fit(model, guide, batch, **options)
    assert same_state(before, state_of(guide))


def test_what_cannot_be_cut_is_refused_by_name_before_work_starts():
    model, guide, batch = pair()
    refused(model, guide, batch, "can't be reached: with one gate open", target="macs:0.0001")
    refused(model, guide, batch, "give shrink or sleep", sleep=True)
    refused(model, guide, batch, "goes with one run; got restarts=2", restarts=2)
    x, _ = batch
    for other, message in [
        (AutoBernoulliGates(model, batch, slab="delta"), "needs gates whose draws carry a gradient"),
        (AutoConcreteDropout(model, batch, slab="delta"), "shrink=True: gates that share their parameters"),
        (
            gate_guide(model, batch, gate_law="concrete", slab="delta"),
            "gates of the law 'concrete' are never",
        ),
    ]:
        refused(model, other, batch, message)
    single = SparseNetwork(mlp().double(), gates={"0": "weight"}, example=x[:2])
    for target in (None, "macs:0.2"):  # no gate on weights lowers this one, which is not what is wrong
        guide = AutoHardConcrete(single, batch)
        refused(single, guide, batch, "gates on single weights or groups", target=target)


def test_a_model_without_a_cut_is_refused():
    def model(x):
        w = l0bayes.spike_and_slab("w", 0.5, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        pyro.sample("y", dist.Normal(w.sum(-1), 1.0).expand([2]).to_event(1), obs=x)

    guide = AutoHardConcrete(model, (torch.zeros(2),))
    refused(
        model, guide, (torch.zeros(2),), "needs a model that can be cut, such as SparseNetwork; got function"
    )


def test_an_optimiser_with_state_of_another_shape_is_refused_at_its_first_step():
    model, guide, batch = pair()
    with pytest.raises(NotImplementedError, match=r"entry by entry.*Adafactor keeps 'row_var'"):
        l0bayes.fit(
            model,
            guide,
            batch,
            steps=20,
            shrink=True,
            progress=False,
            optimizer=lambda groups: torch.optim.Adafactor(groups),
        )


def test_flat_objective_with_l0_penalty_is_named():
    model, guide, batch = pair(prior=L2Penalty(0.0), inclusion=L0Penalty(0.0))
    done = l0bayes.fit(model, guide, batch, steps=12, shrink=True, target="macs:0.5", progress=False)
    assert float(done.history.kl[-1]) == 0.0


def test_a_layer_with_one_unit_to_gate_keeps_it():
    """No cost depends on it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4, 3)).double()
    x, y = data((1, 4, 4))
    model = SparseNetwork(net, gates="input", inclusion=Gate(0.3), slab=L2Penalty(0.5), example=x[:2])
    guide = AutoHardConcrete(model, (x, y), slab="delta", init_active=0.8)
    settings = {"target": "macs:0.6", "steps": 24, "shrink": True, "progress": False}
    done = l0bayes.fit(model, guide, Minibatches(x, y, batch_size=6, seed=2), **settings)
    costs = model.cost_summary(done.guide)
    assert costs["deployed_macs"] <= 0.6 * costs["dense_macs"]
    assert done.decision.opened["0.gate"].tolist() == [1.0]


def test_modules_that_were_set_to_evaluation_stay_so():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()
    net[1].eval()
    x, y = data((6,))
    model = SparseNetwork(net, gates={"3": "input"}, inclusion=Gate(0.3), slab=L2Penalty(0.5), example=x[:2])
    guide = AutoHardConcrete(model, (x, y), slab="delta", init_active=0.8)
    settings = {"target": "macs:0.6", "steps": 24, "shrink": True, "progress": False}
    done = l0bayes.fit(model, guide, Minibatches(x, y, batch_size=6, seed=2), **settings)
    small = model.deploy(done.guide)
    assert small[1].running_mean.abs().max() == 0.0
    assert (small[1].running_var == 1.0).all()


@pytest.mark.parametrize("name", ["shrink", "sleep", "per_example_gates", "resume"])
def test_a_switch_is_no_word(name):
    with pytest.raises(ValueError, match=f"{name} must be True or False, got 'no'"):
        FitSettings(**{name: "no"})


@pytest.mark.parametrize("target", [None, "macs:0.5"])
def test_a_fit_says_what_its_deployed_network_predicts_and_what_is_undecided(target):
    """Without a warning too, where little is lost; the numbers are those of the networks."""
    torch.manual_seed(1)
    model, guide, (x, y) = pair()
    done = l0bayes.fit(
        model, guide, (x, y), target=target, shrink=True, steps=60, log_every=1, lr=1e-3, progress=False
    )
    net = done.model.deploy(done.guide).eval()
    with torch.no_grad():
        found = -float(nn.functional.cross_entropy(net(x), y))
    chances = torch.cat([law.prob_active.flatten() for law in done.guide.gates().values()])
    undecided = int(((chances > 0.05) & (chances < 0.95)).sum())
    assert done.deployment.startswith(f"log likelihood {found:.3g} nats an example, in training ")
    assert done.deployment.endswith(f"; {undecided} of {len(chances)} gates undecided")
    assert f"deployed  {done.deployment}" in repr(done)
    assert (undecided == 0) == (target is not None)
