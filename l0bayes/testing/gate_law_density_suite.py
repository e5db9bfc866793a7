"""Density, distribution function, quantiles and moments of a gate law, as tests to be inherited."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from l0bayes.testing.gate_law_case import GRID, Case, GateLawCase, close

__all__ = ["GateLawDensitySuite"]


class GateLawDensitySuite(GateLawCase):
    """Tests of density, quantiles and moments against the reference."""

    # ---- density, distribution function, quantiles -----------------------------------------------

    def test_log_prob_is_the_references(self, case: Case) -> None:
        law, reference = self.make(case), self.reference(**case)
        wanted = [reference.log_density(math.log(z) - math.log1p(-z)) for z in GRID.tolist()]
        close(law.log_prob(GRID), np.array(wanted))
        if self.has_atoms:
            close(law.log_prob(torch.zeros(())), math.log(reference.zero))
            close(law.log_prob(torch.ones(())), math.log(reference.one))

    def test_total_mass_is_one(self, case: Case) -> None:
        """P(0) + P(1) + the integral of the law's own density = 1, by the trapezoid rule in logit z.

        A law without atoms has mass so near to the ends that 1 - z is mostly rounding there; the
        reference supplies it, and z at the outermost node is still known to 1e-7 of 1 - z.
        """
        law = self.make(case)
        reach = 34.0 if self.has_atoms else 20.0
        y = torch.linspace(-reach, reach, 40_001, dtype=torch.float64)
        z = torch.sigmoid(y)
        mass = torch.trapezoid(law.log_prob(z).exp() * z * torch.sigmoid(-y), y)
        if self.has_atoms:
            ends = law.log_prob(torch.tensor([0.0, 1.0]).double()).exp().sum()
            close(mass + ends, 1.0)
        else:
            low, high = self.reference(**case).cdf(z[[0, -1]].numpy())
            close(mass + low + (1.0 - high), 1.0, 1e-7)

    def test_cdf_is_the_references(self, case: Case) -> None:
        close(self.make(case).cdf(GRID), self.reference(**case).cdf(GRID.numpy()))

    def test_cdf_jumps_by_the_atoms(self, case: Case) -> None:
        law, reference = self.make(case), self.reference(**case)
        at = torch.tensor([-1e-3, 0.0, 1.0 - 1e-15, 1.0, 1.5], dtype=torch.float64)
        below, zero, last, one, above = law.cdf(at)
        assert below == 0.0
        close(zero, reference.zero)
        if self.has_atoms:
            close(last, 1.0 - reference.one)
        assert one == 1.0
        assert above == 1.0

    def test_survival_is_the_complement_of_the_cdf(self, case: Case) -> None:
        law = self.make(case)
        close(law.survival(GRID) + law.cdf(GRID), np.ones(len(GRID)), 1e-15)

    def test_icdf_is_the_generalised_inverse(self, case: Case) -> None:
        """icdf(u) is the smallest x with cdf(x) >= u; checked from both sides, up to rounding of x."""
        law = self.make(case)
        u = torch.linspace(0.001, 0.999, 97, dtype=torch.float64)
        x = law.icdf(u)
        assert ((x >= 0) & (x <= 1)).all()
        slack = 1e-9
        assert (law.cdf(x + 1e-13) >= u - slack).all()
        interior = (x > 1e-6) & (x < 1)
        assert (law.cdf(x[interior] - 1e-6) < u[interior]).all()
        assert (law.cdf(torch.full_like(x, 1.0 - 1e-12))[x == 1] < u[x == 1] + slack).all()

    def test_icdf_undoes_cdf(self, case: Case) -> None:
        law = self.make(case)
        x = GRID[1:]
        if not self.has_interior:
            assert set(law.icdf(law.cdf(x)).tolist()) <= {0.0, 1.0}
            return
        u = law.cdf(x)
        # Where the cdf is within 1e-5 of 0 or 1, or nearly flat, its rounding moves x.
        kept = (u > 1e-5) & (u < 1 - 1e-5) & (law.log_prob(x) > -8.0)
        assert kept.any()
        close(law.icdf(u)[kept], x[kept].numpy(), 1e-9)

    # ---- moments and summaries ---------------------------------------------------------------------

    @pytest.mark.parametrize("summary", ["mean", "mean_given_active", "variance", "entropy"])
    def test_moment_is_the_references(self, case: Case, summary: str) -> None:
        found = getattr(self.make(case), summary)
        actual: Tensor = found() if callable(found) else found
        close(actual, getattr(self.reference(**case), summary)())

    def test_median_halves_the_mass(self, case: Case) -> None:
        law, reference = self.make(case), self.reference(**case)
        median = law.median
        if median == 0:
            assert reference.zero >= 0.5
        elif median == 1:
            assert reference.one >= 0.5
        else:
            close(torch.as_tensor(reference.cdf(median.numpy())), 0.5, 1e-9)

    def test_activity(self, case: Case) -> None:
        """The logit is exact: 40 digits in the reference, and 1e-14 of its size is asked of the law."""
        law = self.make(case)
        with mpmath.workdps(40):
            active = self.exact_active(**case)
            logit = mpmath.log(active) - mpmath.log(1 - active)
        close(law.activity_logits, float(logit), 1e-14)
        close(law.prob_active, float(active), 1e-14)
        close(law.activity_entropy(), stats.bernoulli(float(active)).entropy(), 1e-12)

    def test_saturation(self, case: Case) -> None:
        close(self.make(case).prob_one, self.reference(**case).one, 1e-14)

    def test_batch_is_elementwise(self) -> None:
        names = self.law.parameter_names
        same = [
            case
            for case in self.cases
            if all(case.get(k) == self.cases[0].get(k) for k in case if k not in names)
        ]
        rest = {k: v for k, v in same[0].items() if k not in names}
        batch = self.build(
            **{k: torch.tensor([[c[k]] for c in same], dtype=torch.float64) for k in names}, **rest
        )
        assert batch.batch_shape == (len(same), 1)
        for at, case in enumerate(same):
            one = self.make(case)
            for summary in (
                lambda d: d.mean,
                lambda d: d.variance,
                lambda d: d.median,
                lambda d: d.entropy(),
            ):
                close(summary(batch)[at, 0], summary(one).item(), 1e-14)
