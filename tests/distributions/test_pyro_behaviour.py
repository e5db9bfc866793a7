"""Gates as latent sites of ordinary Pyro programs, under Pyro's own objectives and guides."""

import math
from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Predictive, TraceEnum_ELBO, TraceMeanField_ELBO, config_enumerate
from pyro.infer.autoguide import AutoDelta, AutoNormal
from torch.distributions import kl_divergence

from l0bayes.distributions import (
    BernoulliGate,
    BinaryConcrete,
    Gate,
    GatedSlab,
    GateLaw,
    HardConcrete,
    L0Penalty,
)
from l0bayes.distributions.constraints import GateInterval
from l0bayes.sites import spike_and_slab
from l0bayes.testing.gate_law_case import close

OBSERVED = torch.tensor([0.1, 1.9, 2.2], dtype=torch.float64)
LOG_ALPHA = torch.tensor([-1.0, 0.3, 2.0], dtype=torch.float64)


def double(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize(
    "prior",
    [lambda: Gate(double(0.2)), lambda: L0Penalty(double(1.5)), lambda: HardConcrete(double(-1.0))],
    ids=["Gate", "L0Penalty", "HardConcrete"],
)
@pytest.mark.parametrize("in_plate", [True, False], ids=["plate", "to_event"])
def test_the_mean_field_elbo_finds_the_kl(prior: Callable, in_plate: bool) -> None:
    """Without data the loss is the KL itself, at every draw: a Monte Carlo fallback would scatter."""

    def site(law: dist.TorchDistribution) -> None:
        if in_plate:
            with pyro.plate("gates", 3):
                pyro.sample("z", law)
        else:
            pyro.sample("z", law.expand((3,)).to_event(1))

    def model() -> None:
        site(prior())

    def guide() -> None:
        site(HardConcrete(LOG_ALPHA))

    wanted = kl_divergence(HardConcrete(LOG_ALPHA), prior().expand((3,))).sum().item()
    elbo = TraceMeanField_ELBO()
    losses = []
    for seed in range(5):
        pyro.set_rng_seed(seed)
        losses.append(elbo.loss(model, guide))
    assert losses == pytest.approx([wanted] * 5, rel=1e-14)


def test_the_mean_field_elbo_weights_the_slab_by_the_activity() -> None:
    def model() -> None:
        pyro.sample("slab", dist.Normal(double(0.0), 1.0).expand([3]).to_event(1))

    def guide() -> None:
        base = dist.Normal(LOG_ALPHA, double(0.5))
        pyro.sample("slab", GatedSlab(base, HardConcrete(LOG_ALPHA).prob_active).to_event(1))

    loss = TraceMeanField_ELBO().loss(model, guide)
    per_weight = 0.5 * (0.25 + LOG_ALPHA.square() - 1.0) - math.log(0.5)
    close(double(loss), (HardConcrete(LOG_ALPHA).prob_active * per_weight).sum().item(), 1e-14)


@pytest.mark.parametrize("law", [HardConcrete, BinaryConcrete])
def test_the_mean_field_elbo_accepts_relaxed_gates_and_minibatch_masks(law: type[GateLaw]) -> None:
    """Priors score values strictly between 0 and 1, and masked plates take the KL site by site."""
    mask = torch.tensor([True, False, True])

    def model() -> None:
        with pyro.plate("gates", 3), pyro.poutine.mask(mask=mask):
            z = pyro.sample("z", Gate(double(0.2)))
            pyro.sample("x", dist.Normal(2.0 * z, 1.0), obs=OBSERVED)

    def guide() -> None:
        with pyro.plate("gates", 3), pyro.poutine.mask(mask=mask):
            pyro.sample("z", law(LOG_ALPHA))

    pyro.set_rng_seed(0)
    loss = TraceMeanField_ELBO().loss(model, guide)
    pyro.set_rng_seed(0)
    z = law(LOG_ALPHA).rsample()
    terms = kl_divergence(law(LOG_ALPHA), Gate(double(0.2))) - dist.Normal(2.0 * z, 1.0).log_prob(OBSERVED)
    close(double(loss), terms[mask].sum().item(), 1e-13)


@pytest.mark.parametrize(
    ("prior", "shut", "open_"),
    [(lambda: Gate(double(0.2)), 0.8, 0.2), (lambda: L0Penalty(double(1.5)), 1.0, math.exp(-1.5))],
    ids=["Gate", "L0Penalty"],
)
def test_exact_enumeration_gives_the_evidence(prior: Callable, shut: float, open_: float) -> None:
    """log sum over z of p(z) N(x; 2z, 1); for the penalty with its unnormalised weights 1 and e^-lambda."""

    @config_enumerate
    def model() -> None:
        with pyro.plate("data", 3):
            z = pyro.sample("z", prior())
            pyro.sample("x", dist.Normal(2.0 * z, 1.0), obs=OBSERVED)

    def density(x: float, loc: float) -> float:
        return math.exp(-0.5 * (x - loc) ** 2) / math.sqrt(2.0 * math.pi)

    wanted = sum(math.log(shut * density(x, 0.0) + open_ * density(x, 2.0)) for x in OBSERVED.tolist())
    loss = TraceEnum_ELBO(max_plate_nesting=1).loss(model, lambda: None)
    close(double(-loss), wanted, 1e-14)


def test_a_binary_guide_is_enumerated_exactly() -> None:
    def model() -> None:
        with pyro.plate("data", 3):
            z = pyro.sample("z", Gate(double(0.2)))
            pyro.sample("x", dist.Normal(2.0 * z, 1.0), obs=OBSERVED)

    @config_enumerate
    def guide() -> None:
        with pyro.plate("data", 3):
            pyro.sample("z", BernoulliGate(LOG_ALPHA))

    q = torch.sigmoid(LOG_ALPHA)
    on, off = (dist.Normal(double(loc), 1.0).log_prob(OBSERVED) for loc in (2.0, 0.0))
    wanted = (q * (on + math.log(0.2) - q.log()) + (1 - q) * (off + math.log(0.8) - (1 - q).log())).sum()
    loss = TraceEnum_ELBO(max_plate_nesting=1).loss(model, guide)
    close(double(-loss), wanted.item(), 1e-13)


def test_predictive_draws_binary_gates() -> None:
    def model() -> None:
        with pyro.plate("gates", 4):
            pyro.sample("z", Gate(double(0.5)))

    pyro.set_rng_seed(1)
    draws = Predictive(model, num_samples=50)()["z"]
    assert draws.shape == (50, 4)
    assert set(draws.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("guide", [AutoNormal, AutoDelta])
def test_a_guide_without_atoms_is_refused_by_the_site_s_name(guide: type) -> None:
    def model() -> None:
        spike_and_slab("beta", 0.1, dist.Normal(0.0, 1.0).expand([3]).to_event(1))

    with pytest.raises(ValueError, match=r"site 'beta\.gate' is a gate with mass at exactly 0 and 1"):
        guide(model)()


def test_a_bare_gate_is_refused_without_a_name() -> None:
    with pytest.raises(ValueError, match="a site is a gate with mass at exactly 0 and 1"):
        AutoNormal(lambda: pyro.sample("z", Gate(0.1)))()


def test_the_gate_interval_is_closed() -> None:
    inside = GateInterval("z").check(torch.tensor([-1e-9, 0.0, 0.5, 1.0, 1.0 + 1e-6, math.nan]))
    assert inside.tolist() == [False, True, True, True, False, False]
