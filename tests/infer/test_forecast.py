"""Will it prune? The forecast against a simulation of the optimiser on the penalty alone."""

import math
import warnings

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from l0bayes.distributions import Gate, L0Penalty
from l0bayes.guides import AutoHardConcrete, gate_guide
from l0bayes.infer import PruningWarning, pruning_forecast
from l0bayes.sites import gate, spike_and_slab


def gates_only(**priors):
    """A model with sites of two gates each and nothing observed."""

    def model():
        for name, prior in priors.items():
            gate(name, prior, [2])

    return model


def simulate(model, guide, steps, lr, schedule, momentum, loss_scale):
    """SGD with Nesterov's momentum on the KL of the gates; the activity logits at the end, by site."""
    guide = guide.double()
    optimizer = torch.optim.SGD(guide.gate_parameters(), lr=lr, momentum=momentum, nesterov=momentum > 0)
    priors = {
        name: node["fn"].base_dist for name, node in poutine.trace(model).get_trace().iter_stochastic_nodes()
    }
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * schedule(step / steps)
        optimizer.zero_grad()
        laws = guide.gates()
        kl = sum(torch.distributions.kl_divergence(laws[name], prior).sum() for name, prior in priors.items())
        (loss_scale * kl).backward()
        optimizer.step()
    return {name: law.activity_logits.detach() for name, law in guide.gates().items()}


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("prior", [L0Penalty(5.0), Gate(0.1)])
def test_the_drift_is_that_of_sgd_on_the_penalty(prior, momentum):
    model = gates_only(z=prior)
    guide = AutoHardConcrete(model, init_active=0.95)
    settings = {"momentum": momentum, "loss_scale": 0.5}
    lr = 0.006 * (1.0 - momentum)
    forecast = pruning_forecast(
        model, guide, steps=1000, gate_lr=lr, lr_schedule=1.0, optimizer="sgd", **settings
    )
    end = simulate(model, guide, 1000, lr, lambda progress: 1.0, **settings)["z"]
    site = forecast.sites["z"]
    assert site.start == pytest.approx(math.log(19.0), abs=1e-5)
    assert 0.0 < site.end < site.start - 0.5
    # the simulation takes steps of finite size and starts with its momentum at rest
    assert site.end == pytest.approx(float(end[0]), abs=0.03)
    assert site.closing == 0


def test_the_factor_is_what_it_takes():
    model = gates_only(z=L0Penalty(2.0))
    settings = {"steps": 300, "lr_schedule": 1.0, "optimizer": "sgd"}
    guide = AutoHardConcrete(model, init_active=0.9)
    factor = pruning_forecast(model, guide, gate_lr=0.01, **settings).sites["z"].factor
    assert factor > 1.0
    for more, closed in ((1.03, True), (0.97, False)):
        forecast = pruning_forecast(model, guide, gate_lr=0.01 * factor * more, **settings)
        assert bool(forecast.sites["z"].closing) is closed
        fresh = AutoHardConcrete(model, init_active=0.9)
        end = simulate(model, fresh, 300, 0.01 * factor * more, lambda p: 1.0, 0.0, 1.0)["z"]
        assert bool((end <= 0).all()) is closed


def test_a_billion_steps_are_not_walked_through():
    """The way of the rate is its mean over progress, steps times: as that of a run with a rate n times it."""
    read = []

    def schedule(progress):
        read.append(progress)
        return 1.0 - 0.5 * progress

    model = gates_only(z=L0Penalty(2.0))
    guide = AutoHardConcrete(model, init_active=0.9)
    settings = {"lr_schedule": schedule, "optimizer": "sgd"}
    few = pruning_forecast(model, guide, steps=10**4, gate_lr=1e-3, **settings).sites["z"]
    read.clear()
    many = pruning_forecast(model, guide, steps=10**9, gate_lr=1e-8, **settings).sites["z"]
    assert len(read) <= 10**4
    assert many.end == pytest.approx(few.end, abs=1e-6)
    assert few.end < few.start


def wide_resnet_gates():
    """The gated convolutions of WRN-28-10: groups of 16*9 to 640*9 weights, 0.001 nats a weight."""
    return gates_only(**{f"in{width}": L0Penalty(0.001 * width * 9) for width in (16, 160, 320, 640)})


def recipe(progress):
    """The rate falls to a fifth at epochs 60, 120 and 160 of 200."""
    return 0.2 ** sum(progress >= epoch / 200 for epoch in (60, 120, 160))


@pytest.mark.parametrize(("factor", "prunes"), [(1, False), (60, True)])
def test_the_wide_resnet_recipe(factor, prunes):
    """SGD 0.1 with momentum 0.9 on the mean loss of 50,000 images, batches of 128, start at dropout 0.3."""
    model = wide_resnet_gates()
    log_alpha = math.log(0.7 / 0.3)
    open_at_start = 1.0 / (1.0 + math.exp(-log_alpha - math.log(11.0) * 2.0 / 3.0))
    forecast = pruning_forecast(
        model,
        AutoHardConcrete(model, init_active=open_at_start),
        steps=200 * 391,
        gate_lr=0.1 * factor,
        lr_schedule=recipe,
        optimizer="sgd",
        momentum=0.9,
        loss_scale=1 / 50_000,
    )
    closing = {name: site.closing for name, site in forecast.sites.items()}
    if prunes:
        assert closing["in640"] == 2
        assert "2 of 2 gates can close" in repr(forecast)
    else:
        assert not any(closing.values())
        assert set(forecast.stuck) == set(closing)
        assert all(site.end > 1.5 for site in forecast.sites.values())
        with pytest.warns(PruningWarning, match="Raise gate_lr to about"):
            forecast.warn()


FAMILIES = {
    "concrete": {},
    "hard_kumaraswamy": {},
    "rectified_normal": {},
    "bernoulli": {},
    "concrete_dropout": {},
    "hard_concrete": {"tied": True},
}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("gate_law", FAMILIES)
def test_every_gate_law_closes_about_when_it_says(gate_law, optimizer):
    """Where parameters are no activity logits, or are shared, gates move faster."""
    prior, lr = L0Penalty(5.0), 0.02
    model = gates_only(z=prior)

    def fresh():
        return gate_guide(model, gate_law=gate_law, init_active=0.9, **FAMILIES[gate_law])

    options = {"steps": 100, "gate_lr": lr, "lr_schedule": 1.0, "optimizer": optimizer}
    forecast = pruning_forecast(model, fresh(), **options).sites["z"]
    guide, steps = fresh().double(), 0
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](guide.gate_parameters(), lr=lr)
    while (guide.gates()["z"].activity_logits > 0).any():
        rule.zero_grad()
        torch.distributions.kl_divergence(guide.gates()["z"], prior).sum().backward()
        rule.step()
        steps += 1
    # Adam is ahead of its rates while the gradient grows, as it does on the way to P(z != 0) = 1/2.
    low, high = (0.75, 1.05) if optimizer == "adam" else (0.85, 1.2)
    assert low < steps / (100 * forecast.factor) < high


def test_adam_moves_by_its_rates_whatever_the_force():
    model = gates_only(z=L0Penalty(1e-3))
    guide = AutoHardConcrete(model, init_active=0.9)
    forecast = pruning_forecast(model, guide, steps=100, gate_lr=0.01, lr_schedule=1.0)
    assert forecast.sites["z"].end == pytest.approx(math.log(9.0) - 1.0, abs=1e-5)
    assert "no gate can close before a gate_lr of 0.022" in repr(forecast)
    enough = pruning_forecast(model, guide, steps=100, gate_lr=0.0221, lr_schedule=1.0)
    assert enough.sites["z"].closing == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        enough.warn()


@pytest.mark.parametrize("prior", [L0Penalty(0.0), Gate(0.5), Gate(0.7)])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_prior_that_does_not_want_sparsity_is_no_fault(prior, optimizer):
    model = gates_only(z=prior)
    forecast = pruning_forecast(
        model, AutoHardConcrete(model, init_active=0.9), steps=10, gate_lr=0.01, optimizer=optimizer
    )
    assert "nothing pulls the gates shut" in repr(forecast)
    assert not forecast.stuck


def test_gates_that_start_shut_are_left_out():
    model = gates_only(z=L0Penalty(1.0))
    forecast = pruning_forecast(model, AutoHardConcrete(model, init_active=0.4), steps=10, gate_lr=0.01)
    assert forecast.sites["z"].gates == 0
    assert not forecast.stuck
    assert "no gate starts open" in repr(forecast)


def test_a_model_with_data_and_its_slabs():
    def model(x):
        w = spike_and_slab("w", 0.1)
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(w, 1.0), obs=x)

    x = torch.randn(5)
    forecast = pruning_forecast(
        model, AutoHardConcrete(model, (x,), init_active=0.9), (x,), steps=5, gate_lr=0.01
    )
    assert list(forecast.sites) == ["w.gate"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"gate_lr": 0.0}, r"gate_lr must be positive, got 0\.0"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1\.0"),
        ({"loss_scale": 0.0}, "loss_scale must be positive"),
        ({"optimizer": "lbfgs"}, "optimizer must be one of adam, sgd; got 'lbfgs'"),
    ],
)
def test_arguments_are_checked(options, message):
    model = gates_only(z=L0Penalty(1.0))
    with pytest.raises(ValueError, match=message):
        pruning_forecast(model, AutoHardConcrete(model), **{"steps": 5, "gate_lr": 0.1, **options})
