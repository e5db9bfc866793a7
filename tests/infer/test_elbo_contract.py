"""What the objective promises besides its value: scaling, masking, particles, Pyro, state, errors."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from torch import nn

from l0bayes.distributions import Gate, GatedSlab, HardConcrete
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MONTE_CARLO, MeanFieldELBO
from l0bayes.models import SparseNetwork
from l0bayes.sites import gate, spike_and_slab
from tests.infer.problems import NOISE, Parameters, X, Y, guide_of, misfit, regression

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def model():
    return regression(Gate(0.2))


@pytest.fixture
def guide(model):
    return guide_of(model)


def loss_at(seed, elbo, *args):
    torch.manual_seed(seed)
    return elbo.loss(*args) if len(args) > 2 else elbo(*args).item()


# ---- minibatches, masks, scales, factors -------------------------------------------------------------


def minibatched(indices, x, y):
    beta = spike_and_slab("beta", 0.2, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
    with pyro.plate("data", 15, subsample=indices):
        pyro.sample("y", dist.Normal((x[indices] * beta).sum(-1), NOISE), obs=y[indices])


def test_minibatches_are_unbiased(model, guide):
    """At equal noise the mean over a partition is the loss of all data, exactly."""
    elbo = MeanFieldELBO()
    whole = loss_at(1, elbo, model, guide, X, Y)
    parts = [loss_at(1, elbo, minibatched, guide, rows, X, Y) for rows in torch.randperm(15).reshape(5, 3)]
    assert sum(parts) / 5 == pytest.approx(whole, rel=1e-12)
    assert max(parts) - min(parts) > 1.0


def test_minibatches_of_a_network_are_unbiased():
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    labels = (Y > 0).long()
    model = SparseNetwork(net, gates="input", inclusion=0.3, num_data=15)
    guide = AutoHardConcrete(model, (X, labels)).perturb(2)
    elbo = MeanFieldELBO()(model, guide)
    whole = loss_at(1, elbo, X, labels)
    parts = [loss_at(1, elbo, X[rows], labels[rows]) for rows in torch.randperm(15).reshape(5, 3)]
    assert sum(parts) / 5 == pytest.approx(whole, rel=1e-12)


def observed(handler):
    def model(x, y):
        beta = spike_and_slab("beta", 0.2, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        with pyro.plate("data", len(x)), handler:
            pyro.sample("y", dist.Normal((x * beta).sum(-1), NOISE), obs=y)

    return model


def likelihood_at(seed, model, guide, *data):
    torch.manual_seed(seed)
    return MeanFieldELBO().terms(model, guide, *data).log_likelihood.item()


def test_a_mask_leaves_data_out(model, guide):
    keep = torch.arange(15) < 6
    masked = likelihood_at(2, observed(poutine.mask(mask=keep)), guide, X, Y)
    assert masked == pytest.approx(likelihood_at(2, model, guide, X[:6], Y[:6]), rel=1e-12)


def test_a_scale_multiplies_the_likelihood(model, guide):
    scaled = likelihood_at(2, observed(poutine.scale(scale=2.5)), guide, X, Y)
    assert scaled == pytest.approx(2.5 * likelihood_at(2, model, guide, X, Y), rel=1e-12)


def test_a_factor_is_a_log_likelihood(model, guide):
    def with_factor(x, y):
        beta = spike_and_slab("beta", 0.2, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        pyro.factor("fit", dist.Normal(x @ beta, NOISE).log_prob(y).sum())

    elbo = MeanFieldELBO()
    assert loss_at(3, elbo, with_factor, guide, X, Y) == pytest.approx(
        loss_at(3, elbo, model, guide, X, Y), rel=1e-12
    )


def test_deterministic_sites_count_nothing(model, guide):
    def recorded(x, y):
        model(x, y)
        pyro.deterministic("note", torch.ones(3), event_dim=1)

    elbo = MeanFieldELBO()
    assert loss_at(3, elbo, recorded, guide, X, Y) == loss_at(3, elbo, model, guide, X, Y)


def local(handler):
    """A plate of gates and slabs under a handler, in the model and in the guide."""

    def model():
        with pyro.plate("units", 5), handler:
            spike_and_slab("w", 0.2, dist.Normal(0.0, 1.0))

    def guide():
        log_alpha = torch.linspace(-2.0, 2.0, 5)
        with pyro.plate("units", 5), handler:
            law = HardConcrete(log_alpha)
            pyro.sample("w.gate", law)
            pyro.sample("w.slab", GatedSlab(dist.Normal(torch.ones(5), 0.3), law.prob_active))

    return MeanFieldELBO().terms(model, guide).kl


def test_masks_and_scales_of_latents_reach_their_kl():
    plain = local(poutine.scale(scale=1.0))
    for site, value in local(poutine.scale(scale=0.25)).items():
        torch.testing.assert_close(value, 0.25 * plain[site])
    active = torch.sigmoid(torch.linspace(-2.0, 2.0, 5) + 2 / 3 * math.log(11.0))
    each = {
        "w.gate": active * (active / 0.2).log() + (1 - active) * ((1 - active) / 0.8).log(),
        "w.slab": active * (-math.log(0.3) + (0.3**2 + 1.0 - 1.0) / 2.0),
    }
    keep = torch.tensor([True, False, True, True, False])
    masked = local(poutine.mask(mask=keep))
    for site, values in each.items():
        torch.testing.assert_close(plain[site], values.sum())
        torch.testing.assert_close(masked[site], values[keep].sum())


def test_a_scale_on_the_model_alone_is_refused(model, guide):
    """An analytic KL has one scale; dropping the model's in silence would undo an annealed KL."""
    with pytest.raises(
        ValueError, match=r"site 'beta.gate' .* 0.1 in the model and 1.0 in the guide.*kl_weight"
    ):
        MeanFieldELBO().loss(poutine.scale(model, scale=0.1), guide, X, Y)
    both = MeanFieldELBO().loss(poutine.scale(model, scale=0.1), poutine.scale(guide, scale=0.1), X, Y)
    assert math.isfinite(both)


# ---- particles ---------------------------------------------------------------------------------------


def test_a_loop_of_particles_is_the_mean_of_single_ones(model, guide):
    torch.manual_seed(8)
    singles = [MeanFieldELBO().loss(model, guide, X, Y) for _ in range(4)]
    assert loss_at(8, MeanFieldELBO(num_particles=4), model, guide, X, Y) == pytest.approx(sum(singles) / 4)


@pytest.mark.parametrize("slab", ["normal", "delta"])
def test_particles_in_a_loop_and_in_a_batch_agree_in_expectation(slab):
    def model(x, y):
        pi = pyro.sample("pi", dist.Beta(1.0, 3.0))
        sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
        beta = spike_and_slab("beta", pi[..., None], dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("y", dist.Normal((x * beta).sum(-1), sigma), obs=y)

    guide = guide_of(model, slab=slab)
    singles = torch.tensor([MeanFieldELBO().loss(model, guide, X, Y) for _ in range(400)])
    batch = MeanFieldELBO(num_particles=400, vectorize_particles=True, max_plate_nesting=1)
    batches = torch.tensor([batch.loss(model, guide, X, Y) for _ in range(25)])
    spread = (singles.var() / 400 + batches.var() / 25).sqrt()
    assert abs(singles.mean() - batches.mean()) < 4.0 * spread
    assert (batches.std() * 20).item() == pytest.approx(singles.std().item(), rel=0.6)


def test_the_depth_of_the_plates_is_found_where_it_is_not_given(model, guide):
    given = MeanFieldELBO(num_particles=50, vectorize_particles=True, max_plate_nesting=1)
    guessed = MeanFieldELBO(num_particles=50, vectorize_particles=True)
    guessed.loss(model, guide, X, Y)
    assert guessed.max_plate_nesting == given.max_plate_nesting
    assert loss_at(1, guessed, model, guide, X, Y) == loss_at(1, given, model, guide, X, Y)


# ---- live settings -----------------------------------------------------------------------------------


def test_the_kl_weight_acts_at_once_and_is_one_tensor(model, guide):
    elbo = MeanFieldELBO(kl_weight=1.0)
    objective = elbo(model, guide)
    assert "kl_weight" in dict(objective.named_buffers())
    torch.manual_seed(0)
    _, likelihood, kl = (t.item() for t in objective.with_terms(X, Y))
    for weight in (0.0, 0.5, 2.0):
        objective.kl_weight.fill_(weight)
        assert loss_at(0, objective, X, Y) == pytest.approx(weight * kl - likelihood, rel=1e-9)
        assert loss_at(0, elbo, model, guide, X, Y) == pytest.approx(weight * kl - likelihood, rel=1e-9)
    objective.to(torch.float32)
    objective.kl_weight.fill_(0.25)
    assert elbo.kl_weight == 0.25


def test_the_temperature_acts_at_once(model, guide):
    objective = MeanFieldELBO()(model, guide)
    first = loss_at(0, objective, X, Y)
    guide.temperature.fill_(0.1)
    q = Parameters(guide)
    assert q.beta == pytest.approx(0.1)
    torch.manual_seed(0)
    z = q.gates(torch.rand(4))
    theta = dist.Normal(q.loc, q.scale).rsample()
    kl = q.active * (q.active / 0.2).log() + (1 - q.active) * ((1 - q.active) / 0.8).log()
    expected = misfit(z * theta) + (kl + q.active * q.slab_kl()).sum()
    assert loss_at(0, objective, X, Y) == pytest.approx(expected.item(), rel=1e-10)
    assert first != pytest.approx(expected.item(), rel=1e-4)


# ---- Pyro --------------------------------------------------------------------------------------------


def test_the_parameter_store_and_the_settings_are_left_alone(model, guide):
    pyro.param("mine", torch.tensor(2.0))
    settings = pyro.settings.get()
    objective = MeanFieldELBO()(model, guide)
    for _ in range(2):
        objective(X, Y).backward()
    assert list(pyro.get_param_store().keys()) == ["mine"]
    assert pyro.get_param_store()["mine"] == 2.0
    assert pyro.settings.get() == settings


def test_the_store_is_left_alone_by_a_model_that_fails(model, guide):
    pyro.param("mine", torch.tensor(2.0))
    with pytest.raises(RuntimeError):
        MeanFieldELBO()(model, guide)(X[:, :3], Y)
    assert list(pyro.get_param_store().keys()) == ["mine"]


@pytest.mark.parametrize("slab", ["normal", "delta"])
def test_stock_svi_trains_with_this_loss(model, slab):
    guide = AutoHardConcrete(model, (X, Y), slab=slab)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.03}), MeanFieldELBO())
    losses = [svi.step(X, Y) for _ in range(200)]
    assert sum(losses[-30:]) / 30 < sum(losses[:30]) / 30 - 5.0
    assert math.isfinite(svi.evaluate_loss(X, Y))


def test_svi_and_plain_torch_take_the_same_steps(model):
    first, second = (AutoHardConcrete(model, (X, Y)) for _ in range(2))
    svi = SVI(model, first, pyro.optim.Adam({"lr": 0.05}), MeanFieldELBO())
    torch.manual_seed(6)
    for _ in range(5):
        svi.step(X, Y)
    objective = MeanFieldELBO()(model, second)
    optimiser = torch.optim.Adam(objective.parameters(), lr=0.05)
    torch.manual_seed(6)
    for _ in range(5):
        optimiser.zero_grad()
        objective(X, Y).backward()
        optimiser.step()
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_module_local_parameters_work_too(model):
    """Pyro's other mode, which keeps parameters out of the global store."""
    with pyro.settings.context(module_local_params=True):
        guide = AutoHardConcrete(model, (X, Y))
        before = [p.detach().clone() for p in guide.parameters()]
        SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), MeanFieldELBO()).step(X, Y)
        assert all(not torch.equal(a, b) for a, b in zip(before, guide.parameters(), strict=True))
        MeanFieldELBO()(model, guide)(X, Y).backward()
    assert not pyro.get_param_store()


def test_learning_rates_by_name_reach_the_gates_under_svi(model):
    guide = AutoHardConcrete(model, (X, Y))
    before = {name: p.detach().clone() for name, p in guide.named_parameters()}
    rate = lambda name: {"lr": 0.1 if "log_alpha" in name else 0.0}  # noqa: E731
    SVI(model, guide, pyro.optim.Adam(rate), MeanFieldELBO()).step(X, Y)
    moved = {name for name, p in guide.named_parameters() if not torch.equal(before[name], p)}
    assert moved == {"log_alpha.beta/gate_unconstrained"}


def test_the_stock_mean_field_elbo_gives_the_same_value(model, guide):
    for seed in range(3):
        stock = loss_at(seed, TraceMeanField_ELBO(), model, guide, X, Y)
        assert loss_at(seed, MeanFieldELBO(), model, guide, X, Y) == pytest.approx(stock, rel=1e-12)


@pytest.mark.filterwarnings("ignore::l0bayes.infer.StockLossWarning")
@pytest.mark.parametrize("loss", [Trace_ELBO, TraceMeanField_ELBO])
@pytest.mark.parametrize("slab", ["normal", "delta"])
def test_stock_objectives_train_the_guide(model, slab, loss):
    guide = AutoHardConcrete(model, (X, Y), slab=slab)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.03}), loss())
    losses = [svi.step(X, Y) for _ in range(150)]
    assert sum(losses[-30:]) < sum(losses[:30])


@pytest.mark.filterwarnings("ignore::l0bayes.infer.StockLossWarning")
def test_the_stock_trace_elbo_charges_a_hardened_slab_in_full(model, guide):
    """It knows nothing of q(slab | shut) = prior: its value is larger by (1 - P) KL of every slab."""
    hard = guide.harden()
    q = Parameters(guide)
    batch = {"num_particles": 40_000, "vectorize_particles": True, "max_plate_nesting": 1}
    gap = Trace_ELBO(**batch).loss(model, hard, X, Y) - MeanFieldELBO(**batch).loss(model, hard, X, Y)
    expected = ((1 - q.active) * q.slab_kl()).sum().item()
    assert expected > 1.0
    assert gap == pytest.approx(expected, abs=0.6)


# ---- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"), [("num_particles", 0), ("num_particles", -2), ("kl_weight", -0.5)]
)
def test_options_out_of_range(option, value):
    with pytest.raises(ValueError, match=f"{option} must .*, got {value}"):
        MeanFieldELBO(**{option: value})


def student(x, y):
    spike_and_slab("beta", 0.2, dist.Cauchy(0.0, 1.0).expand([4]).to_event(1))


def test_a_missing_kl_raises_and_names_site_and_laws():
    guide = AutoHardConcrete(student, (X, Y))
    with pytest.raises(NotImplementedError, match=r"site 'beta.slab': .* GatedSlab\(Normal\) to Cauchy"):
        MeanFieldELBO().loss(student, guide, X, Y)


def hand_guide(infer):
    def guide(x=None, y=None):
        law = HardConcrete(torch.zeros(4))
        pyro.sample("beta.gate", law.to_event(1))
        pyro.sample("beta.slab", dist.Normal(torch.ones(4), 0.3).to_event(1), infer=infer)

    return guide


def test_a_sampled_kl_must_be_asked_for():
    with pytest.raises(NotImplementedError, match=r"site 'beta.slab': .* Normal to Cauchy"):
        MeanFieldELBO().loss(student, hand_guide({}), X, Y)
    elbo = MeanFieldELBO(num_particles=20_000, vectorize_particles=True, max_plate_nesting=0)
    found = elbo.terms(student, hand_guide({MONTE_CARLO: True}), X, Y).kl["beta.slab"].item()
    q, p = dist.Normal(1.0, 0.3), dist.Cauchy(0.0, 1.0)
    grid = torch.linspace(-2.0, 4.0, 6001)
    exact = torch.trapezoid(q.log_prob(grid).exp() * (q.log_prob(grid) - p.log_prob(grid)), grid)
    assert found == pytest.approx(4 * exact.item(), abs=0.05)


def test_an_uncovered_gate_is_named(guide):
    def larger(x, y):
        gate("forgotten", 0.5, [3])
        regression(Gate(0.2))(x, y)

    with pytest.raises(ValueError, match=r"gate site 'forgotten' of the model is not covered by the guide"):
        MeanFieldELBO().loss(larger, guide, X, Y)


def test_an_uncovered_latent_is_named(model, guide):
    def larger(x, y):
        pyro.sample("tau", dist.LogNormal(0.0, 1.0))
        model(x, y)

    with pytest.raises(ValueError, match=r"latent site 'tau' of the model is not covered by the guide"):
        MeanFieldELBO().loss(larger, guide, X, Y)


def test_a_site_that_only_the_guide_has_is_named(guide):
    def smaller(x, y):
        gate("beta.gate", 0.2, [4])

    with pytest.raises(ValueError, match=r"guide site 'beta.slab' does not exist in the model"):
        MeanFieldELBO().loss(smaller, guide, X, Y)


def test_a_gate_needs_a_gate_law():
    def guide(x, y):
        pyro.sample("beta.gate", dist.Uniform(torch.zeros(4), 1.0).to_event(1))
        pyro.sample("beta.slab", dist.Normal(torch.zeros(4), 1.0).to_event(1))

    with pytest.raises(
        ValueError, match=r"gate site 'beta.gate' is given .* no gate law(.|\n)*AutoHardConcrete"
    ):
        MeanFieldELBO().loss(regression(Gate(0.2)), guide, X, Y)


def test_a_gate_may_be_fixed_by_a_point(model):
    """A mask known beforehand: the gate's cost is its prior's log probability."""
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0])

    def guide(x, y):
        pyro.sample("beta.gate", dist.Delta(mask).to_event(1))
        pyro.sample("beta.slab", GatedSlab(dist.Normal(torch.ones(4), 0.3), mask).to_event(1))

    kl = MeanFieldELBO().terms(model, guide, X, Y).kl
    assert kl["beta.gate"].item() == pytest.approx(-2 * math.log(0.2) - 2 * math.log(0.8))
    assert kl["beta.slab"].item() == pytest.approx(2 * (-math.log(0.3) + 0.3**2 / 2.0))
