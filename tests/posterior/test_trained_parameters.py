"""Values of ``pyro.param`` that a model was trained to are the ones that every reader takes."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive
from pyro.infer.autoguide import AutoGuideList, AutoNormal
from torch.distributions import constraints

import l0bayes
from l0bayes.gradients.gate_problem import GateProblem
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import MeanFieldELBO, UntrainedParameterWarning, describe_objective
from l0bayes.posterior import importance_weighted, predict

GENERATOR = torch.Generator().manual_seed(4)
X = torch.randn(60, 3, generator=GENERATOR)
Y = 1.5 * X[:, 0] + 0.4 * torch.randn(60, generator=GENERATOR)
TRAINED = {"sigma": 0.4, "shift": 2.0}


def model(x, y=None):
    """Noise and a shift of all responses are parameters, far from their trained values at the start."""
    sigma = pyro.param("sigma", torch.tensor(5.0), constraint=constraints.positive)
    shift = pyro.param("shift", torch.tensor(-9.0))
    beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(x @ beta + shift, sigma), obs=y)
    return x @ beta + shift


def fixed(x, y=None):
    """The same with the trained values written in: what every reader must agree with."""
    beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(x @ beta + TRAINED["shift"], TRAINED["sigma"]), obs=y)
    return x @ beta + TRAINED["shift"]


DATA = (X, Y + TRAINED["shift"])


def train():
    """What training leaves in the store."""
    pyro.clear_param_store()
    pyro.param("sigma", torch.tensor(TRAINED["sigma"]), constraint=constraints.positive)
    pyro.param("shift", torch.tensor(TRAINED["shift"]))


@pytest.fixture
def guide():
    found = AutoHardConcrete(model, DATA, init_active=0.9)
    pyro.clear_param_store()  # making a guide runs the model
    return found


READERS = {
    "to_arviz": lambda model, guide: {
        group: l0bayes.to_arviz(l0bayes.Fit.of(model, guide, DATA), num_draws=20)[group]["y"].values
        for group in ("log_likelihood", "posterior_predictive")
    },
    "hardened": lambda model, guide: l0bayes.hardened_elbo(model, guide, DATA, num_draws=20).value,
    "importance": lambda model, guide: importance_weighted(model, guide, DATA, num_draws=50).log_evidence,
    "predict": lambda model, guide: predict(model, guide, (X,), num_draws=5),
    "trust": lambda model, guide: l0bayes.trust(l0bayes.Fit.of(model, guide, DATA), num_draws=50).residual,
    "refine": lambda model, guide: l0bayes.refine(l0bayes.Fit.of(model, guide, DATA), "exact").log_evidence,
    "table": lambda model, guide: l0bayes.gate_table(l0bayes.Fit.of(model, guide, DATA))["sd"].tolist(),
    "objective": lambda model, guide: _seeded(MeanFieldELBO()(model, guide)),
    "kl": lambda model, guide: MeanFieldELBO()(model, guide).kl_by_site(*DATA)["beta.slab"].item(),
    "gradients": lambda model, guide: GateProblem.of(model, guide, DATA).values(torch.ones(2, 3)),
}


def _seeded(objective):
    torch.manual_seed(0)
    return objective(*DATA).item()


@pytest.mark.parametrize("reader", READERS)
def test_readers_take_the_trained_values(reader, guide):
    train()
    found, expected = READERS[reader](model, guide), READERS[reader](fixed, guide)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert sorted(pyro.get_param_store().keys()) == ["shift", "sigma"]


@pytest.mark.parametrize("reader", [one for one in READERS if one not in ("objective", "kl")])
def test_what_was_not_trained_is_named(reader, guide):
    with pytest.warns(UntrainedParameterWarning, match=r"parameters \['shift', 'sigma'\] of pyro.param"):
        READERS[reader](model, guide)
    assert not list(pyro.get_param_store())


def test_a_fit_keeps_the_values_of_its_own_training(guide):
    """Another model with parameters of the same names, or an empty store, is not read instead."""
    train()
    fit = l0bayes.Fit.of(model, guide, DATA)
    expected = importance_weighted(fixed, guide, DATA, num_draws=50).log_evidence
    pyro.clear_param_store()
    assert importance_weighted(fit, num_draws=50).log_evidence == pytest.approx(expected, rel=1e-5)
    pyro.param("sigma", torch.tensor(77.0), constraint=constraints.positive)
    pyro.param("shift", torch.tensor(77.0))
    assert importance_weighted(fit, num_draws=50).log_evidence == pytest.approx(expected, rel=1e-5)
    assert l0bayes.refine(fit, "exact").problem.noise_variance == pytest.approx(0.16, rel=1e-5)
    assert pyro.param("shift").item() == 77.0


def test_the_pair_of_svi_is_read_as_it_was_trained():
    """Pyro's own loop, and Pyro's own predictions to compare with."""
    pyro.set_rng_seed(1)
    guide = AutoHardConcrete(model, DATA, init_active=0.9, temperature=0.2)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), MeanFieldELBO())
    for _ in range(600):
        svi.step(*DATA)
    sigma = pyro.param("sigma").item()
    assert sigma < 0.6
    posterior = l0bayes.to_arviz(l0bayes.Fit.of(model, guide, DATA), num_draws=300)
    ours = posterior["posterior_predictive"]["y"].std(("chain", "draw")).values.mean()
    theirs = Predictive(model, guide=guide, num_samples=300)(X)["y"].std(0).mean().item()
    assert ours == pytest.approx(theirs, rel=0.1)


def test_a_guide_with_parameters_of_its_own_is_read_as_it_was_trained():
    """A combination whose second part is a function with ``pyro.param``."""

    def with_scale(x, y=None):
        scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, scale), obs=y)

    def part(x, y=None):
        loc = pyro.param("loc", torch.tensor(0.0))
        pyro.sample("scale", dist.LogNormal(loc, 0.1))

    sparse = ["beta.gate", "beta.slab"]
    guide = AutoGuideList(with_scale)
    guide.append(AutoHardConcrete(poutine.block(with_scale, expose=sparse), (X, Y)))
    guide.append(part)
    pyro.param("loc", torch.tensor(3.0))
    posterior = l0bayes.to_arviz(l0bayes.Fit.of(with_scale, guide, (X, Y)), num_draws=50)
    assert posterior["posterior"]["scale"].values.mean() == pytest.approx(20.0, rel=0.1)


def test_modules_keep_what_they_hold():
    """The store mirrors the last guide of a class; another guide of the class is read by its own values."""
    first, second = AutoNormal(fixed_noise), AutoNormal(fixed_noise)
    for guide, value in ((first, 1.0), (second, 9.0)):
        guide(X, Y)
        with torch.no_grad():
            guide.locs.shift.fill_(value)
        pyro.clear_param_store()
    second(X, Y)
    for guide, value in ((first, 1.0), (second, 9.0)):
        draws = l0bayes.to_arviz(l0bayes.Fit.of(fixed_noise, guide, (X, Y)), num_draws=50)
        assert draws["posterior"]["shift"].values.mean() == pytest.approx(value, abs=0.1)


def fixed_noise(x, y=None):
    shift = pyro.sample("shift", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(shift, 1.0), obs=y)


def test_training_still_refuses_what_it_cannot_train(guide):
    train()
    with pytest.raises(ValueError, match=r"parameters \['shift', 'sigma'\] are made by pyro.param"):
        l0bayes.fit(model, guide, DATA, steps=5, progress=False)
    assert describe_objective(model, guide, DATA).name.startswith("spike-and-slab VI")
