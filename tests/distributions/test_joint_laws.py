"""Autoregressive gates and slabs that depend on them, against enumeration and dense Gaussians."""

import math

import pyro.distributions as dist
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from l0bayes.distributions import AutoregressiveGates, ConditionalSlab

torch.manual_seed(0)
LOGITS = torch.tensor([0.3, -0.5, 0.8, -1.0], dtype=torch.float64)
WEIGHTS = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2


def gates(**options):
    return AutoregressiveGates(LOGITS, WEIGHTS, **options)


def test_log_prob_is_the_product_of_the_conditionals_and_sums_to_one():
    law = gates()
    values = law.enumerate_support()
    by_hand = []
    for z in values:
        log_q = 0.0
        for j in range(4):
            logit = LOGITS[j] + sum(WEIGHTS[j, k] * z[k] for k in range(j))
            log_q = log_q + math.log(torch.sigmoid(logit if z[j] else -logit))
        by_hand.append(log_q)
    torch.testing.assert_close(law.log_prob(values), torch.tensor(by_hand, dtype=torch.float64))
    assert law.log_prob(values).logsumexp(0).abs() < 1e-12
    assert law.log_prob(torch.tensor([0.5, 0.0, 1.0, 1.0], dtype=torch.float64)) == -math.inf


def test_draws_follow_the_law():
    torch.manual_seed(2)
    law = gates()
    index = (law.sample((20_000,)) @ torch.tensor([1.0, 2, 4, 8], dtype=torch.float64)).long()
    seen = torch.bincount(index, minlength=16)
    expected = 20_000 * law.log_prob(law.enumerate_support()).exp()
    assert ((seen - expected).square() / expected).sum() < 45.0  # chi-squared of 15, 1e-4


def test_marginals_by_enumeration_and_by_draws():
    law = gates()
    values = law.enumerate_support()
    expected = law.log_prob(values).exp() @ values
    torch.testing.assert_close(law.marginals().prob_active, expected)
    torch.testing.assert_close(law.mean, expected)
    # The same four gates, followed by ten that stand apart: too many to enumerate.
    logits = torch.cat([LOGITS, torch.zeros(10, dtype=torch.float64)])
    weights = torch.zeros(14, 14, dtype=torch.float64)
    weights[:4, :4] = WEIGHTS
    state = torch.get_rng_state()
    many = AutoregressiveGates(logits, weights).marginals().prob_active
    assert torch.equal(state, torch.get_rng_state())
    assert (many[:4] - expected).abs().max() < 0.02
    torch.testing.assert_close(many[4:], torch.full((10,), 0.5, dtype=torch.float64))


def test_shapes_expand_and_errors():
    law = gates(event_shape=(2, 2))
    assert (law.batch_shape, law.event_shape) == ((), (2, 2))
    more = law.expand((3,))
    assert type(more) is AutoregressiveGates
    assert more.sample((5,)).shape == (5, 3, 2, 2)
    assert more.log_prob(more.sample()).shape == (3,)
    assert more.enumerate_support().shape == (16, 3, 2, 2)
    assert more.marginals().batch_shape == (3, 2, 2)
    assert AutoregressiveGates(LOGITS[:1], WEIGHTS[:1, :1], ()).sample().shape == ()
    with pytest.raises(ValueError, match="belong together"):
        AutoregressiveGates(LOGITS, WEIGHTS[:3])
    with pytest.raises(NotImplementedError, match="too many"):
        AutoregressiveGates(torch.zeros(21), torch.zeros(21, 21)).enumerate_support()


# ---- slabs -------------------------------------------------------------------------------------------

P = 7


def slab(rank, is_open, **options):
    """A law, and the precision and vector that it stands for."""
    generator = torch.Generator().manual_seed(rank)
    raw = torch.randn(P, rank, generator=generator, dtype=torch.float64)
    loc = torch.randn(P, generator=generator, dtype=torch.float64)
    scale = 0.3 + torch.rand(P, generator=generator, dtype=torch.float64)
    diagonal = 1.0 / (1.0 + raw.square().sum(1))
    factor = raw * diagonal.sqrt()[:, None]
    correlation = factor @ factor.T + torch.diag(diagonal)
    torch.testing.assert_close(correlation.diagonal(), torch.ones(P, dtype=torch.float64))
    law = ConditionalSlab(loc, scale, factor, diagonal, is_open, **options)
    return law, correlation / torch.outer(scale, scale), loc / scale**2


OPEN = torch.tensor([[1, 0, 1, 1, 0, 1, 0], [0] * P, [1] * P], dtype=torch.float64)


@pytest.mark.parametrize("rank", [2, 7], ids=["low rank", "dense"])
def test_slabs_against_dense_gaussians(rank):
    law, precision, h = slab(rank, OPEN, shut_loc=0.3, shut_scale=1.7)
    value = torch.randn(3, P, dtype=torch.float64)
    prior = dist.Normal(torch.tensor(0.3, dtype=torch.float64), 1.7).expand([P]).to_event(1)
    kl = kl_divergence(law, prior)
    for row, z in enumerate(OPEN):
        o, shut = z.nonzero()[:, 0], (1 - z).nonzero()[:, 0]
        expected = dist.Normal(0.3, 1.7).log_prob(value[row, shut]).sum()
        if len(o):
            covariance = torch.linalg.inv(precision[o][:, o])
            block = MultivariateNormal(covariance @ h[o], covariance)
            torch.testing.assert_close(law.log_prob_open(value)[row], block.log_prob(value[row, o]))
            torch.testing.assert_close(law.mean[row, o], block.mean)
            torch.testing.assert_close(law.variance[row, o], block.variance)
            expected = expected + block.log_prob(value[row, o])
            diagonal = MultivariateNormal(
                torch.full_like(block.mean, 0.3), 1.7**2 * torch.eye(len(o)).double()
            )
            torch.testing.assert_close(kl[row], kl_divergence(block, diagonal))
        torch.testing.assert_close(law.log_prob(value)[row], expected)
        torch.testing.assert_close(law.mean[row, shut], torch.full((len(shut),), 0.3, dtype=torch.float64))
    assert kl[1] == 0.0


@pytest.mark.parametrize("rank", [2, 7], ids=["low rank", "dense"])
def test_draws_have_the_moments(rank):
    torch.manual_seed(3)
    law, precision, _ = slab(rank, OPEN)
    draws = law.sample((40_000,))
    error = (draws.mean(0) - law.mean) / (law.variance / 40_000).sqrt()
    assert error.abs().max() < 4.5
    o = OPEN[0].nonzero()[:, 0]
    covariance = torch.linalg.inv(precision[o][:, o])
    seen = torch.cov(draws[:, 0, o].T)
    size = covariance.diagonal().sqrt()
    assert ((seen - covariance) / torch.outer(size, size)).abs().max() < 0.03


def test_a_slab_held_fixed_has_the_same_density_and_no_gradient():
    law, _, _ = slab(7, OPEN)
    loc = law.loc.clone().requires_grad_()
    law = ConditionalSlab(loc, law.scale, law.factor, law.diagonal, OPEN)
    value = law.rsample()
    assert value.requires_grad
    held = law.detach()
    torch.testing.assert_close(held.log_prob_open(value.detach()), law.log_prob_open(value).detach())
    assert not held.log_prob_open(value.detach()).requires_grad


def test_kl_to_other_slab_priors_and_none():
    law, _, _ = slab(7, OPEN[2])
    scale = torch.ones(P, dtype=torch.float64)
    torch.manual_seed(4)
    for prior in (dist.Laplace(0.0 * scale, scale), dist.StudentT(4.0, 0.0 * scale, scale)):
        draws = law.sample((40_000,))
        ratio = law.log_prob_open(draws) - prior.log_prob(draws).sum(-1)
        kl = kl_divergence(law, prior.to_event(1))
        assert abs(ratio.mean() - kl) < 4.5 * ratio.std() / 200
    with pytest.raises(NotImplementedError, match="not independent"):
        kl_divergence(law, dist.MultivariateNormal(0.0 * scale, torch.eye(P).double()))
    with pytest.raises(ValueError, match="one shape"):
        ConditionalSlab(scale, scale[:3], torch.eye(P), scale, OPEN)
