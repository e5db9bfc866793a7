"""Gates, slabs and other latents in plates: full data, minibatches, and create_plates."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoGuideList

from l0bayes.distributions import HardConcrete
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import GradientStep, MeanFieldELBO
from l0bayes.sites import spike_and_slab
from l0bayes.testing.guide_models import MEMBERS as N
from l0bayes.testing.guide_models import batch_of, data_plate, nested, outliers

_, DATA = batch_of(range(N))


def test_laws_have_the_full_shape_of_their_plates():
    guide = AutoHardConcrete(nested)
    laws = guide.laws()
    shapes = {name: tuple(law.batch_shape) for name, law in laws.items()}
    assert shapes == {"shared": (4, 1, 2), "own.gate": (4, 5), "own.slab": (4, 5), "both.slab": (4, 5, 2)}
    draws = guide()
    assert {name: tuple(value.shape) for name, value in draws.items()} == shapes
    assert isinstance(laws["own.gate"], HardConcrete)


def test_the_slab_kl_is_weighted_by_the_gate_of_its_own_plate_cell():
    guide = AutoHardConcrete(nested).perturb(2, gates=2.0)
    terms = MeanFieldELBO().terms(nested, guide)
    laws = guide.laws()
    activity = {
        name: torch.sigmoid(law.log_alpha + 2 / 3 * torch.log(torch.tensor(11.0)))
        for name, law in guide.gates().items()
    }
    for slab, gates in [("own.slab", "own.gate"), ("both.slab", "shared")]:
        base = laws[slab].base
        kl = -torch.log(base.scale) + (base.scale**2 + base.loc**2 - 1.0) / 2.0
        expected = (activity[gates].expand(kl.shape) * kl).sum()
        torch.testing.assert_close(terms.kl[slab], expected)


# ---- local latents in a data plate -----------------------------------------------------------------


@pytest.fixture
def local_guide():
    guide = AutoHardConcrete(outliers, (batch_of([0, 1, 2]),), create_plates=data_plate, temperature=0.5)
    return guide.perturb(4, gates=1.5, locs=1.0)


def test_local_parameters_have_the_size_of_the_plate_not_of_the_batch(local_guide):
    laws = local_guide.laws()
    assert laws["shift.gate"].batch_shape == laws["shift.slab"].batch_shape == (N,)
    assert laws["weight.slab"].batch_shape == (3,)


def test_a_minibatch_draws_the_laws_of_its_own_indices(local_guide):
    indices = [7, 2, 11, 3]
    laws = local_guide.laws()
    trace = pyro.poutine.trace(local_guide).get_trace(batch_of(indices))
    for site in ("shift.gate", "shift.slab"):
        assert trace.nodes[site]["value"].shape == (4,)
        assert trace.nodes[site]["scale"] == N / 4
    torch.testing.assert_close(
        trace.nodes["shift.gate"]["fn"].log_alpha, laws["shift.gate"].log_alpha[indices]
    )
    torch.testing.assert_close(trace.nodes["shift.slab"]["fn"].base.loc, laws["shift.slab"].base.loc[indices])
    assert trace.nodes["weight.gate"]["scale"] == 1.0


def test_only_the_parameters_of_the_batch_get_gradients(local_guide):
    indices = [7, 2, 11, 3]
    elbo = MeanFieldELBO()(outliers, local_guide)
    elbo(batch_of(indices)).backward()
    grad = dict(local_guide.named_parameters())["log_alpha.shift/gate_unconstrained"].grad
    others = [j for j in range(N) if j not in indices]
    assert (grad[indices] != 0).all()
    assert (grad[others] == 0).all()


def test_minibatches_of_local_gates_are_unbiased(local_guide):
    """The mean over a partition into equal batches is the KL of the whole plate, exactly."""
    elbo = MeanFieldELBO()
    whole = elbo.terms(outliers, local_guide, batch_of(list(range(N)))).kl
    partition = torch.arange(N).reshape(3, 4)
    parts = [elbo.terms(outliers, local_guide, batch_of(rows)).kl for rows in partition]
    for site in ("shift.gate", "shift.slab"):
        torch.testing.assert_close(torch.stack([part[site] for part in parts]).mean(), whole[site])


def subsampled(y):
    """As outliers, but the plate draws its own batch of four."""
    with pyro.plate("data", N, subsample_size=4) as indices:
        shift = spike_and_slab("shift", 0.2, dist.Normal(0.0, 2.0))
        pyro.deterministic("seen", indices.clone())
        pyro.sample("y", dist.Normal(shift, 1.0), obs=y[indices])


@pytest.mark.parametrize("given", [True, False])
def test_a_plate_that_draws_its_batch_draws_one_for_guide_and_model(given):
    """The datum that a local gate explains must be the datum of that gate."""
    create = (lambda y: pyro.plate("data", N, subsample_size=4)) if given else None
    guide = AutoHardConcrete(subsampled, (DATA,), create_plates=create)
    with torch.no_grad():  # every local latent is decided and tells its index
        guide.log_alpha.get_parameter("shift/gate_unconstrained").fill_(60.0)
        guide.loc.get_parameter("shift/slab_unconstrained").copy_(DATA)
        guide.scale.get_parameter("shift/slab_unconstrained").fill_(-30.0)
    # The shifts fit their own data exactly: log N(y; y, 1) summed over the plate.
    exact = N * dist.Normal(0.0, 1.0).log_prob(torch.tensor(0.0))
    for _ in range(5):
        likelihood = MeanFieldELBO().terms(subsampled, guide, DATA).log_likelihood
        torch.testing.assert_close(likelihood, exact, atol=1e-4, rtol=1e-5)


def test_a_subsample_that_only_the_model_is_given_is_refused():
    """Without create_plates the guide would draw other indices than those of the batch."""

    def fresh():
        return AutoHardConcrete(outliers, (batch_of([0, 1, 2]),))

    message = r"site 'shift.gate' stands in plate 'data', whose subsample is given .* create_plates"
    with pytest.raises(ValueError, match=message):
        MeanFieldELBO().loss(outliers, fresh(), batch_of([3, 4, 5]))

    parts = AutoGuideList(outliers)
    parts.append(fresh())
    with pytest.raises(ValueError, match=message):
        parts(batch_of([3, 4, 5]))
    parts = AutoGuideList(outliers, create_plates=data_plate)
    parts.append(fresh())
    assert MeanFieldELBO()(outliers, parts)(batch_of([3, 4, 5])).isfinite()


def test_a_plate_that_is_given_all_its_data_needs_no_help():
    everything = batch_of(list(range(N)))
    guide = AutoHardConcrete(outliers, (everything,))
    assert MeanFieldELBO()(outliers, guide)(everything).isfinite()


def test_a_batch_of_another_size_needs_no_new_guide(local_guide):
    elbo = MeanFieldELBO()(outliers, local_guide)
    for size in (1, 5, N):
        assert elbo(batch_of(list(range(size)))).isfinite()


@pytest.mark.slow
def test_training_on_minibatches_finds_the_shifted_data():
    """Half of the data are shifted by 6 noise standard deviations; their gates open, the others shut."""
    shifted = torch.arange(N) % 2 == 0
    y = torch.where(shifted, 6.0, 0.0) + 0.5 * torch.randn(N)

    def model(batch):
        with pyro.plate("data", N, subsample=batch[0]):
            shift = spike_and_slab("shift", 0.5, dist.Normal(0.0, 5.0))
            pyro.sample("y", dist.Normal(shift, 1.0), obs=batch[1])

    first = (torch.arange(4), y[:4])
    guide = AutoHardConcrete(model, (first,), create_plates=data_plate, temperature=0.3)
    step = GradientStep(MeanFieldELBO()(model, guide), "graph")
    optimiser = torch.optim.Adam(guide.parameters(), lr=0.1)
    for _ in range(100):
        for rows in torch.randperm(N).reshape(3, 4):
            step([(rows, y[rows])])
            optimiser.step()
    active = guide.gates()["shift.gate"].prob_active
    assert (active[shifted] > 0.8).all()
    assert (active[~shifted] < 0.4).all()
    torch.testing.assert_close(guide.median()["shift.slab"][shifted], y[shifted], atol=0.8, rtol=0.0)
