"""Gated slabs and the L2 penalty."""

import math

import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch.distributions import kl_divergence

from l0bayes.distributions import GatedSlab, L2Penalty
from l0bayes.testing.gate_law_case import close


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def normal(loc: float = 0.4, scale: float = 0.7, *shape: int) -> dist.Normal:
    return dist.Normal(
        torch.full(shape, loc, dtype=torch.float64), torch.full(shape, scale, dtype=torch.float64)
    )


def normal_kl(loc: float, scale: float, prior_scale: float) -> float:
    """KL(N(loc, scale^2) || N(0, prior_scale^2))."""
    ratio = scale / prior_scale
    return 0.5 * (ratio**2 + (loc / prior_scale) ** 2 - 1.0) - math.log(ratio)


def test_kl_is_weighted_by_the_activity() -> None:
    activity = double(0.0, 0.25, 1.0)
    kl = kl_divergence(GatedSlab(normal(0.4, 0.7, 3), activity), normal(0.0, 2.0, 3))
    close(kl, [share * normal_kl(0.4, 0.7, 2.0) for share in (0.0, 0.25, 1.0)], 1e-14)


@pytest.mark.parametrize("prior_loc", [-1.3, 0.25, 2.0])
def test_kl_to_a_slab_about_another_place(prior_loc: float) -> None:
    kl = kl_divergence(GatedSlab(normal(0.4, 0.7, 2), double(1.0, 0.5)), normal(prior_loc, 2.0, 2))
    close(kl, [share * normal_kl(0.4 - prior_loc, 0.7, 2.0) for share in (1.0, 0.5)], 1e-14)


def test_a_point_costs_its_code_length() -> None:
    """-log p(theta) times the activity."""
    slab = GatedSlab(dist.Delta(double(0.3, -1.2)), double(0.5, 0.9))
    wanted = [-0.5 * stats.norm.logpdf(0.3, scale=2.0), -0.9 * stats.norm.logpdf(-1.2, scale=2.0)]
    close(kl_divergence(slab, normal(0.0, 2.0, 2)), wanted, 1e-14)


@pytest.mark.parametrize("decay", [0.0, 0.8])
def test_a_point_under_weight_decay(decay: float) -> None:
    slab = GatedSlab(dist.Delta(double(0.3, -1.2)), double(0.5, 0.9))
    wanted = [0.5 * decay * 0.5 * 0.09, 0.9 * decay * 0.5 * 1.44]
    for prior in (L2Penalty(decay), L2Penalty(torch.tensor(decay, dtype=torch.float64))):
        kl = kl_divergence(slab, prior.expand((2,)))
        close(kl, wanted, 1e-7 if prior.decay.dtype == torch.float32 else 1e-15)
        assert kl.dtype == torch.float64


def test_a_kl_that_does_not_exist_is_not_invented() -> None:
    """L2Penalty has no normaliser: a Normal slab against it has no KL."""
    with pytest.raises(NotImplementedError):
        kl_divergence(GatedSlab(normal(), double(0.5).squeeze()), L2Penalty(1.0))


def test_kl_through_event_dimensions_and_masks() -> None:
    slab, prior = GatedSlab(normal(0.4, 0.7, 2, 3), double(0.2, 0.5, 1.0)), normal(0.0, 1.0, 2, 3)
    elementwise = kl_divergence(slab, prior)
    assert elementwise.shape == (2, 3)
    close(kl_divergence(slab.to_event(1), prior.to_event(1)), elementwise.sum(-1).numpy(), 1e-14)
    mask = torch.tensor([True, False, True])
    masked = kl_divergence(slab.mask(mask), prior.mask(mask))
    close(masked, torch.where(mask, elementwise, 0.0).numpy(), 1e-14)


def test_kl_gradient() -> None:
    at = [double(0.4).requires_grad_(), double(0.7).requires_grad_(), double(0.3).requires_grad_()]
    assert torch.autograd.gradcheck(
        lambda loc, scale, activity: kl_divergence(
            GatedSlab(dist.Normal(loc, scale), activity), normal(0.0, 2.0, 1)
        ),
        at,
        eps=1e-6,
    )


def test_it_is_its_base_but_for_the_kl() -> None:
    base = normal(0.4, 0.7, 3)
    slab = GatedSlab(base, double(0.1, 0.5, 0.9))
    x = double(-1.0, 0.0, 2.0)
    close(slab.log_prob(x), stats.norm.logpdf(x.numpy(), 0.4, 0.7), 1e-14)
    close(slab.icdf(double(0.1, 0.5, 0.9)), stats.norm.ppf([0.1, 0.5, 0.9], 0.4, 0.7), 1e-14)
    assert slab.has_rsample
    assert slab.support is base.support
    assert torch.equal(slab.mean, base.mean)
    assert torch.equal(slab.variance, base.variance)
    torch.manual_seed(0)
    draw = slab.rsample((4,))
    torch.manual_seed(0)
    assert torch.equal(draw, base.rsample((4,)))


def test_draws_differentiate_where_the_base_does() -> None:
    loc = torch.zeros(3, requires_grad=True)
    slab = GatedSlab(dist.Normal(loc, 1.0), torch.full((3,), 0.5))
    assert torch.autograd.grad(slab.rsample().sum(), loc)[0].tolist() == [1.0, 1.0, 1.0]
    assert not slab.sample().requires_grad
    assert not GatedSlab(dist.Poisson(torch.ones(3)), torch.full((3,), 0.5)).has_rsample


def test_expand_keeps_the_type() -> None:
    slab = GatedSlab(normal(0.4, 0.7, 3, 1), double(0.5)).expand((2, 3, 4))
    assert type(slab) is GatedSlab
    assert slab.batch_shape == slab.activity.shape == slab.base.batch_shape == (2, 3, 4)
    assert kl_divergence(slab, normal(0.0, 1.0, 2, 3, 4)).shape == (2, 3, 4)


def test_a_base_with_event_dimensions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"base must be an elementwise law, got one with event shape \(3,\)"):
        GatedSlab(normal(0.0, 1.0, 3).to_event(1), torch.full((3,), 0.5))


def test_an_activity_that_does_not_broadcast_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"activity of shape \(2,\) does not broadcast to the slab's shape \(3,\)"
    ):
        GatedSlab(normal(0.0, 1.0, 3), torch.full((2,), 0.5))


@pytest.mark.parametrize("activity", [-0.1, 1.5, math.nan])
def test_an_activity_that_is_no_probability_is_refused(activity: float) -> None:
    with pytest.raises(ValueError, match="parameter activity"):
        GatedSlab(normal(0.0, 1.0, 3), double(activity))


def test_l2_penalty_is_a_quadratic() -> None:
    penalty = L2Penalty(double(0.5, 2.0))
    close(penalty.log_prob(double(3.0, -1.0)), [-2.25, -1.0], 1e-15)
    assert penalty.mean.tolist() == [0.0, 0.0]
    assert penalty.decay.dtype == torch.float64
    assert L2Penalty(1).decay.dtype == torch.get_default_dtype()


def test_l2_penalty_expands_to_its_own_type() -> None:
    penalty = L2Penalty(0.5).expand((2, 3))
    assert type(penalty) is L2Penalty
    assert penalty.batch_shape == (2, 3)
    assert penalty.to_event(1).log_prob(torch.ones(2, 3)).tolist() == [-0.75, -0.75]


def test_l2_penalty_has_no_draws() -> None:
    with pytest.raises(NotImplementedError, match="unnormalised penalty and has no draws"):
        L2Penalty(0.5).sample()


@pytest.mark.parametrize("decay", [-1e-6, math.nan])
def test_a_negative_decay_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="parameter decay"):
        L2Penalty(decay)
