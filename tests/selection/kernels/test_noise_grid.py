"""Quadrature over the noise: how many places it needs, and what it gives."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import gammaln, loggamma

from l0bayes.selection import InverseGamma
from l0bayes.selection.kernels.noise_grid import _least_squares, _step, noise_rule
from tests.selection.problems import DOUBLE, problem


@pytest.mark.parametrize("alpha", [1.5, 6.0, 51.0, 1e4])
def test_the_step_has_the_error_that_it_is_said_to_have(alpha: float) -> None:
    ratio = (loggamma(alpha + 2j * math.pi / _step(alpha)) - loggamma(alpha)).real
    assert 0.9e-11 < 2.0 * math.exp(ratio) < 1.1e-11


@pytest.mark.parametrize("rows", [10, 1000, 100_000, 10_000_000])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_many_rows_need_no_more_places(rows: int, share: float) -> None:
    r"""Two models, one that explains nothing and one more or less, in closed form: the integral of
    :math:`e^{-\alpha t - \beta e^{-t}}` is :math:`\Gamma(\alpha)\beta^{-\alpha}`."""
    given = problem("independent", 40, 6, noise=InverseGamma(2.0, 0.7))
    # So many rows of the same second moments.
    unit, each = math.sqrt(40.0 / rows), torch.full((40,), rows / 40.0)
    counts = given.replace(x=unit * given.x, y=unit * given.y, weights=each, weights_are_counts=True)
    square = float(counts.gram.square)
    least = _least_squares(counts.gram)
    assert least < 0.5 * square
    parts = [(square, 0.0), (square + share * (least - square), -0.3)]
    asked = []

    def log_evidence(variance: torch.Tensor) -> torch.Tensor:
        asked.append(float(variance))
        terms = [c - 0.5 * rows * variance.log() - 0.5 * s / variance for s, c in parts]
        return torch.logsumexp(torch.stack(terms), 0)

    rule = noise_rule(counts, log_evidence)
    found = float(torch.logsumexp(rule.log_evidences + rule.log_weights, 0))
    alpha = 2.0 + 0.5 * rows
    exact = [
        c + 2.0 * math.log(0.7) - gammaln(2.0) + gammaln(alpha) - alpha * math.log(0.7 + 0.5 * s)
        for s, c in parts
    ]
    wanted = float(torch.logsumexp(torch.tensor(exact, dtype=DOUBLE), 0))
    assert abs(found - wanted) < 1e-9 + 1e-14 * abs(wanted) * math.sqrt(rows)
    assert len(asked) < 130
    assert len(rule.variances) < 60


@pytest.mark.parametrize("rows", [200, 20_000])
@pytest.mark.parametrize("share", [k / 16 for k in range(17)])
def test_a_peak_anywhere_is_found_whole(rows: int, share: float) -> None:
    """One model, whose peak may be at either end of the range or in it, beside a fine search."""
    given = problem("independent", 40, 6, noise=InverseGamma(2.0, 0.7))
    unit, each = math.sqrt(40.0 / rows), torch.full((40,), rows / 40.0)
    counts = given.replace(x=unit * given.x, y=unit * given.y, weights=each, weights_are_counts=True)
    square, least = float(counts.gram.square), _least_squares(counts.gram)
    sum_of_squares = square + share * (least - square)
    alpha = 2.0 + 0.5 * rows

    def log_evidence(variance: torch.Tensor) -> torch.Tensor:
        return -0.5 * rows * variance.log() - 0.5 * sum_of_squares / variance

    rule = noise_rule(counts, log_evidence)
    peak = math.log((0.7 + 0.5 * sum_of_squares) / alpha)
    t = torch.arange(-4000, 4001, dtype=DOUBLE) * 0.25 * _step(alpha) + peak
    height = -alpha * t - (0.7 + 0.5 * sum_of_squares) * torch.exp(-t)
    wide = t[height > height.max() - 28.0]
    found = rule.variances.log()
    assert float(found.min() - wide.min()) < 1.01 * _step(alpha)
    assert float(wide.max() - found.max()) < 1.01 * _step(alpha)
    torch.testing.assert_close(found.diff(), torch.full_like(found.diff(), _step(alpha)), rtol=1e-9, atol=0.0)
