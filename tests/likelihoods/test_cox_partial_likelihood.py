"""Cox's partial likelihood against the sum written out row by row, and against published fits."""

import math

import numpy as np
import pytest
import torch

from l0bayes.likelihoods import CoxPartialLikelihood

GENERATOR = torch.Generator().manual_seed(3)
ETA = torch.randn(14, generator=GENERATOR, dtype=torch.float64)
TIMES = torch.tensor([5.0, 3, 3, 8, 1, 1, 1, 9, 3, 5, 7, 7, 2, 9], dtype=torch.float64)
EVENTS = torch.tensor([1.0, 1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0], dtype=torch.float64)
WEIGHTS = torch.rand(14, generator=GENERATOR, dtype=torch.float64) + 0.5
Y = torch.stack([TIMES, EVENTS], -1)


def written_out(eta, times, events, weights, ties):
    total = 0.0
    for time in np.unique(times[events == 1]):
        dying = (times == time) & (events == 1)
        at_risk = float((weights * np.exp(eta))[times >= time].sum())
        own = float((weights * np.exp(eta))[dying].sum())
        total += float((weights * eta)[dying].sum())
        deaths = int(dying.sum())
        for place in range(deaths):
            if ties == "breslow":
                total -= float(weights[dying].sum()) / deaths * math.log(at_risk)
            else:
                total -= float(weights[dying].mean()) * math.log(at_risk - place / deaths * own)
    return total


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_against_the_sum_written_out(ties, weights):
    law = CoxPartialLikelihood(ETA, weights, ties)
    w = np.ones(14) if weights is None else weights.numpy()
    wanted = written_out(ETA.numpy(), TIMES.numpy(), EVENTS.numpy(), w, ties)
    assert law.log_prob(Y).item() == pytest.approx(wanted, abs=1e-11)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_weights_are_repeated_rows_but_for_tied_events_by_efrons_form(ties):
    """As in R's survival::coxph."""
    counts = torch.tensor([1, 2, 1, 3, 1, 2, 1, 1, 2, 1, 1, 2, 3, 1])
    weighted = CoxPartialLikelihood(ETA, counts.double(), ties).log_prob(Y)
    repeated = CoxPartialLikelihood(ETA.repeat_interleave(counts), None, ties)
    rows = repeated.log_prob(Y.repeat_interleave(counts, 0))
    assert (abs(float(weighted - rows)) < 1e-11) == (ties == "breslow")
    apart = torch.stack([torch.arange(14.0).double(), EVENTS], -1)
    once = CoxPartialLikelihood(ETA, 1.0 + 1.0 * (EVENTS == 0), ties).log_prob(apart)
    count = 1 + (EVENTS == 0).long()
    twice = CoxPartialLikelihood(ETA.repeat_interleave(count), None, ties)
    assert float(once) == pytest.approx(float(twice.log_prob(apart.repeat_interleave(count, 0))), abs=1e-11)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_gradient(ties):
    eta = ETA.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda e: CoxPartialLikelihood(e, WEIGHTS, ties).log_prob(Y), eta)
    # A constant in the predictor is the baseline's.
    gradient = torch.autograd.grad(CoxPartialLikelihood(eta, WEIGHTS, ties).log_prob(Y), eta)[0]
    assert gradient.sum().abs() < 1e-12


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_far_apart_predictors_stay_finite(ties):
    eta = (300.0 * ETA).requires_grad_()
    value = CoxPartialLikelihood(eta, None, ties).log_prob(Y)
    assert torch.isfinite(value)
    assert torch.isfinite(torch.autograd.grad(value, eta)[0]).all()


def test_one_tied_pair_by_hand():
    """Two events at one of three rows: log(r1 r2 / ((r1+r2+r3) (r1/2 + r2/2 + r3))) in Efron's form."""
    eta = torch.log(torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64))
    y = torch.tensor([[1.0, 1.0], [1.0, 1.0], [2.0, 0.0]], dtype=torch.float64)
    efron = CoxPartialLikelihood(eta, None, "efron").log_prob(y)
    breslow = CoxPartialLikelihood(eta, None, "breslow").log_prob(y)
    assert efron.item() == pytest.approx(math.log(6 / (10 * 7.5)), abs=1e-12)
    assert breslow.item() == pytest.approx(math.log(6 / 100), abs=1e-12)


def test_batches():
    eta = torch.stack([ETA, 2 * ETA])
    law = CoxPartialLikelihood(eta, WEIGHTS)
    assert (law.batch_shape, law.event_shape) == ((2,), (14, 2))
    one = CoxPartialLikelihood(2 * ETA, WEIGHTS).log_prob(Y)
    torch.testing.assert_close(law.log_prob(Y)[1], one)
    assert CoxPartialLikelihood(ETA).expand((3,)).log_prob(Y).shape == (3,)
    mapped = torch.vmap(lambda e: CoxPartialLikelihood(e, WEIGHTS, validate_args=False).log_prob(Y))(eta)
    torch.testing.assert_close(mapped, law.log_prob(Y))


def test_refusals():
    with pytest.raises(ValueError, match="ties must be one of efron, breslow; got 'exact'"):
        CoxPartialLikelihood(ETA, ties="exact")
    with pytest.raises(NotImplementedError, match="times cannot be drawn"):
        CoxPartialLikelihood(ETA).sample()
