"""Gates that depend on one another and slabs that depend on gates, against all models enumerated."""

import copy
import pickle

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO

import l0bayes
from l0bayes.distributions import AutoregressiveGates, ConditionalSlab
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoJointGates
from l0bayes.infer import GradientStep, MeanFieldELBO, ScoreELBO, describe_objective, hardened_elbo
from l0bayes.posterior import gate_table, importance_weighted, to_arviz
from l0bayes.sites import spike_and_slab
from l0bayes.testing import guide_models
from tests.guides.correlated import (
    data,
    enumerated_elbo,
    exact,
    exact_slabs,
    joint_guide,
    model,
    parameters_of,
)

SITE = "beta.gate"


def pips(guide):
    return guide.gates()[SITE].prob_active.detach().double()


def restate(guide, parameters):
    """The guide with other (a, W, m, log s, A)."""
    names = [
        "logits.beta/gate",
        "coupling.beta/gate",
        "loc.beta/slab",
        "scale.beta/slab",
        "association.beta/slab",
    ]
    state = guide.state_dict()
    guide.load_state_dict(
        {**state, **{f"{n}_unconstrained": v.detach() for n, v in zip(names, parameters, strict=True)}}
    )


# ---- the objective -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    """Three columns, a guide away from its start, and its ELBO with derivatives by central differences."""
    x, y = data(3, n=12)
    guide = joint_guide(x, y, seed=4)
    parameters = parameters_of(guide)
    slopes = []
    for leaf in parameters:
        slope = torch.zeros_like(leaf)
        for i in range(leaf.numel()):
            around = []
            for step in (1e-5, -1e-5):
                moved = [parameter.detach().clone() for parameter in parameters]
                moved[[parameter is leaf for parameter in parameters].index(True)].view(-1)[i] += step
                around.append(enumerated_elbo(moved, x, y))
            slope.view(-1)[i] = (around[0] - around[1]) / 2e-5
        slopes.append(slope)
    return guide, (x, y), float(enumerated_elbo(parameters, x, y)), slopes


def test_value_and_gradient_are_those_of_the_enumerated_elbo(small):
    guide, arguments, expected, slopes = small
    torch.manual_seed(0)
    objective = ScoreELBO(num_draws=1000)(model, guide)
    order = ["logits", "coupling", "loc", "scale", "association"]
    trained = {name.split(".")[1]: p for name, p in objective.named_parameters()}
    values, gradients = [], []
    for _ in range(40):
        loss = objective(*arguments)
        values.append(-loss.detach())
        grads = torch.autograd.grad(loss, [trained[name] for name in order])
        gradients.append(torch.cat([-g.flatten() for g in grads]))
    values, gradients = torch.stack(values), torch.stack(gradients)
    assert abs(values.mean() - expected) < 4.5 * values.std() / 40**0.5
    wanted = torch.cat([slope.flatten() for slope in slopes])
    error = gradients.mean(0) - wanted
    assert (error.abs() <= 4.8 * gradients.std(0) / 40**0.5 + 1e-7).all()
    assert gradients.std(0).max() / 40**0.5 < 0.1 * wanted.abs().max()  # the test would see an error


@pytest.mark.slow
def test_hardened_elbo_and_trace_elbo_agree_with_it(small):
    guide, arguments, expected, _ = small
    bound = hardened_elbo(model, guide, arguments, num_draws=4000)
    assert bound.is_bound
    assert abs(bound.value - expected) < 4.5 * bound.standard_error
    torch.manual_seed(1)
    pyro.clear_param_store()
    losses = torch.tensor([Trace_ELBO().loss(model, guide, *arguments) for _ in range(400)])
    assert abs(-losses.mean() - expected) < 4.5 * losses.std() / 20


@pytest.mark.slow
def test_stock_svi_trains_it():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    x, y = data(3, n=12)
    guide = joint_guide(x, y)
    before = hardened_elbo(model, guide, (x, y)).value
    elbo = Trace_ELBO(num_particles=8, vectorize_particles=False)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.03}), elbo)
    for _ in range(40):
        svi.step(x, y)
    assert hardened_elbo(model, guide, (x, y)).value > before + 1.0
    pyro.clear_param_store()


@pytest.mark.slow
def test_eager_and_captured_are_the_same():
    x, y = data(4)
    guide = joint_guide(x, y, seed=1, num_draws=4)
    results = {}
    for mode in ("eager", "graph"):
        step = GradientStep(guide.objective()(model, guide), mode)
        step((x, y))  # captures
        torch.manual_seed(5)
        values = [float(value) for value in step((x, y))]
        results[step.mode] = [torch.tensor(values), *(p.grad.clone() for p in guide.parameters())]
    torch.testing.assert_close(results["eager"], results["graph"])


def test_models_that_cannot_be_batched_are_run_again_and_again():
    def branching(x, y):
        if (x > 100).any().item():
            raise AssertionError
        beta = spike_and_slab("beta", 0.3, dist.Normal(x.new_zeros(3), 1.0).to_event(1))
        if beta.sum() > 0:  # depends on a value
            beta = beta * 1.0
        pyro.sample("y", dist.Normal(x @ beta, 1.0).to_event(1), obs=y)

    x, y = data(3)
    guide = AutoJointGates(branching, (x, y), num_draws=3).double()
    objective = guide.objective()(branching, guide)
    objective(x, y).backward()
    assert not objective.elbo._batches
    assert all(torch.isfinite(p.grad).all() for p in guide.parameters() if p.grad is not None)


def test_the_weight_of_the_kl_weights_the_reward(small):
    """The estimate is linear in likelihood and KL, gradient and all."""
    guide, arguments, _, _ = small
    gradients = {}
    for weight in (0.0, 1.0, 0.3):
        torch.manual_seed(2)
        objective = ScoreELBO(num_draws=8, kl_weight=weight)(model, guide)
        loss = objective(*arguments)
        gradients[weight] = torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*guide.parameters()])])
    mixed = 0.7 * gradients[0.0] + 0.3 * gradients[1.0]
    torch.testing.assert_close(gradients[0.3], mixed)


# ---- what it learns ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_with_the_exact_slabs_the_optimum_is_the_log_evidence_without_noise():
    x, y = data(5, seed=1)
    reference = exact(x, y)
    guide = exact_slabs(joint_guide(x, y), x, y)
    for parameter in (*guide.loc.parameters(), *guide.scale.parameters(), *guide.association.parameters()):
        parameter.requires_grad_(False)
    l0bayes.fit(model, guide, (x, y), steps=300, gate_lr=0.15, progress=False)
    bound = hardened_elbo(model, guide, (x, y))
    assert reference.log_evidence - 0.05 < bound.value < reference.log_evidence + 1e-6
    assert bound.standard_error < 0.02
    assert (pips(guide) - reference.pip).abs().max() < 0.03


@pytest.fixture(scope="module")
def trained():
    """Two pairs of columns that are nearly the same; both guides, trained."""
    x, y = data(4)
    guide = joint_guide(x, y, num_draws=32)
    fit = l0bayes.fit(model, guide, (x, y), steps=800, lr=0.08, gate_lr=0.06, progress=False)
    mean_field = AutoBernoulliGates(model, (x, y)).double()
    l0bayes.fit(model, mean_field, (x, y), steps=600, lr=0.03, gate_lr=0.1, progress=False)
    return fit, mean_field, exact(x, y)


@pytest.mark.slow
def test_it_finds_what_a_factorised_guide_cannot(trained):
    fit, mean_field, reference = trained
    assert (pips(mean_field) - reference.pip).abs().max() > 0.2
    assert (pips(fit.guide) - reference.pip).abs().max() < 0.05
    assert fit.objective.is_bound
    assert fit.objective.relaxation == "AutoregressiveGates"
    assert fit.mode == "graph"


def test_importance_weights_take_the_rest_away(trained):
    fit, mean_field, reference = trained
    better = importance_weighted(fit, num_draws=10_000)
    assert better
    assert better.k_hat < 0.7
    assert (better.pip[SITE] - reference.pip).abs().max() < 0.02
    assert (better.mean["beta"] - reference.mean).abs().max() < 0.03
    assert abs(better.log_evidence - reference.log_evidence) < 0.02
    assert (better.pip_mcse[SITE] < 0.02).all()
    assert "usable" in str(better)
    worse = importance_weighted(model, mean_field, fit.data, num_draws=10_000)
    assert worse.ess < 0.5 * better.ess


def test_arviz_and_the_gate_table(trained):
    fit, _, reference = trained
    posterior = to_arviz(fit, num_draws=2000)
    table = gate_table(posterior, sort=False)
    torch.testing.assert_close(torch.tensor(table["pip"].to_numpy()), pips(fit.guide))
    assert abs(table["mean"].to_numpy() - reference.mean.numpy()).max() < 0.1
    stats = posterior["sample_stats"]
    ratio = (stats["log_p"] - stats["log_q"]).to_numpy()
    assert abs(ratio.mean() - reference.log_evidence) < 0.1
    # Gates are drawn together: of a pair of columns hardly ever both.
    draws = posterior["posterior"][SITE].to_numpy()[0]
    both = (draws[:, 0] * draws[:, 1]).mean()
    assert abs(both - float(reference.exact_joint[0, 1])) < 0.05


def test_reading_the_guide(trained):
    fit, _, _ = trained
    guide = fit.guide
    median = guide.median()
    assert torch.equal(median[SITE], (pips(guide) > 0.5).double())
    low, high = guide.quantiles([0.1, 0.9])["beta.slab"]
    assert (low < median["beta.slab"]).all()
    assert (median["beta.slab"] < high).all()
    assert torch.equal(guide.harden().median()["beta.slab"], median["beta.slab"])
    law = guide.laws()["beta.slab"]
    assert law.batch_shape == (4,)
    guide = copy.deepcopy(guide)
    with torch.no_grad():
        guide.logits.get_parameter("beta/gate_unconstrained").fill_(-8.0)
    guide.reopen(SITE, 2)
    assert pips(guide)[2] > 0.5


# ---- other models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("toy", [guide_models.regression, guide_models.two_layers])
@pytest.mark.parametrize("rank", [None, 1])
def test_other_latents_shared_gates_and_matrices(toy, rank):
    arguments = (guide_models.X, guide_models.Y)
    guide = AutoJointGates(toy, arguments, rank=rank, num_draws=4)
    fit = l0bayes.fit(toy, guide, arguments, steps=3, compile="eager", progress=False)
    assert all(parameter.grad is not None for parameter in guide.parameters())
    objective = guide.objective()(toy, guide)
    objective(*arguments)
    assert objective.elbo._batches
    values = guide.draw(3)
    trace = pyro.poutine.trace(guide).get_trace(*arguments)
    for name, value in values.items():
        assert value.shape == (3, *trace.nodes[name]["value"].shape)
    assert describe_objective(toy, guide, arguments).is_bound
    assert importance_weighted(fit, num_draws=20).log_evidence < 0


def test_groups_open_and_shut_together():
    groups = torch.tensor([0, 0, 1, 1])

    def grouped(x, y):
        beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([4]).to_event(1), groups=groups)
        pyro.sample("y", dist.Normal(x @ beta, 0.5).to_event(1), obs=y)

    arguments = (guide_models.X, guide_models.Y)
    guide = AutoJointGates(grouped, arguments)
    trace = pyro.poutine.trace(guide).get_trace(*arguments)
    gates, slab = trace.nodes[SITE], trace.nodes["beta.slab"]
    assert isinstance(gates["fn"], AutoregressiveGates)
    assert isinstance(slab["fn"], ConditionalSlab)
    assert torch.equal(slab["fn"].open, gates["value"][groups])


def test_a_state_goes_into_a_fresh_guide_and_guides_are_copied_and_pickled():
    x, y = data(4)
    guide = joint_guide(x, y, seed=3)
    fresh = joint_guide(x, y)
    fresh.load_state_dict(guide.state_dict())
    for other in (fresh, copy.deepcopy(guide), pickle.loads(pickle.dumps(guide))):
        torch.testing.assert_close(pips(other), pips(guide))
        torch.testing.assert_close(other.median(), guide.median())


def test_restarts_and_the_default_start():
    x, y = data(4)
    guide = joint_guide(x, y)
    torch.testing.assert_close(pips(guide), torch.full((4,), 0.5, dtype=torch.float64))
    fit = l0bayes.fit(model, guide, (x, y), steps=10, restarts=2, progress=False)
    assert len(fit.restarts) == 2


def test_errors():
    x, y = data(3)
    guide = joint_guide(x, y)
    with pytest.raises(ValueError, match=r"depend on one another(.|\n)*ScoreELBO"):
        MeanFieldELBO()(model, guide)(x, y)
    with pytest.raises(ValueError, match="per_example_gates"):
        l0bayes.fit(model, guide, (x, y), steps=1, per_example_gates=True, progress=False)
    with pytest.raises(ValueError, match="independent gates"):
        l0bayes.fit(model, guide, (x, y), steps=1, target="units:0.5", progress=False)
    with pytest.raises(ValueError, match="num_draws"):
        AutoJointGates(model, (x, y), num_draws=1)
    with pytest.raises(ValueError, match="rank"):
        AutoJointGates(model, (x, y), rank=0)
    with pytest.raises(TypeError, match="slab"):
        AutoJointGates(model, (x, y), slab="delta")
    with pytest.raises(ValueError, match="2 draws"):
        ScoreELBO(num_draws=1)
    with pytest.raises(ValueError, match="give a fit"):
        importance_weighted(model, guide)

    def in_plate(x, y):
        with pyro.plate("columns", 3):
            beta = spike_and_slab("beta", 0.3)
        pyro.sample("y", dist.Normal(x @ beta, 1.0).to_event(1), obs=y)

    with pytest.raises(NotImplementedError, match="plate 'columns'"):
        AutoJointGates(in_plate, (x.float(), y.float()))

    points = AutoHardConcrete(model, (x, y), slab="delta").double()
    with pytest.raises(ValueError, match="points"):
        importance_weighted(model, points, (x, y))


def test_the_reference_is_the_log_evidence_at_the_posterior():
    """The formulas that the tests rest on: with all at the posterior of one column, the bound is tight."""
    x, y = data(1)
    guide = exact_slabs(joint_guide(x, y), x, y)
    with torch.no_grad():
        guide.logits.get_parameter("beta/gate_unconstrained").copy_(torch.logit(exact(x, y).pip))
    assert abs(enumerated_elbo(parameters_of(guide), x, y) - exact(x, y).log_evidence) < 1e-9
    assert hardened_elbo(model, guide, (x, y)).standard_error < 1e-9
