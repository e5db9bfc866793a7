"""Keyword arguments of a model go wherever its positional ones go."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.guides import AutoHardConcrete, AutoJointGates
from l0bayes.infer import GradientStep, MeanFieldELBO, Minibatches, describe_objective, pruning_forecast
from l0bayes.posterior import importance_weighted, predict, predict_probabilities

GENERATOR = torch.Generator().manual_seed(6)
X = torch.randn(40, 2, generator=GENERATOR)
Y = X[:, 0] + 0.5 * torch.randn(40, generator=GENERATOR)
KWARGS = {"noise": torch.tensor(0.5), "power": 1}


def model(x, y=None, *, noise, power=2):
    """``noise`` is needed, ``power`` has a default that is wrong for the data."""
    beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    mean = (x**power) @ beta
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(mean, noise), obs=y)
    return mean


def bound(x, y=None):
    """The same with the keywords written in."""
    return model(x, y, **KWARGS)


@pytest.fixture(scope="module")
def guide():
    return AutoHardConcrete(model, (X, Y), KWARGS, temperature=0.2)


READERS = {
    "to_arviz": lambda m, g, k: (
        l0bayes.to_arviz(l0bayes.Fit.of(m, g, (X, Y)), num_draws=9, **k)["log_likelihood"]["y"].values
    ),
    "hardened": lambda m, g, k: l0bayes.hardened_elbo(m, g, (X, Y), num_draws=9, **k).value,
    "importance": lambda m, g, k: importance_weighted(m, g, (X, Y), num_draws=9, **k).log_evidence,
    "predict": lambda m, g, k: predict(m, g, (X,), num_draws=3, **k),
    "forecast": lambda m, g, k: str(pruning_forecast(m, g, (X, Y), steps=9, gate_lr=0.1, **k)),
    "objective": lambda m, g, k: describe_objective(m, g, (X, Y), **k).name,
}


@pytest.mark.parametrize("reader", [one for one in READERS if one != "to_arviz"])
def test_readers_take_what_the_guide_took(reader, guide):
    found, expected = READERS[reader](model, guide, {"kwargs": KWARGS}), READERS[reader](bound, guide, {})
    if isinstance(expected, str):
        assert found == expected
    else:
        torch.testing.assert_close(found, expected)


def test_a_fit_remembers_them():
    """They are given once; every reader of the fit has them, and may be given others."""
    guide = AutoHardConcrete(model, (X, Y), KWARGS, temperature=0.2)
    fit = l0bayes.fit(model, guide, (X, Y), kwargs=KWARGS, steps=800, progress=False)
    assert fit.kwargs == KWARGS
    assert guide.gates()["beta.gate"].prob_active[0] > 0.9
    wrapped = l0bayes.Fit.of(model, guide, (X, Y), KWARGS)
    plain = l0bayes.Fit.of(bound, guide, (X, Y))
    for one in (fit, wrapped):
        assert importance_weighted(one, num_draws=9).log_evidence == pytest.approx(
            importance_weighted(plain, num_draws=9).log_evidence
        )
        assert l0bayes.trust(one, num_draws=50).residual == pytest.approx(
            l0bayes.trust(plain, num_draws=50).residual
        )
        assert l0bayes.refine(one, "exact").log_evidence == pytest.approx(
            l0bayes.refine(plain, "exact").log_evidence
        )
        table, expected = (l0bayes.gate_table(f) for f in (one, plain))
        assert table.equals(expected)
    wide = l0bayes.refine(fit, "exact", kwargs={"noise": torch.tensor(2.0), "power": 1})
    assert wide.problem.noise_variance == pytest.approx(4.0)
    assert l0bayes.trust(fit, num_draws=50, kwargs={**KWARGS, "noise": torch.tensor(2.0)}).residual > 0


@pytest.mark.parametrize("family", [AutoHardConcrete, AutoJointGates])
@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_training_is_that_of_the_model_with_the_keywords_written_in(family, mode):
    losses = []
    for one, kwargs in ((model, KWARGS), (bound, None)):
        guide = family(one, (X, Y), kwargs)
        fit = l0bayes.fit(
            one, guide, (X, Y), kwargs=kwargs, steps=20, log_every=1, compile=mode, progress=False
        )
        losses.append(fit.history.elbo)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_minibatches_have_them_too():
    def batched(x, y, *, size):
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        with pyro.plate("data", size, subsample=torch.arange(len(x))):
            pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)

    guide = AutoHardConcrete(batched, (X, Y), {"size": 40})
    batches = Minibatches(X, Y, batch_size=10)
    fit = l0bayes.fit(
        batched,
        guide,
        batches,
        kwargs={"size": 40},
        steps=200,
        restarts=2,
        target="units:0.5",
        progress=False,
    )
    assert l0bayes.to_arviz(fit, (X, Y), num_draws=4)["log_likelihood"]["y"].shape == (2, 4, 40)


def test_classes_are_predicted_with_them():
    class Classifier(nn.Module):
        likelihood = "categorical"

        def forward(self, x, y=None, *, sharpness):
            weight = l0bayes.spike_and_slab("w", 0.5, dist.Normal(0.0, 1.0).expand([2, 3]).to_event(2))
            logits = sharpness * (x @ weight)
            with pyro.plate("data", len(x)):
                pyro.sample("y", dist.Categorical(logits=logits), obs=y)
            return logits

    labels = torch.randint(0, 3, (40,), generator=GENERATOR)
    net = Classifier()
    guide = AutoHardConcrete(net, (X, labels), {"sharpness": 0.0})
    fit = l0bayes.Fit.of(net, guide, (X, labels), {"sharpness": 0.0})
    flat = predict_probabilities(fit, X, num_draws=3)
    torch.testing.assert_close(flat, torch.full((40, 3), 1 / 3))
    sharp = predict_probabilities(fit, X, num_draws=3, kwargs={"sharpness": 9.0})
    assert (sharp - flat).abs().max() > 0.1


def test_what_does_not_bind_is_said(guide):
    with pytest.raises(TypeError, match=r"data does not fit the model's signature .*'noise'"):
        l0bayes.fit(model, guide, (X, Y), steps=5, progress=False)
    with pytest.raises(TypeError, match=r"data does not fit the model's signature .*'volume'"):
        l0bayes.fit(model, guide, (X, Y), kwargs={**KWARGS, "volume": 1}, steps=5, progress=False)
    with pytest.raises(TypeError, match="kwargs must be a mapping of names to values, got list"):
        l0bayes.fit(model, guide, (X, Y), kwargs=[1], steps=5, progress=False)
    with pytest.raises(ValueError, match="noise is empty"):
        l0bayes.fit(model, guide, (X, Y), kwargs={"noise": torch.zeros(0)}, steps=5, progress=False)


def test_the_bound_objective_holds_them(guide):
    step = GradientStep(MeanFieldELBO()(model, guide, KWARGS), "eager")
    torch.manual_seed(1)
    first = step((X, Y))[0]
    torch.manual_seed(1)
    assert first == MeanFieldELBO()(bound, guide)(X, Y)
