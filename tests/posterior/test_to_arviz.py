"""From a fit to ArviZ: what every group holds, and under which names."""

import json

import arviz as az
import matplotlib as mpl
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoGuideList, AutoNormal
from scipy.stats import kstest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer.objectives.latent_draws import draw_latents
from l0bayes.models import SparseNetwork
from l0bayes.posterior.arviz_data import group_of
from l0bayes.sites import spike_and_slab
from tests.arviz_versions import elpd_loo, forest_labels, group_names, native_type
from tests.posterior import fits
from tests.posterior.fits import NAMES, X, Y

mpl.use("Agg")

GROUPS = {
    "posterior",
    "posterior_predictive",
    "log_likelihood",
    "observed_data",
    "constant_data",
    "sample_stats",
}


# ---- groups, dimensions, names -----------------------------------------------------------------------


def test_groups_and_dimensions_of_a_regression():
    idata = fits.idata("plain")
    assert isinstance(idata, native_type())
    assert group_names(idata) == GROUPS
    shapes = {name: variable.dims for name, variable in idata.posterior.data_vars.items()}
    draw = ("chain", "draw")
    assert shapes == {
        "beta.gate": (*draw, "feature"),
        "beta.slab": (*draw, "feature"),
        "beta": (*draw, "feature"),
        "intercept": draw,
        "noise_variance": draw,
    }
    assert dict(idata.posterior.sizes) == {"chain": 2, "draw": 400, "feature": 3}
    assert idata.posterior["feature"].to_numpy().tolist() == NAMES
    assert idata.posterior_predictive["y"].dims == (*draw, "observation")
    assert idata.log_likelihood["y"].dims == (*draw, "observation")
    assert idata.observed_data["y"].dims == ("observation",)
    assert idata.sample_stats["log_p"].dims == draw
    assert idata.constant_data["beta.gate.pip"].dims == ("chain", "feature")
    assert idata.constant_data["feature"].to_numpy().tolist() == NAMES


def test_a_chain_is_a_restart():
    fit, idata = fits.plain(), fits.idata("plain")
    for chain, run in enumerate(fit.restarts):
        expected = draw_latents(run.guide, (X, Y), 400, seed=5 + chain)
        for name, value in expected.items():
            assert np.array_equal(idata.posterior[name][chain], value.numpy()), name
    assert idata.constant_data["elbo"].to_numpy().tolist() == [run.elbo for run in fit.restarts]
    assert not np.array_equal(idata.posterior["beta"][0], idata.posterior["beta"][1])


def test_without_names_dimensions_are_numbered_and_shared_by_weight_and_slab():
    posterior = fits.idata("matrix").posterior
    assert posterior["weight"].dims[2:] == ("weight_dim_0", "weight_dim_1")
    assert posterior["weight.slab"].dims == posterior["weight"].dims
    assert posterior["weight.gate"].dims[2:] == ("weight.gate_dim_0", "weight.gate_dim_1")
    assert posterior["weight.gate"].shape[2:] == (1, 3)
    assert posterior["offset"].dims == ("chain", "draw")
    assert posterior["weight_dim_1"].to_numpy().tolist() == [0, 1, 2]


def test_names_are_taken_from_the_arguments():
    dims = {"weight": ("output", "input"), "y": ("row", "output"), "weight.gate": ("one", "input")}
    coords = {"output": ["up", "down"], "input": NAMES}
    idata = l0bayes.to_arviz(fits.matrix(), num_draws=10, dims=dims, coords=coords)
    assert idata.posterior["weight"].sel(output="down", input="bmi").shape == (1, 10)
    assert idata.posterior["weight.slab"].dims == ("chain", "draw", "output", "input")
    assert idata.constant_data["weight.gate.pip"].dims == ("chain", "one", "input")
    assert idata.posterior_predictive["y"].dims == ("chain", "draw", "row", "output")
    assert idata.observed_data["y"].sel(output="down").to_numpy() == pytest.approx(-Y.numpy())
    # one log likelihood for both outputs of a row
    assert idata.log_likelihood["y"].dims == ("chain", "draw", "row")


def test_arguments_go_before_the_models_own_names():
    idata = l0bayes.to_arviz(fits.plain(), num_draws=5, coords={"feature": ["a", "b", "c"]})
    assert idata.posterior["feature"].to_numpy().tolist() == ["a", "b", "c"]


# ---- values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "latent_inclusion", "grouped", "matrix"])
def test_weights_are_gate_times_slab_exactly(name):
    posterior = fits.idata(name).posterior
    weight = "weight" if name == "matrix" else "beta"
    gate = posterior[f"{weight}.gate"].to_numpy()
    if name == "grouped":
        gate = gate[..., [1, 0, 0]]
    assert np.array_equal(posterior[weight].to_numpy(), gate * posterior[f"{weight}.slab"].to_numpy())


def test_gates_have_exact_zeros_as_often_as_their_law_says():
    idata = fits.idata("plain")
    gates = idata.posterior["beta.gate"].to_numpy()
    pip, one = (idata.constant_data[f"beta.gate.{q}"].to_numpy() for q in ("pip", "prob_one"))
    assert ((gates >= 0) & (gates <= 1)).all()
    assert (gates == 0).any()
    assert np.abs((gates != 0).mean(1) - pip).max() < 4 * (0.25 / 400) ** 0.5
    assert np.abs((gates == 1).mean(1) - one).max() < 4 * (0.25 / 400) ** 0.5


def test_zeros_have_no_sign():
    weights = fits.idata("plain").posterior["beta"].to_numpy()
    assert not np.signbit(weights[weights == 0]).any()


@pytest.mark.parametrize("name", ["plain", "network", "matrix", "grouped"])
def test_inclusion_probabilities_are_the_guides_own(name):
    fit, constants = getattr(fits, name)(), fits.idata(name).constant_data
    for chain, run in enumerate(fit.restarts):
        laws = run.guide.gates()
        assert laws
        for site, law in laws.items():
            assert np.array_equal(constants[f"{site}.pip"][chain], law.prob_active.detach().numpy())
            assert np.array_equal(constants[f"{site}.prob_one"][chain], law.prob_one.detach().numpy())


@pytest.mark.parametrize(("name", "site", "value"), [("plain", "beta.gate", 0.2), ("network", "2.gate", 0.3)])
def test_a_fixed_prior_inclusion_is_kept_exactly(name, site, value):
    prior = fits.idata(name).constant_data[f"{site}.prior"].to_numpy()
    assert prior == pytest.approx(value, abs=1e-7)


def test_a_latent_prior_inclusion_is_its_prior_mean():
    prior = fits.idata("latent_inclusion").constant_data["beta.gate.prior"].to_numpy()
    assert prior.shape == (3,)
    # 2000 draws of Beta(2, 6), whose standard deviation is 0.144
    assert prior == pytest.approx(2 / 8, abs=4 * 0.144 / 2000**0.5)


def test_a_penalty_counts_as_its_strict_prior():
    model = l0bayes.models.SparseRegression(NAMES, inclusion=l0bayes.distributions.L0Penalty(2.0))
    guide = AutoHardConcrete(model, (X, Y))
    idata = l0bayes.to_arviz(l0bayes.Fit.of(model, guide, (X, Y)), num_draws=5)
    expected = 1.0 / (1.0 + np.exp(2.0))
    assert idata.constant_data["beta.gate.prior"].to_numpy() == pytest.approx(expected)


def test_groups_are_kept_with_their_columns():
    constants = fits.idata("grouped").constant_data
    assert constants["beta.group"].dims == ("feature",)
    assert constants["beta.group"].to_numpy().tolist() == [1, 0, 0]
    assert constants["beta.gate.pip"].shape == (1, 2)
    assert json.loads(constants.attrs["gates_of_weights"]) == {"beta": ["beta.gate"]}


def test_the_log_likelihood_is_that_of_the_draws():
    idata = fits.idata("plain")
    posterior = {name: torch.tensor(v.to_numpy()) for name, v in idata.posterior.data_vars.items()}
    mean = posterior["beta"] @ X.T + posterior["intercept"][..., None]
    law = dist.Normal(mean, posterior["noise_variance"].sqrt()[..., None])
    found = torch.tensor(idata.log_likelihood["y"].to_numpy())
    torch.testing.assert_close(found, law.log_prob(Y), rtol=1e-4, atol=1e-4)
    assert torch.equal(torch.tensor(idata.observed_data["y"].to_numpy()), Y)


def test_new_data_follow_the_likelihood_of_their_draw():
    idata = fits.idata("plain")
    posterior = {name: torch.tensor(v.to_numpy()) for name, v in idata.posterior.data_vars.items()}
    mean = posterior["beta"] @ X.T + posterior["intercept"][..., None]
    new = torch.tensor(idata.posterior_predictive["y"].to_numpy())
    standard = ((new - mean) / posterior["noise_variance"].sqrt()[..., None]).flatten().numpy()
    assert kstest(standard, "norm").pvalue > 1e-3
    assert standard.std() == pytest.approx(1.0, abs=0.03)


def test_labels_of_a_network():
    idata = fits.idata("network")
    assert set(np.unique(idata.posterior_predictive["y"])) == {0, 1, 2}
    assert idata.posterior_predictive["y"].dtype == np.int64
    assert (idata.log_likelihood["y"] <= 0).all()
    assert set(idata.posterior.data_vars) == {
        "0.gate",
        "2.gate",
        *(f"{layer}.{part}.slab" for layer in (0, 2) for part in ("weight", "bias")),
    }


# ---- densities of hardened draws ---------------------------------------------------------------------


def bernoulli(z, p):
    return (z * torch.log(p) + (1 - z) * torch.log1p(-p)).sum(-1)


def by_hand(run, posterior, chain):
    """log p and log q of the hardened draws of one chain; slabs behind shut gates are left out of both."""
    gate = torch.tensor(posterior["beta.gate"][chain].to_numpy())
    slab = torch.tensor(posterior["beta.slab"][chain].to_numpy())
    z = (gate > 0).float()
    laws = run.guide.laws()
    active, base = laws["beta.gate"].prob_active.detach(), laws["beta.slab"].base
    q_slab = dist.Normal(base.loc.detach(), base.scale.detach())
    likelihood = dist.Normal((z * slab) @ X.T, 0.7).log_prob(Y).sum(-1)
    log_p = bernoulli(z, torch.full((3,), 0.3)) + (z * dist.Normal(0.0, 1.0).log_prob(slab)).sum(-1)
    log_q = bernoulli(z, active) + (z * q_slab.log_prob(slab)).sum(-1)
    return log_p + likelihood, log_q


def test_log_p_and_log_q_of_the_hardened_draws():
    fit, idata = fits.fixed_noise(), fits.idata("fixed_noise")
    for chain, run in enumerate(fit.restarts):
        log_p, log_q = by_hand(run, idata.posterior, chain)
        stats = idata.sample_stats
        torch.testing.assert_close(torch.tensor(stats["log_p"][chain].to_numpy()), log_p, rtol=0, atol=2e-3)
        torch.testing.assert_close(torch.tensor(stats["log_q"][chain].to_numpy()), log_q, rtol=0, atol=2e-3)


def log_evidence():
    """By enumeration of the eight models: y ~ N(0, 0.49 I + X_z X_z')."""
    x, y = X.double(), Y.double()
    terms = []
    for code in range(8):
        z = torch.tensor([(code >> j) & 1 for j in range(3)], dtype=torch.float64)
        covariance = 0.49 * torch.eye(len(y), dtype=torch.float64) + (x * z) @ x.T
        normal = torch.distributions.MultivariateNormal(torch.zeros_like(y), covariance)
        terms.append(normal.log_prob(y) + bernoulli(z, torch.full((3,), 0.3, dtype=torch.float64)))
    return torch.stack(terms).logsumexp(0).item()


def test_importance_weights_of_the_hardened_draws_estimate_the_evidence():
    idata = l0bayes.to_arviz(fits.fixed_noise(), num_draws=4000, chunk_size=None)
    for chain in range(2):
        stats = idata.sample_stats.isel(chain=chain)
        log_weights = torch.tensor((stats["log_p"] - stats["log_q"]).to_numpy()).double()
        weights = (log_weights - log_weights.max()).exp()
        estimate = weights.mean().log().item() + log_weights.max().item()
        error = (weights.std() / weights.mean() / len(weights) ** 0.5).item()
        assert error < 0.05
        assert estimate == pytest.approx(log_evidence(), abs=4 * error)


def test_log_p_counts_every_other_latent_once():
    idata = fits.idata("latent_inclusion")
    posterior = {n: torch.tensor(v[0].to_numpy()).double() for n, v in idata.posterior.data_vars.items()}
    z = (posterior["beta.gate"] > 0).double()
    pi, variance = posterior["inclusion"], posterior["noise_variance"]
    mean = (z * posterior["beta.slab"]) @ X.double().T + posterior["intercept"][:, None]
    log_p = (
        dist.Beta(2.0, 6.0).log_prob(pi)
        + bernoulli(z, pi[:, None].expand(-1, 3))
        + (z * dist.Normal(0.0, 1.0).log_prob(posterior["beta.slab"])).sum(-1)
        + dist.Normal(0.0, 10.0).log_prob(posterior["intercept"])
        + dist.InverseGamma(1.0, 1.0).log_prob(variance)
        + dist.Normal(mean, variance.sqrt()[:, None]).log_prob(Y.double()).sum(-1)
    )
    found = torch.tensor(idata.sample_stats["log_p"][0].to_numpy()).double()
    torch.testing.assert_close(found, log_p, rtol=0, atol=5e-3)
    laws = fits.latent_inclusion().guide.laws()
    names = ("inclusion", "intercept", "noise_variance")
    base = laws["beta.slab"].base
    with torch.no_grad():
        log_q = sum(laws[name].log_prob(posterior[name].float()) for name in names)
        log_q = log_q + bernoulli(z, laws["beta.gate"].prob_active)
        log_q = log_q + (z * dist.Normal(base.loc, base.scale).log_prob(posterior["beta.slab"])).sum(-1)
    found = torch.tensor(idata.sample_stats["log_q"][0].to_numpy())
    torch.testing.assert_close(found.double(), log_q, rtol=0, atol=5e-3)


def test_log_p_of_a_penalty_is_that_of_its_strict_prior():
    found = []
    for prior in (l0bayes.distributions.L0Penalty(2.0), l0bayes.distributions.Gate(log_odds=-2.0)):
        model = l0bayes.models.SparseRegression(NAMES, inclusion=prior)
        torch.manual_seed(0)
        guide = AutoHardConcrete(model, (X, Y))
        idata = l0bayes.to_arviz(l0bayes.Fit.of(model, guide, (X, Y)), num_draws=30)
        found.append(idata.sample_stats["log_p"].to_numpy())
    assert found[0] == pytest.approx(found[1], abs=1e-4)


def test_a_weight_shared_by_two_gates_is_open_when_both_are():
    """In a network a hidden weight lives while its input's and its own unit's gate are open."""
    fit, idata = fits.network(), fits.idata("network")
    posterior = {n: torch.tensor(v[1].to_numpy()) for n, v in idata.posterior.data_vars.items()}
    laws = fit.restarts[1].guide.laws()
    z0, z2 = ((posterior[f"{k}.gate"] > 0).float() for k in (0, 2))
    open_ = {
        "0.weight.slab": z2[:, :, None] * z0[:, None, :],
        "0.bias.slab": z2,
        "2.weight.slab": z2[:, None, :].expand(-1, 3, -1),
        "2.bias.slab": torch.ones(400, 3),
    }
    with torch.no_grad():
        log_q = bernoulli(z0, laws["0.gate"].prob_active) + bernoulli(z2, laws["2.gate"].prob_active)
        for name, z in open_.items():
            log_q = log_q + (z * laws[name].base.log_prob(posterior[name])).flatten(1).sum(1)
    found = torch.tensor(idata.sample_stats["log_q"][1].to_numpy())
    torch.testing.assert_close(found, log_q, rtol=0, atol=2e-3)


# ---- attributes, files, ArviZ ------------------------------------------------------------------------


def test_attributes_say_what_was_fitted():
    attributes = fits.idata("plain").attrs
    assert attributes["inference_library"] == "l0bayes"
    assert attributes["inference_library_version"] == l0bayes.__version__
    assert attributes["objective"] == fits.plain().objective.name
    assert attributes["is_bound"] == 0
    assert (attributes["relaxation"], attributes["slab"]) == ("HardConcrete", "Normal")
    assert (attributes["seed"], attributes["draws_seed"]) == (0, 5)
    assert json.loads(attributes["config"]) == fits.plain().config
    assert attributes["pyro_version"] == pyro.__version__
    assert attributes["torch_version"] == torch.__version__
    assert attributes["arviz_version"] == az.__version__
    assert json.loads(attributes["left_out"]) == []
    assert fits.idata("plain").posterior.attrs["objective"] == attributes["objective"]


@pytest.mark.parametrize("name", ["plain", "grouped", "network"])
def test_a_file_gives_back_values_and_attributes(tmp_path, name):
    idata = fits.idata(name)
    path = tmp_path / "posterior.nc"
    idata.to_netcdf(str(path))
    read = az.from_netcdf(str(path))
    assert group_names(read) == GROUPS
    for group in GROUPS:
        assert group_of(read, group).equals(group_of(idata, group)), group
        assert dict(read[group].attrs) == dict(idata[group].attrs)
    assert dict(read.attrs) == dict(idata.attrs)


def test_arviz_summarises_plots_and_compares():
    idata = fits.idata("plain")
    summary = az.summary(idata, var_names=["beta"])
    assert list(summary.index) == [f"beta[{name}]" for name in NAMES]
    assert summary["mean"].to_numpy() == pytest.approx(
        idata.posterior["beta"].mean(("chain", "draw")).to_numpy(), abs=1e-2
    )
    labels = forest_labels(idata, var_names=["beta"])
    assert any("dose" in label for label in labels)
    pointwise = idata.log_likelihood["y"].to_numpy().reshape(-1, 30)
    in_sample = np.logaddexp.reduce(pointwise, axis=0) - np.log(len(pointwise))
    assert in_sample.sum() - 8.0 < elpd_loo(idata) < in_sample.sum()
    mpl.pyplot.close("all")


def test_with_arviz_1_it_is_a_data_tree(monkeypatch):
    xarray = pytest.importorskip("xarray")
    expected = fits.idata("plain")
    monkeypatch.setattr(az, "__version__", "1.0.0")
    tree = l0bayes.to_arviz(fits.plain(), num_draws=400, seed=5)
    assert isinstance(tree, xarray.DataTree)
    assert set(tree.children) == GROUPS
    for group in GROUPS:
        assert tree[group].to_dataset().equals(group_of(expected, group)), group
    assert tree.attrs["objective"] == fits.plain().objective.name
    table = l0bayes.gate_table(tree)
    assert table.equals(l0bayes.gate_table(expected))


# ---- which sites, which data -------------------------------------------------------------------------


def test_var_names_choose_the_sites():
    idata = l0bayes.to_arviz(fits.plain(), num_draws=5, var_names=["beta", "intercept"])
    assert set(idata.posterior.data_vars) == {"beta", "intercept"}
    left_out = json.loads(idata.attrs["left_out"])
    assert left_out == ["beta.gate", "beta.slab", "noise_variance"]
    assert "beta.gate.pip" in idata.constant_data


def test_large_sites_are_left_out_unless_named():
    net = nn.Sequential(nn.Linear(201, 100), nn.ReLU(), nn.Linear(100, 2))
    model = SparseNetwork(net)
    data = (torch.randn(4, 201), torch.tensor([0, 1, 0, 1]))
    guide = AutoHardConcrete(model, data, slab="delta")
    fit = l0bayes.Fit.of(model, guide, data)
    idata = l0bayes.to_arviz(fit, num_draws=2)
    assert json.loads(idata.attrs["left_out"]) == ["0.weight.slab"]
    assert "0.weight.slab" not in idata.posterior
    assert "0.bias.slab" in idata.posterior
    named = l0bayes.to_arviz(fit, num_draws=2, var_names=["0.weight.slab"])
    assert named.posterior["0.weight.slab"].shape == (1, 2, 100, 201)


def test_one_argument_given_as_a_bare_tensor():
    def model(x):
        w = spike_and_slab("w", 0.5)
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(w, 1.0), obs=x)

    guide = AutoHardConcrete(model, (Y,))
    fit = l0bayes.fit(model, guide, Y, steps=2, compile="eager", progress=False)
    assert l0bayes.to_arviz(fit, num_draws=4).log_likelihood["x"].shape == (1, 4, 30)


def test_after_a_loader_all_data_are_given():
    loader = DataLoader(TensorDataset(X, Y), batch_size=10)
    model = fits.plain().model
    guide = AutoHardConcrete(model, (X, Y))
    fit = l0bayes.fit(model, guide, loader, epochs=1, compile="eager", progress=False)
    with pytest.raises(ValueError, match=r"the fit ran on a loader; give all data as data=\(x, y\)"):
        l0bayes.to_arviz(fit)
    with pytest.raises(TypeError, match=r"data must be a tuple of all the model's arguments.*DataLoader"):
        l0bayes.to_arviz(fit, loader)
    assert l0bayes.to_arviz(fit, (X, Y), num_draws=3).log_likelihood["y"].shape == (1, 3, 30)


def test_other_data_than_those_fitted():
    idata = l0bayes.to_arviz(fits.plain(), (X[:7], Y[:7]), num_draws=3)
    assert idata.observed_data["y"].shape == (7,)


def test_draws_follow_their_seed_and_the_generator_is_left_alone():
    before = torch.get_rng_state()
    again = l0bayes.to_arviz(fits.plain(), num_draws=400, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert not list(pyro.get_param_store())
    expected = fits.idata("plain")
    assert all(group_of(again, group).equals(group_of(expected, group)) for group in GROUPS)
    other = l0bayes.to_arviz(fits.plain(), num_draws=400, seed=6)
    assert not group_of(other, "posterior").equals(group_of(expected, "posterior"))


def test_chunks_change_nothing_but_memory():
    """The densities of a draw do not depend on the chunk it was in."""
    whole = l0bayes.to_arviz(fits.fixed_noise(), num_draws=21, chunk_size=None)
    parts = l0bayes.to_arviz(fits.fixed_noise(), num_draws=21, chunk_size=4)
    assert group_of(parts, "posterior").equals(group_of(whole, "posterior"))
    for name in ("log_p", "log_q"):
        assert parts.sample_stats[name].to_numpy() == pytest.approx(
            whole.sample_stats[name].to_numpy(), abs=1e-4
        )


# ---- other guides and precisions ---------------------------------------------------------------------


def test_a_model_without_gates():
    def dense(x, y=None):
        slope = pyro.sample("slope", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ slope, sigma), obs=y)

    guide = AutoNormal(dense)
    fit = l0bayes.fit(dense, guide, (X, Y), steps=20, compile="eager", progress=False)
    idata = l0bayes.to_arviz(fit, num_draws=40)
    assert group_names(idata) == GROUPS - {"constant_data"}
    assert set(idata.posterior.data_vars) == {"slope", "sigma"}
    sigma = torch.tensor(idata.posterior["sigma"][0].to_numpy())
    slope = torch.tensor(idata.posterior["slope"][0].to_numpy())
    with torch.no_grad():
        log_q = dist.LogNormal(guide.locs.sigma, guide.scales.sigma).log_prob(sigma)
        log_q = log_q + dist.Normal(guide.locs.slope, guide.scales.slope).log_prob(slope).sum(-1)
    found = torch.tensor(idata.sample_stats["log_q"][0].to_numpy())
    torch.testing.assert_close(found, log_q, rtol=0, atol=1e-3)


def test_gates_in_a_combination_of_guides_are_hardened_too():
    model = fits.plain().model
    sparse = ["beta.gate", "beta.slab"]
    guide = AutoGuideList(model)
    guide.append(AutoHardConcrete(poutine.block(model, expose=sparse), (X, Y)))
    guide.append(AutoNormal(poutine.block(model, hide=sparse)))
    guide(X, Y)
    fit = l0bayes.Fit.of(model, guide, (X, Y))
    idata = l0bayes.to_arviz(fit, num_draws=60)
    law = guide[0].gates()["beta.gate"]
    assert np.array_equal(idata.constant_data["beta.gate.pip"][0], law.prob_active.detach().numpy())
    assert l0bayes.gate_table(idata).shape[0] == 3
    posterior = {n: torch.tensor(v[0].to_numpy()) for n, v in idata.posterior.data_vars.items()}
    z = (posterior["beta.gate"] > 0).float()
    mean = (z * posterior["beta.slab"]) @ X.T + posterior["intercept"][:, None]
    variance = posterior["noise_variance"]
    log_p = (
        bernoulli(z, torch.full((3,), 0.2))
        + (z * dist.Normal(0.0, 1.0).log_prob(posterior["beta.slab"])).sum(-1)
        + dist.Normal(0.0, 10.0).log_prob(posterior["intercept"])
        + dist.InverseGamma(1.0, 1.0).log_prob(variance)
        + dist.Normal(mean, variance.sqrt()[:, None]).log_prob(Y).sum(-1)
    )
    found = torch.tensor(idata.sample_stats["log_p"][0].to_numpy())
    torch.testing.assert_close(found, log_p, rtol=1e-4, atol=1e-2)


def test_data_in_double_precision():
    model = l0bayes.models.SparseRegression(NAMES)
    data = (X.double(), Y.double())
    guide = AutoHardConcrete(model, data)
    idata = l0bayes.to_arviz(l0bayes.Fit.of(model, guide, data), num_draws=4)
    assert idata.constant_data["beta.gate.prior"].to_numpy() == pytest.approx(0.5)
    assert idata.log_likelihood["y"].dtype == np.float64


# ---- refusals ----------------------------------------------------------------------------------------


def test_unknown_var_names():
    with pytest.raises(ValueError, match=r"var_names \['betta'\] are no sites.*'beta'"):
        l0bayes.to_arviz(fits.plain(), var_names=["beta", "betta"])


def test_dims_of_an_unknown_site():
    with pytest.raises(ValueError, match=r"dims names \['betta'\], which are no sites of the model"):
        l0bayes.to_arviz(fits.plain(), dims={"betta": ("feature",)})


def test_dims_of_a_wrong_length():
    with pytest.raises(ValueError, match=r"dims of 'weight.* are \('a',\), but its shape is \(2, 3\)"):
        l0bayes.to_arviz(fits.matrix(), num_draws=2, dims={"weight": ("a",)})


def test_coords_of_a_wrong_length():
    with pytest.raises(ValueError, match=r"coords of 'feature' hold 2 values, but 'beta.* has 3 there"):
        l0bayes.to_arviz(fits.plain(), num_draws=2, coords={"feature": ["a", "b"]})


def test_coords_of_an_unknown_dimension():
    with pytest.raises(ValueError, match=r"coords names \['featre'\], which no variable has; .*'feature'"):
        l0bayes.to_arviz(fits.plain(), num_draws=2, coords={"featre": NAMES})


@pytest.mark.parametrize("count", [0, -1])
def test_no_draws(count):
    with pytest.raises(ValueError, match=f"num_draws must be at least 1, got {count}"):
        l0bayes.to_arviz(fits.plain(), num_draws=count)
