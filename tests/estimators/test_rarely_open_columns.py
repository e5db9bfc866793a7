"""Columns that are hardly ever in are described given that they are, where numbers are learned too."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.selection.joint_evidence import joint_evidence
from l0bayes import SpikeSlabCountRegressor, SpikeSlabRobustRegressor

DOUBLE = torch.float64
INCLUSION, INTERCEPT = 0.05, 5.0
PLAIN = {"inclusion": INCLUSION, "intercept_scale": INTERCEPT, "standardize": False, "random_state": 0}


def counts(x, eta, rng):
    """With a dispersion of 0.2, far from 1."""
    y = rng.poisson(np.exp(1.0 + eta) * rng.gamma(5.0, 0.2, len(eta))).astype(float)
    fitted = SpikeSlabCountRegressor("negative_binomial", slab_scale=0.5, **PLAIN).fit(x, y)
    seen = torch.tensor(y)

    def likelihood(eta, t):
        return torch.distributions.NegativeBinomial(torch.exp(-t), logits=eta + t).log_prob(seen).sum(1)

    return fitted, 0.5, likelihood, lambda t: t[:, 0] - t[:, 0].exp(), torch.tensor([-1.0], dtype=DOUBLE)


def outliers(x, eta, rng):
    """With a scale of 0.1, far from 1."""
    y = 0.2 * eta + 0.1 * rng.standard_t(4.0, size=len(eta))
    fitted = SpikeSlabRobustRegressor(slab_scale=0.1, df=4.0, noise_prior=(2.0, 0.02), **PLAIN).fit(x, y)
    seen = torch.tensor(y)
    prior = torch.distributions.InverseGamma(*torch.tensor([2.0, 0.02], dtype=DOUBLE))

    def likelihood(eta, t):
        return torch.distributions.StudentT(4.0, eta, (0.5 * t).exp()).log_prob(seen).sum(1)

    return (
        fitted,
        0.1,
        likelihood,
        lambda t: prior.log_prob(t[:, 0].exp()) + t[:, 0],
        torch.tensor([-4.5], dtype=DOUBLE),
    )


@pytest.mark.parametrize("kind", [counts, outliers])
def test_of_learned_numbers_only_the_likelihood_knows(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 3))
    fitted, slab, likelihood, prior, start = kind(x, 0.6 * x[:, 0], rng)
    assert fitted.pip_[1:].max() < 0.1
    columns, generator = torch.tensor(x), torch.Generator().manual_seed(0)
    logs, means, models = [], [], list(itertools.product([0, 1], repeat=3))
    for model in models:
        held = [j for j in range(3) if model[j]]
        both = torch.cat([torch.ones(150, 1, dtype=DOUBLE), columns[:, held]], 1)
        scale = torch.tensor([INTERCEPT, *[slab] * len(held)], dtype=DOUBLE)
        offset = torch.zeros(150, dtype=DOUBLE)
        found, mean = joint_evidence(likelihood, prior, start, both, scale, offset, 4000, generator)
        logs.append(found + sum(model) * math.log(INCLUSION / (1.0 - INCLUSION)))
        means.append(torch.zeros(3, dtype=DOUBLE).index_copy(0, torch.tensor(held).long(), mean[1:]))
    gates = torch.tensor(models, dtype=DOUBLE)
    weight = torch.tensor(logs, dtype=DOUBLE).softmax(0)
    given = ((weight @ torch.stack(means)) / (weight @ gates)).numpy()
    spread = fitted.summary().sort_index()["cond_sd"].to_numpy()
    assert abs(fitted.coef_conditional_ - given) == pytest.approx(0.0, abs=0.1 * spread.min())
    # As wide as the data say: all columns are alike.
    assert spread[1:] == pytest.approx(spread[0], rel=0.25)


def test_levels_of_a_factor_beside_a_learned_scale_and_degrees_of_freedom():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.normal(size=60), "g": rng.choice(["u", "v", "w"], 60)})
    y = 0.5 * frame["a"] + rng.standard_t(4.0, size=60)
    fitted = SpikeSlabRobustRegressor(random_state=0).fit(frame, y)
    table = fitted.summary()
    assert np.isfinite(table["cond_sd"]).all()
    assert np.isfinite(fitted.predict(frame[:3], interval=0.9).low).all()
