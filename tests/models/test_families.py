"""Every gate family on a regression and on a small network, from the first step to what is deployed."""

import math

import pytest
import torch
from scipy.special import ndtr
from torch import nn

import l0bayes
from l0bayes.distributions import HardConcrete, L0Penalty, L2Penalty, deployed_gates
from l0bayes.guides import gate_guide
from l0bayes.infer import describe_objective
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.models import SparseNetwork, SparseRegression
from l0bayes.posterior import gate_table, predict, predict_probabilities, to_arviz
from tests.guides.families import ALL, TIED, guide_of

every = pytest.mark.parametrize("case", ALL)
GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(40, 4, generator=GENERATOR)
Y = X @ torch.tensor([1.5, 0.0, -1.0, 0.0]) + 0.3 * torch.randn(40, generator=GENERATOR)
LABELS = (Y > 0).long() + (Y > 1.5).long()
QUICK = {"progress": False, "compile": "eager"}


def network(**options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    return SparseNetwork(net, num_data=40, **options)


@every
def test_a_regression_is_trained_and_read(case):
    model = SparseRegression(4)
    guide = guide_of(case, model, (X, Y))
    fit = l0bayes.fit(model, guide, (X, Y), steps=5, **QUICK)
    posterior = to_arviz(fit, num_draws=40)
    law = guide.gates()["beta.gate"]
    draws = posterior.posterior["beta.gate"].to_numpy()[0]
    assert bool((draws == 0).any()) is law.has_atom_at_zero
    table = gate_table(posterior, sort=False)
    assert table["pip"].to_numpy() == pytest.approx(law.prob_active.detach().numpy(), rel=1e-6)
    assert table["prob_one"].to_numpy() == pytest.approx(law.prob_one.detach().numpy(), rel=1e-6)
    weights = posterior.posterior["beta"].to_numpy()[0]
    for j, mean in enumerate(table["mean_active"]):
        is_open = draws[:, j] > law.activity_threshold
        if is_open.any():
            assert mean == pytest.approx(weights[is_open, j].mean(), rel=1e-4)
        else:
            assert math.isnan(mean)
    bound = l0bayes.hardened_elbo(model, guide, (X, Y), num_draws=20)
    assert math.isfinite(bound.value)
    assert bound.is_bound is (guide.slab == "normal")
    assert predict(model, guide, (X,), num_draws=3).shape == (3, 40)


@every
@pytest.mark.parametrize("gates", ["input", "weight"])
def test_a_network_is_deployed_as_its_median_gates(case, gates):
    model = network(gates=gates)
    guide = guide_of(case, model, (X, LABELS), init_active=0.7).perturb(5, gates=1.0, locs=0.1)
    for rule in ("median", "mean", "eq13", "top_k"):
        opened = {name: deployed_gates(law, rule).detach() for name, law in guide.gates().items()}
        slabs = {name: value for name, value in guide.median().items() if name.endswith("slab")}
        with Given({**slabs, **opened}), torch.no_grad():
            expected = model(X)
        small = model.deploy(guide, rule)
        torch.testing.assert_close(small(X), expected, rtol=1e-4, atol=1e-5)
        if rule != "median":
            continue
        for name, law in guide.gates().items():
            assert torch.equal(opened[name] != 0, law.prob_active > 0.5)
        deployed = predict_probabilities((model, guide), X, how="deployed")
        torch.testing.assert_close(deployed, small(X).softmax(-1))
        if gates == "input":
            count = max(1, int((opened["0.gate"] != 0).sum()))
            assert small[0].in_features == count
    costs, layers = model.cost_table(guide), model.layer_table(guide, (X, LABELS))
    assert costs["units"]["median"] == layers["deployed open"].sum()
    active = sum(law.prob_active.sum().item() for law in guide.gates().values())
    assert costs["units"]["expected"] == pytest.approx(active, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in ALL if ", tied" not in case])
def test_a_network_is_trained_to_a_size(case):
    """Gates of each example, sleep and a target; not for tied gates, which shut together or not at all."""
    model = network(inclusion=L0Penalty(0.0), slab=L2Penalty(0.0))
    guide = guide_of(case, model, (X, LABELS), init_active=0.8, slab="delta")
    options = {"per_example_gates": True, "sleep": True, "target": None if case in TIED else "units:0.5"}
    fit = l0bayes.fit(
        model,
        guide,
        (X, LABELS),
        steps=100,
        gate_lr=0.1,
        log_every=20,
        compile="graph",
        progress=False,
        **options,
    )
    if case not in TIED:
        opened = {name: (law.prob_active > 0.5).float() for name, law in guide.gates().items()}
        assert float(model.cost_share("units", opened)) <= 0.51
    assert fit.best.stopped == "finished"
    assert gate_table(to_arviz(fit, num_draws=10)).shape[0] == 10
    assert math.isfinite(l0bayes.hardened_elbo(model, guide, (X, LABELS), num_draws=5).value)
    assert predict_probabilities(fit, X, num_draws=5).sum(-1).allclose(torch.ones(40))
    assert predict_probabilities(fit, X, how="mean").sum(-1).allclose(torch.ones(40))


# ---- what is reported, against closed forms ----------------------------------------------------------


def reported(gate_law, locations, **options):
    """A guide on two inputs' worth of gates whose first parameter is set, and what is reported of it."""
    model = SparseRegression(len(locations), noise_scale=1.0, intercept_scale=None)
    x = torch.randn(6, len(locations), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    data = (x, x.sum(-1))
    guide = gate_guide(model, data, gate_law=gate_law, **options).double()
    with torch.no_grad():
        next(guide.gate_parameters()).copy_(torch.tensor(locations, dtype=torch.float64))
    posterior = to_arviz(l0bayes.infer.Fit.of(model, guide, data), num_draws=500)
    return guide, gate_table(posterior, sort=False), posterior.posterior["beta.gate"].to_numpy()[0]


LOCATIONS = [-4.0, -1.0, 0.0, 0.7, 3.0]


def assert_atoms(guide, table, draws, active, one):
    law = guide.gates()["beta.gate"]
    assert law.prob_active.tolist() == pytest.approx(active, rel=1e-9)
    assert law.prob_one.tolist() == pytest.approx(one, rel=1e-9)
    assert table["pip"].tolist() == pytest.approx(active, rel=1e-9)
    assert table["prob_one"].tolist() == pytest.approx(one, rel=1e-9)
    for j, (p, q) in enumerate(zip(active, one, strict=True)):
        for share, expected in (((draws[:, j] != 0).mean(), p), ((draws[:, j] == 1).mean(), q)):
            assert abs(share - expected) <= 4.5 * math.sqrt(expected * (1 - expected) / 500)
    assert [value == 0 for value in guide.median()["beta.gate"].tolist()] == [p <= 0.5 for p in active]
    assert (deployed_gates(law, "median") == guide.median()["beta.gate"]).all()


@pytest.mark.parametrize(("temperature", "stretch"), [(0.1, (-0.1, 1.1)), (2 / 3, (-0.3, 1.2))])
def test_the_hard_concretes_activity_is_the_closed_form(temperature, stretch):
    r"""P(z != 0) = σ(log α - β log(-γ/ζ)), P(z = 1) = σ(log α - β log((1 - γ)/(ζ - 1)))."""
    gamma, zeta = stretch
    found = reported("hard_concrete", LOCATIONS, temperature=temperature, stretch=stretch)
    # The temperature is a buffer of single precision, as the guide is made.
    beta = found[0].temperature.item()
    active, one = (
        [1.0 / (1.0 + math.exp(beta * math.log(ratio) - a)) for a in LOCATIONS]
        for ratio in (-gamma / zeta, (1.0 - gamma) / (zeta - 1.0))
    )
    assert_atoms(*found, active, one)


@pytest.mark.parametrize("sigma", [0.25, 0.5])
def test_the_stochastic_gates_activity_is_the_closed_form(sigma):
    """P(z != 0) = Φ(μ/σ), P(z = 1) = Φ((μ - 1)/σ); the location is μ in units of σ √(π/8)."""
    found = reported("rectified_normal", LOCATIONS, temperature=sigma)
    unit = found[0].unit.item()
    assert unit == pytest.approx(sigma * math.sqrt(math.pi / 8), rel=1e-6)
    active = [float(ndtr(a * unit / sigma)) for a in LOCATIONS]
    one = [float(ndtr((a * unit - 1.0) / sigma)) for a in LOCATIONS]
    assert_atoms(*found, active, one)


@pytest.mark.parametrize("gate_law", ["concrete", "concrete_dropout"])
@pytest.mark.parametrize("temperature", [0.02, 2 / 3])
def test_the_plain_concrete_never_reports_an_exact_zero(gate_law, temperature):
    locations = [-60.0, -4.0, -1.0, 0.7, 3.0]
    options = {"tied": False} if gate_law == "concrete_dropout" else {}
    guide, table, draws = reported(gate_law, locations, temperature=temperature, **options)
    law = guide.gates()["beta.gate"]
    assert law.prob_active.tolist() == pytest.approx([1 / (1 + math.exp(-a)) for a in locations], rel=1e-9)
    assert (table["prob_one"] == 0).all()
    assert ((draws > 0) & (draws < 1)).all()
    for precision in (guide, guide.float()):
        for values in (precision.median()["beta.gate"], precision.quantiles([0.0, 1.0])["beta.gate"]):
            assert ((values > 0) & (values < 1)).all()
        assert (torch.stack([precision.gates()["beta.gate"].sample() for _ in range(200)]) > 0).all()
    assert law.activity_threshold == 0.5
    assert not law.has_atom_at_zero
    assert (deployed_gates(law, "mean") > 0).all()
    for rule in ("median", "eq13", "top_k", "sample"):
        torch.manual_seed(1)
        opened = deployed_gates(law, rule)
        assert ((opened == 0) | (opened > 0.5)).all()
        assert opened[0] == 0
    assert (deployed_gates(law, "median") != 0).tolist() == [a > 0 for a in locations]


@pytest.mark.parametrize("gate_law", ["concrete", "concrete_dropout"])
@pytest.mark.parametrize("slab", ["normal", "delta"])
@pytest.mark.parametrize("prior", [0.3, L0Penalty(1.0)])
def test_the_plain_concrete_says_that_deployment_needs_a_threshold(gate_law, slab, prior):
    model = network(inclusion=prior)
    guide = gate_guide(model, (X, LABELS), gate_law=gate_law, slab=slab, init_active=0.6)
    described = describe_objective(model, guide, (X, LABELS))
    assert "deployment needs a threshold" in described.note
    assert not described.is_bound
    small = model.deploy(guide.perturb(1, gates=1.0))
    assert small[0].in_features == max(1, int((guide.gates()["0.gate"].prob_active > 0.5).sum()))
    hard = gate_guide(model, (X, LABELS), slab=slab)
    assert "threshold" not in describe_objective(model, hard, (X, LABELS)).note


def test_a_straight_through_gradient_is_called_biased_whatever_the_prior():
    for prior in (0.3, L0Penalty(1.0), HardConcrete(0.0, 0.5)):
        model = network(inclusion=prior)
        for estimator, biased in (("straight_through", True), ("disarm", False)):
            guide = gate_guide(model, (X, LABELS), gate_law="bernoulli", estimator=estimator, slab="delta")
            assert ("biased" in describe_objective(model, guide, (X, LABELS)).note) is biased
