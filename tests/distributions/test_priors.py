"""Gate priors: Gate, by probability or by logit, and L0Penalty."""

import math
from typing import NamedTuple

import pytest
import torch
from scipy import stats
from scipy.special import expit
from torch.distributions import kl_divergence

from l0bayes.distributions import Gate, GatePrior, HardConcrete, L0Penalty
from l0bayes.testing.gate_law_case import DEVICES, close

VALUES = torch.tensor([0.0, 1e-12, 0.5, 1.0], dtype=torch.float64)


class Spec(NamedTuple):
    """A prior's constructor, its argument, and the inclusion probability that this means."""

    kind: type[GatePrior]
    argument: str
    value: float
    inclusion: float

    def make(self, *shape: int, dtype: torch.dtype = torch.float64, **more: object) -> GatePrior:
        return self.of(torch.full(shape, self.value, dtype=dtype, **more))

    def of(self, value: torch.Tensor) -> GatePrior:
        return self.kind(
            **{self.argument: value}, validate_args=None if value.device.type == "cpu" else False
        )


SPECS = [
    Spec(Gate, "inclusion", 0.3, 0.3),
    Spec(Gate, "log_odds", -1.25, float(expit(-1.25))),
    Spec(L0Penalty, "penalty", 2.0, float(expit(-2.0))),
]
by_prior = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind.__name__}-{spec.argument}")


@by_prior
def test_the_score_is_of_being_open(spec: Spec) -> None:
    """One number at exactly 0 and another at everything above: relaxed values count as open."""
    shut, open_ = math.log(1 - spec.inclusion), math.log(spec.inclusion)
    if spec.kind is L0Penalty:
        shut, open_ = 0.0, -spec.value
    close(spec.make().log_prob(VALUES), [shut, open_, open_, open_], 1e-15)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 20.0])
def test_penalty_is_gate_of_sigmoid_minus_lambda_up_to_a_constant(penalty: float) -> None:
    value = torch.tensor(penalty, dtype=torch.float64)
    ratio = L0Penalty(value).log_prob(VALUES) - Gate(log_odds=-value).log_prob(VALUES)
    close(ratio, [math.log1p(math.exp(-penalty))] * 4, 1e-14)


@by_prior
def test_moments(spec: Spec) -> None:
    prior = spec.make()
    close(prior.mean, spec.inclusion, 1e-15)
    close(prior.inclusion_probability, spec.inclusion, 1e-15)
    close(prior.variance, spec.inclusion * (1 - spec.inclusion), 1e-15)
    close(prior.inclusion_logits, math.log(spec.inclusion / (1 - spec.inclusion)), 1e-14)


@by_prior
def test_draws_are_binary_and_as_frequent_as_the_prior_says(spec: Spec) -> None:
    """Binomial test of level 1e-4: with another seed a correct prior fails one time in 10,000."""
    torch.manual_seed(77)
    draws = spec.make().sample((20_000,))
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert stats.binomtest(int(draws.sum()), draws.numel(), spec.inclusion).pvalue > 1e-4


@by_prior
def test_support_is_enumerated(spec: Spec) -> None:
    prior = spec.make(3, 1)
    assert prior.has_enumerate_support
    assert prior.enumerate_support().shape == (2, 3, 1)
    assert prior.enumerate_support(expand=False).shape == (2, 1, 1)
    assert prior.enumerate_support(expand=False).flatten().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@by_prior
def test_dtype_and_shapes_are_kept(spec: Spec, dtype: torch.dtype) -> None:
    prior = spec.make(3, 1, dtype=dtype)
    assert prior.sample((5,)).shape == (5, 3, 1)
    kept = [
        prior.sample(),
        prior.mean,
        prior.variance,
        prior.log_prob(prior.sample()),
        prior.enumerate_support(),
    ]
    assert {tensor.dtype for tensor in kept} == {dtype}
    assert prior.log_prob(torch.zeros(4, 3, 2, dtype=dtype)).shape == (4, 3, 2)


@pytest.mark.parametrize("device", DEVICES)
@by_prior
def test_device_is_kept(spec: Spec, device: str) -> None:
    prior = spec.make(2, device=device)
    kept = [
        prior.sample(),
        prior.mean,
        prior.log_prob(torch.ones(2, device=device)),
        prior.enumerate_support(),
    ]
    assert {tensor.device.type for tensor in kept} == {device}


@by_prior
def test_expand_keeps_type_and_site(spec: Spec) -> None:
    prior = spec.make(3, 1)
    prior.site_name = "beta.gate"
    wide = prior.expand((2, 3, 4))
    assert type(wide) is spec.kind
    assert wide.batch_shape == (2, 3, 4)
    assert wide.support.site == "beta.gate"
    assert wide.sample().shape == (2, 3, 4)
    assert kl_divergence(HardConcrete(torch.zeros(2, 3, 4)), wide).shape == (2, 3, 4)
    one = torch.ones((), dtype=torch.float64)
    close(wide.log_prob(one), prior.log_prob(one).expand(2, 3, 4).numpy(), 1e-15)


@by_prior
def test_log_prob_gradient_in_the_parameter(spec: Spec) -> None:
    parameter = torch.tensor(spec.value, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: spec.of(value).log_prob(VALUES), [parameter], eps=1e-6)


def test_a_prior_object_serves_several_steps() -> None:
    """Expanded at each, as a sample site does, it keeps nothing of the last step's graph."""
    inclusion = torch.tensor(0.3, requires_grad=True)
    prior = Gate(inclusion)
    for _ in range(2):
        kl = kl_divergence(HardConcrete(torch.zeros(())), prior.expand((2,))).sum()
        kl.backward()
    assert torch.isfinite(inclusion.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_thirty_nats_are_representable(dtype: torch.dtype) -> None:
    """lambda = 0.1/N on a group of 300 weights: 30 nats, pi = 1e-13."""
    penalty = torch.tensor(30.0, dtype=dtype)
    for gate in (Gate(torch.sigmoid(-penalty)), Gate(log_odds=-penalty)):
        close(gate.inclusion_logits, -30.0, 1e-6)
        close(gate.log_prob(torch.tensor([0.0, 1.0], dtype=dtype)), [0.0, -30.0], 1e-6)
        close(kl_divergence(HardConcrete(torch.tensor(50.0, dtype=dtype)), gate), 30.0, 1e-6)


@pytest.mark.parametrize("inclusion", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_an_inclusion_outside_the_open_interval_is_refused(inclusion: float) -> None:
    with pytest.raises(ValueError, match=r"parameter inclusion .* strictly between 0 and 1"):
        Gate(inclusion)


@pytest.mark.parametrize("log_odds", [math.inf, -math.inf, math.nan])
def test_log_odds_that_are_not_finite_are_refused(log_odds: float) -> None:
    with pytest.raises(ValueError, match=r"parameter log_odds .* a finite number"):
        Gate(log_odds=log_odds)


@pytest.mark.parametrize("arguments", [{}, {"inclusion": 0.5, "log_odds": 0.0}])
def test_inclusion_is_given_in_one_way(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="exactly one of inclusion and log_odds"):
        Gate(**arguments)


@pytest.mark.parametrize("penalty", [-1e-6, -3.0, math.nan])
def test_a_negative_penalty_is_refused(penalty: float) -> None:
    with pytest.raises(ValueError, match="parameter penalty"):
        L0Penalty(penalty)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
@by_prior
def test_values_outside_the_support_are_refused(spec: Spec, value: float) -> None:
    with pytest.raises(ValueError, match="within the support"):
        spec.make().log_prob(torch.tensor(value, dtype=torch.float64))


def test_whole_numbers_become_floats() -> None:
    prior = L0Penalty(5)
    assert prior.penalty.dtype == torch.get_default_dtype()
    assert prior.enumerate_support().dtype == torch.get_default_dtype()
    assert prior.log_prob(torch.ones(())) == -5.0
