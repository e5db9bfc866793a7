"""Batches of posterior draws, and functions of them."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoNormal
from scipy.stats import kstest

from l0bayes.infer.objectives.latent_draws import Given, draw_latents, map_draws
from tests.infer.fitting import X, Y, dense, guide_of, regression

# ---- fixed values ------------------------------------------------------------------------------------


def test_given_fixes_values_and_keeps_distributions_and_records():
    values = {"beta.gate": torch.tensor([1.0, 0.0, 0.5]), "beta.slab": torch.tensor([2.0, 3.0, 4.0])}
    plain = poutine.trace(regression).get_trace(X, Y)
    with Given(values):
        trace = poutine.trace(regression).get_trace(X, Y)
    assert torch.equal(trace.nodes["beta"]["value"], torch.tensor([2.0, 0.0, 2.0]))
    for name in values:
        assert torch.equal(trace.nodes[name]["value"], values[name])
        assert type(trace.nodes[name]["fn"]) is type(plain.nodes[name]["fn"])
        assert trace.nodes[name]["infer"].keys() == plain.nodes[name]["infer"].keys()


def test_given_leaves_observations_and_other_sites():
    with Given({"y": torch.zeros(24), "beta.gate": torch.ones(3)}):
        trace = poutine.trace(regression).get_trace(X, Y)
    assert torch.equal(trace.nodes["y"]["value"], Y)
    assert trace.nodes["beta.slab"]["value"].abs().sum() > 0.0


def test_given_repeats_a_trace_with_its_subsample():
    def model():
        with pyro.plate("rows", 100, subsample_size=5) as index:
            pyro.sample("a", dist.Normal(index.float(), 1.0))

    first = poutine.trace(model).get_trace()
    with Given.sampled_in(first):
        second = poutine.trace(model).get_trace()
    for name in ("rows", "a"):
        assert torch.equal(first.nodes[name]["value"], second.nodes[name]["value"])


# ---- latents -----------------------------------------------------------------------------------------


def test_draws_of_a_gate_guide_follow_its_laws():
    guide = guide_of(init_active=0.6).perturb(1)
    draws = draw_latents(guide, (X, Y), 4000, seed=0)
    assert {name: value.shape for name, value in draws.items()} == {
        "beta.gate": (4000, 3),
        "beta.slab": (4000, 3),
    }
    laws = guide.laws()
    active = laws["beta.gate"].prob_active.detach()
    error = 4.0 * (active * (1 - active) / 4000).sqrt()
    assert ((draws["beta.gate"] != 0).float().mean(0) - active).abs().lt(error).all()
    for j in range(3):
        base = laws["beta.slab"].base
        reference = dist.Normal(base.loc[j].detach(), base.scale[j].detach())
        assert (
            kstest(draws["beta.slab"][:, j], lambda v, d=reference: d.cdf(torch.tensor(v)).numpy()).pvalue
            > 1e-3
        )


def test_draws_of_pyros_guide():
    guide = AutoNormal(dense)
    guide(X, Y)
    draws = draw_latents(guide, (X, Y), 300, seed=0)
    assert set(draws) == {"beta", "beta_unconstrained", "sigma", "sigma_unconstrained"}
    assert draws["beta"].shape == (300, 3)
    assert torch.equal(draws["sigma"], draws["sigma_unconstrained"].exp())
    assert draws["beta"].std(0) == pytest.approx([0.1] * 3, rel=0.2)  # AutoNormal's initial scale


@pytest.mark.parametrize("make", [guide_of, lambda: AutoNormal(dense)])
def test_draws_follow_their_seed_and_leave_no_trace(make):
    guide = make()
    guide(X, Y)
    pyro.clear_param_store()
    generator = torch.get_rng_state()
    one = draw_latents(guide, (X, Y), 5, seed=3)
    assert torch.equal(torch.get_rng_state(), generator)
    assert not list(pyro.get_param_store())
    torch.rand(3)
    other = draw_latents(guide, (X, Y), 5, seed=3)
    assert all(torch.equal(one[name], other[name]) for name in one)
    last = draw_latents(guide, (X, Y), 5, seed=4)
    assert any(not torch.equal(one[name], last[name]) for name in one)
    assert not any(value.requires_grad for value in one.values())


@pytest.mark.parametrize("count", [0, -1])
def test_no_draws(count):
    with pytest.raises(ValueError, match=f"num_draws must be at least 1, got {count}"):
        draw_latents(guide_of(), (X, Y), count, seed=0)


# ---- functions of draws ------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_size", [None, 3])
def test_a_function_is_applied_to_every_draw(chunk_size):
    draws = {"a": torch.arange(8.0), "b": torch.randn(8, 2)}
    found = map_draws(lambda v: {"sum": v["a"] + v["b"], "sq": v["a"] ** 2}, draws, 0, chunk_size)
    assert torch.equal(found["sum"], draws["a"][:, None] + draws["b"])
    assert torch.equal(found["sq"], draws["a"] ** 2)


def test_a_function_that_branches_on_values_is_run_in_a_loop():
    calls = []

    def function(values):
        calls.append(1)
        return {"r": values["a"] * (2.0 if values["a"] > 1.5 else 1.0)}

    found = map_draws(function, {"a": torch.tensor([1.0, 2.0, 3.0])}, 0)
    assert found["r"].tolist() == [1.0, 4.0, 6.0]
    assert len(calls) == 1 + 3  # the batched try, then one call a draw


def test_errors_of_the_function_are_its_own():
    def function(values):
        raise RuntimeError("a fault of the model")

    with pytest.raises(RuntimeError, match="a fault of the model"):
        map_draws(function, {"a": torch.zeros(3)}, 0)


@pytest.mark.parametrize("batched", [True, False])
def test_random_numbers_differ_between_draws_and_follow_the_seed(batched):
    def function(values):
        if not batched and values["a"] > 1e9:  # a branch that cannot be batched
            return {}
        return {"r": torch.randn(2)}

    generator = torch.get_rng_state()
    one = map_draws(function, {"a": torch.zeros(6)}, 5)["r"]
    assert torch.equal(torch.get_rng_state(), generator)
    assert one.shape == (6, 2)
    assert len(torch.unique(one)) == 12
    torch.rand(2)
    assert torch.equal(map_draws(function, {"a": torch.zeros(6)}, 5)["r"], one)
    assert not torch.equal(map_draws(function, {"a": torch.zeros(6)}, 6)["r"], one)


def test_validation_is_as_before_afterwards():
    with pyro.validation_enabled(True):
        map_draws(lambda v: {"r": dist.Normal(v["a"], 1.0).log_prob(v["a"])}, {"a": torch.zeros(2)}, 0)
        with pytest.raises(ValueError, match="scale"):
            dist.Normal(0.0, -1.0)
