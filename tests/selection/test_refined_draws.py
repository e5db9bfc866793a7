"""Draws of a refined posterior, for ArviZ and for predictions."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.posterior import predict
from tests.arviz_versions import elpd_loo, group_names

GENERATOR = torch.Generator().manual_seed(8)
X = torch.randn(50, 4, generator=GENERATOR)
Y = X @ torch.tensor([1.0, 0.0, -0.4, 0.0]) + 0.7 + 0.8 * torch.randn(50, generator=GENERATOR)
DATA = (X, Y)
GROUP = torch.tensor([0, 0, 1, 1])


def model(x, y=None):
    pi = pyro.sample("pi", dist.Beta(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])).to_event(1))
    level = pyro.sample("level", dist.Normal(1.0, 2.0))
    variance = pyro.sample("variance", dist.InverseGamma(3.0, 2.0))
    beta = l0bayes.spike_and_slab("beta", pi[..., GROUP], dist.Normal(0.0, 1.0).expand([4]).to_event(1))
    mean = level[..., None] + (x @ beta[..., None])[..., 0]
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(mean, variance.sqrt()[..., None]), obs=y)
    return mean


@pytest.fixture(scope="module")
def refined():
    return l0bayes.refine(l0bayes.Fit.of(model, AutoHardConcrete(model, DATA), DATA))


def moments():
    """Means of all latents by importance sampling from the prior, with gates and slabs integrated out."""
    torch.manual_seed(0)
    count, x, y = 40_000, X.double(), Y.double()
    pi = dist.Beta(torch.tensor([1.0, 2.0]).double(), torch.tensor([3.0, 5.0]).double()).sample((count,))
    variance = dist.InverseGamma(torch.tensor(3.0).double(), torch.tensor(2.0).double()).sample((count,))
    gates = (torch.rand(count, 4).double() < pi[:, GROUP]).double()
    logs = torch.empty(count).double()
    for index in range(16):
        z = torch.tensor([index >> j & 1 for j in range(4)]).double()
        rows = (gates == z).all(1)
        root = torch.cat([x * z, 2.0 * torch.ones(50, 1).double()], 1)
        values, vectors = torch.linalg.eigh(root @ root.T)
        turned = (vectors.T @ (y - 1.0)).square()
        spread = values.clamp(min=0.0) + variance[rows, None]
        logs[rows] = -0.5 * (spread.log() + turned / spread).sum(1)
    weights = logs.softmax(0)
    assert 1.0 / weights.square().sum() > 200
    return {"pi": weights @ pi, "variance": weights @ variance, "gates": weights @ gates}


def test_draws_are_of_the_posterior(refined):
    expected = moments()
    post = refined.to_arviz(num_draws=4000)["posterior"]
    mean = post.mean(("chain", "draw"))
    assert mean["pi"].values == pytest.approx(expected["pi"].numpy(), abs=0.03)
    assert float(mean["variance"]) == pytest.approx(float(expected["variance"]), abs=0.06)
    assert mean["beta.gate"].values == pytest.approx(refined.pip("beta").numpy(), abs=0.03)
    assert mean["beta.gate"].values == pytest.approx(expected["gates"].numpy(), abs=0.08)
    assert mean["beta"].values == pytest.approx(refined.mean("beta").numpy(), abs=0.03)
    assert post["beta"].std(("chain", "draw")).values == pytest.approx(refined.sd("beta").numpy(), abs=0.03)
    assert float(mean["level"]) == pytest.approx(0.7, abs=0.3)
    shut = post["beta.gate"].values[..., 1] == 0
    assert post["beta.slab"].values[..., 1][shut].std() == pytest.approx(1.0, abs=0.1)  # the prior


def test_groups_of_arviz(refined):
    data = refined.to_arviz(num_draws=500, dims={"beta": ["column"]}, coords={"column": list("abcd")})
    assert group_names(data) == {
        "posterior",
        "posterior_predictive",
        "log_likelihood",
        "observed_data",
        "constant_data",
    }
    assert np.allclose(data["constant_data"]["beta.gate.pip"].values[0], refined.pip("beta"), atol=1e-5)
    draws = {
        name: torch.as_tensor(data["posterior"][name].values[0]) for name in ("beta", "level", "variance")
    }
    by_hand = dist.Normal(
        draws["level"][:, None] + draws["beta"] @ X.T, draws["variance"].sqrt()[:, None]
    ).log_prob(Y)
    assert np.allclose(data["log_likelihood"]["y"].values[0], by_hand, atol=1e-3)
    assert data["posterior"]["beta"].dims[-1] == "column"
    table = l0bayes.gate_table(data)
    assert table["pip"].sort_index().to_numpy() == pytest.approx(refined.pip("beta").numpy(), abs=1e-5)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_loo_of_the_refined_posterior_is_no_worse_than_that_of_its_fit(refined):
    guide = AutoHardConcrete(model, DATA, temperature=0.1)
    fit = l0bayes.fit(model, guide, DATA, steps=800, lr=0.03, progress=False)
    one, other = (elpd_loo(data) for data in (refined.to_arviz(num_draws=1000), l0bayes.to_arviz(fit)))
    assert one > other - 1.5


def test_predictions_at_new_rows(refined):
    new = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    found = predict(model, refined.guide, (new,), num_draws=3000)
    assert found.shape == (3000, 7)
    level = float(refined.to_arviz(num_draws=3000)["posterior"]["level"].mean())
    expected = level + new.double() @ refined.mean("beta")
    assert found.mean(0) == pytest.approx(expected.numpy(), abs=0.05)


def test_draws_follow_their_seed(refined):
    one, other = (refined.to_arviz(num_draws=20, seed=3)["posterior"] for _ in range(2))
    assert one.equals(other)
    assert not one.equals(refined.to_arviz(num_draws=20, seed=4)["posterior"])


@pytest.mark.parametrize("engine", ["exact", "gibbs"])
def test_classes_and_precisions(engine):
    def classes(x, y=None):
        level = pyro.sample("level", dist.Normal(0.0, 1.0))
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        with pyro.plate("rows", len(x)):
            return pyro.sample("y", dist.Bernoulli(logits=level + x @ beta), obs=y)

    def precise(x, y=None):
        precision = pyro.sample("precision", dist.Gamma(3.0, 2.0))
        beta = l0bayes.spike_and_slab(
            "beta", 0.3, dist.Normal(0.0, precision.rsqrt()).expand([4]).to_event(1)
        )
        with pyro.plate("rows", len(x)):
            return pyro.sample("y", dist.Normal(x @ beta, precision.rsqrt()), obs=y)

    for one, data in ((classes, (X, (Y > 0.7).float())), (precise, (X, Y - 0.7))):
        refined = l0bayes.refine(l0bayes.Fit.of(one, AutoHardConcrete(one, data), data), engine)
        post = refined.to_arviz(num_draws=800)
        gate = (post["posterior"]["beta.gate"] != 0).mean(("chain", "draw")).values
        assert gate == pytest.approx(refined.pip("beta").numpy(), abs=0.08)
        assert np.isfinite(post["log_likelihood"]["y"].values).all()
    models = refined.posterior.draws
    expected = float(models.weights @ models.variances)
    assert float((1 / post["posterior"]["precision"]).mean()) == pytest.approx(expected, rel=0.05)
