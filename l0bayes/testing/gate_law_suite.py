r"""The tests that every gate law must pass, to be inherited.

A subclass gives the law, cases of it and a reference::

    class TestMyLaw(GateLawSuite):
        law = MyLaw
        cases = [{"location": 0.3}, {"location": -2.0}]
        extreme_cases = [{"location": 50.0}, {"location": -50.0}]
        parameters = {"location": st.floats(-20.0, 20.0)}

        def reference(self, **case):
            return MyLawReference(**case)  # a GateLawReference

        def exact_active(self, location):
            return 1 / (1 + mpmath.exp(-mpmath.mpf(location)))

Unless a test says otherwise it runs in float64 and the reference is quadrature of the law's formulas; both
are good to a few ulp of the largest term, so the tolerance is ``1e-11`` relative to it.
"""

from __future__ import annotations

import copy
import math

import pyro.distributions as dist
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import kl_divergence

from l0bayes.distributions import Gate
from l0bayes.testing.gate_law_case import DEVICES, PROPERTY, Case, close
from l0bayes.testing.gate_law_density_suite import GateLawDensitySuite
from l0bayes.testing.gate_law_gradient_suite import GateLawGradientSuite
from l0bayes.testing.gate_law_kl_suite import GateLawKLSuite
from l0bayes.testing.gate_law_numerics_suite import GateLawNumericsSuite

__all__ = ["GateLawSuite"]


class GateLawSuite(GateLawDensitySuite, GateLawKLSuite, GateLawGradientSuite, GateLawNumericsSuite):
    """All tests of a gate law; see :class:`~l0bayes.testing.gate_law_case.GateLawCase` for what to give."""

    # ---- as a Pyro distribution --------------------------------------------------------------------

    def test_expand_keeps_the_law(self, case: Case) -> None:
        law = self.make(case, shape=(3, 1))
        law.site_name = "beta.gate"
        wide = law.expand((2, 3, 4))
        assert type(wide) is self.law
        assert wide.batch_shape == (2, 3, 4)
        assert wide.event_shape == ()
        assert wide.support.site == "beta.gate"
        assert wide._validate_args == law._validate_args
        assert wide.sample().shape == (2, 3, 4)
        torch.testing.assert_close(wide.mean, law.mean.expand(2, 3, 4))
        torch.testing.assert_close(wide.entropy(), law.entropy().expand(2, 3, 4))
        kl = kl_divergence(wide, Gate(torch.tensor(0.3, dtype=torch.float64)).expand((2, 3, 4)))
        assert kl.shape == (2, 3, 4)
        assert kl_divergence(wide, self.make(case).expand((4,))).shape == (2, 3, 4)
        with pytest.raises(RuntimeError):
            law.expand((5, 1))

    def test_to_event_sums(self, case: Case) -> None:
        law = self.make(case, shape=(2, 3))
        event = law.to_event(1)
        value = law.sample()
        torch.testing.assert_close(event.log_prob(value), law.log_prob(value).sum(-1))
        prior = Gate(torch.full((2, 3), 0.3, dtype=torch.float64))
        kl = kl_divergence(event, prior.to_event(1))
        torch.testing.assert_close(kl, kl_divergence(law, prior).sum(-1))

    def test_mask_silences(self, case: Case) -> None:
        law = self.make(case, shape=(3,))
        mask = torch.tensor([True, False, True])
        masked = law.mask(mask)
        assert isinstance(masked, dist.MaskedDistribution)
        value = law.sample()
        torch.testing.assert_close(masked.log_prob(value), torch.where(mask, law.log_prob(value), 0.0))
        prior = Gate(torch.full((3,), 0.3, dtype=torch.float64))
        kl = kl_divergence(masked, prior.mask(mask))
        torch.testing.assert_close(kl, torch.where(mask, kl_divergence(law, prior), 0.0))

    def test_copies_are_equal_and_apart(self, case: Case) -> None:
        law = self.make(case)
        twin = copy.deepcopy(law)
        name = self.law.parameter_names[0]
        getattr(twin, name).add_(1.0)
        assert getattr(law, name) == case[name]
        assert getattr(twin, name) == case[name] + 1.0

    @pytest.mark.parametrize("device", DEVICES)
    def test_device_is_kept(self, case: Case, device: str) -> None:
        """A tensor on ``meta`` has a device and no values, so that mixing devices is an error."""
        names = self.law.parameter_names
        tensors = {k: torch.full((2,), case[k], device=device) for k in names}
        law = self.build(**{**case, **tensors}, validate_args=False)
        gate = Gate(torch.full((2,), 0.3, device=device), validate_args=False)
        results = [
            law.sample((3,)),
            law.mean,
            law.variance,
            law.median,
            law.mean_given_active,
            law.entropy(),
            law.log_prob(torch.full((2,), 0.5, device=device)),
            law.cdf(torch.full((2,), 0.5, device=device)),
            law.activity_logits,
            law.noise_free,
            kl_divergence(law, gate),
            kl_divergence(law, law.expand((4, 2))),
        ]
        assert {result.device.type for result in results} == {device}

    # ---- refusals ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
    def test_values_outside_the_support_are_refused(self, value: float) -> None:
        law = self.make(self.cases[0])
        with pytest.raises(ValueError, match="within the support"):
            law.log_prob(torch.tensor(value, dtype=torch.float64))

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_parameters_that_are_not_finite_are_refused(self, value: float) -> None:
        name = self.law.parameter_names[0]
        with pytest.raises(ValueError, match=f"parameter {name} .* a finite number"):
            self.make({**self.cases[0], name: value})

    def test_validation_can_be_turned_off(self) -> None:
        name = self.law.parameter_names[0]
        law = self.build(**{**self.cases[0], name: torch.tensor(math.nan)}, validate_args=False)
        assert law.log_prob(torch.tensor(2.0)).shape == ()

    # ---- properties over the whole parameter range -------------------------------------------------

    @PROPERTY
    @given(data=st.data())
    def test_moments_obey_their_bounds(self, data: st.DataObject) -> None:
        law = self.make(self._draw(data))
        mean, variance = law.mean, law.variance
        slack = 1e-13
        assert law.prob_one - slack <= mean <= (law.prob_active if self.has_atoms else 1.0) + slack
        assert -slack <= variance <= mean * (1 - mean) + slack
        assert torch.isfinite(law.entropy())
        # The mixed measure of [0, 1] is 3, so the entropy is at most log 3.
        assert law.entropy() <= math.log(3.0) + slack
        assert 0.0 <= law.median <= 1.0
        assert law.activity_threshold - slack <= law.mean_given_active <= 1.0 + slack

    @PROPERTY
    @given(data=st.data())
    def test_cdf_rises_from_the_atom_to_one(self, data: st.DataObject) -> None:
        law = self.make(self._draw(data))
        x = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)
        cdf = law.cdf(x)
        # torch's vectorised and scalar loops round sigmoid differently by an ulp.
        assert (cdf.diff() >= -torch.finfo(cdf.dtype).eps * cdf[1:]).all()
        assert cdf[-1] == 1.0
        if self.has_atoms:
            close(cdf[0], law.log_prob(x[0]).exp().item(), 1e-13)
        u = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
        assert (law.icdf(u).diff() >= 0).all()

    @PROPERTY
    @given(data=st.data())
    def test_kl_is_not_negative(self, data: st.DataObject) -> None:
        q, p = self.make(self._draw(data)), self.make(self._draw(data))
        inclusion = data.draw(st.floats(1e-12, 1 - 1e-12))
        kl = kl_divergence(q, p)
        # The integrands reach hundreds of nats, whose rounding is what may fall below zero.
        assert kl >= -1e-12
        assert torch.isfinite(kl)
        assert kl_divergence(q, Gate(torch.tensor(inclusion, dtype=torch.float64))) >= -1e-15

    def _draw(self, data: st.DataObject) -> Case:
        return {name: data.draw(strategy, label=name) for name, strategy in self.parameters.items()}
