"""The engine passes its suite, and is known by its name."""

import numpy as np
import pytest
import torch
from metropolis import MetropolisEngine, MetropolisOptions

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseRegression
from l0bayes.testing.engine_suite import EngineSuite


class TestMetropolis(EngineSuite):
    engine = MetropolisEngine()

    def options(self, problem):
        return MetropolisOptions(steps=20_000)


def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 5))
    x[:, 1] += x[:, 0]
    return x, x[:, 0] + 0.4 * x[:, 3] + generator.normal(size=60)


def test_a_fit_is_refined_by_it():
    x, y = (torch.tensor(values, dtype=torch.float32) for values in data())
    model = SparseRegression(5, noise_scale=1.0, inclusion=0.3)
    guide = AutoHardConcrete(model, (x, y))
    fit = l0bayes.fit(model, guide, (x, y), steps=50, progress=False)
    exact = l0bayes.refine(fit, "exact")
    sampled = l0bayes.refine(fit, "metropolis", options=MetropolisOptions(steps=40_000))
    assert (exact.pip("beta") - sampled.pip("beta")).abs().max() < 1e-6
    assert (exact.mean("beta") - sampled.mean("beta")).abs().max() < 1e-6


def test_an_estimator_takes_it_or_says_why_not():
    x, y = data()
    for noise_scale, engine in ((1.0, "metropolis"), (None, "auto")):
        found = l0bayes.SpikeSlabRegressor(noise_scale=noise_scale, engine=engine, random_state=0)
        assert found.fit(x, y).trust_
    with pytest.raises(ValueError, match="known noise"):
        l0bayes.SpikeSlabRegressor(engine="metropolis").fit(x, y)
