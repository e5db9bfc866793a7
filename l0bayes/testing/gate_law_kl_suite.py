"""KL divergences and draws of a gate law, as tests to be inherited."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import kl_divergence

from l0bayes.distributions import Gate, GateLaw, L0Penalty
from l0bayes.testing.gate_law_case import Case, GateLawCase, close
from l0bayes.testing.gate_law_reference import bernoulli_kl

__all__ = ["GateLawKLSuite"]


class GateLawKLSuite(GateLawCase):
    """Tests of the KLs to priors and to the own law, and of draws."""

    # ---- KL divergences ----------------------------------------------------------------------------

    @pytest.mark.parametrize("inclusion", [1e-13, 0.1, 0.5, 0.9])
    def test_kl_to_gate_is_the_activity_kl(self, case: Case, inclusion: float) -> None:
        prior = Gate(torch.tensor(inclusion, dtype=torch.float64))
        wanted = bernoulli_kl(self.reference(**case).active, inclusion)
        close(kl_divergence(self.make(case), prior), wanted)

    @pytest.mark.parametrize("inclusion", [0.03, 0.7])
    def test_kl_to_gate_is_cross_entropy_minus_entropy(self, case: Case, inclusion: float) -> None:
        r"""KL(Bern q || Bern pi) = -H(q) + q log((1 - pi) / pi) - log(1 - pi)."""
        law = self.make(case)
        q = self.reference(**case).active
        identity = (
            -law.activity_entropy() + q * math.log((1 - inclusion) / inclusion) - math.log(1 - inclusion)
        )
        close(kl_divergence(law, Gate(torch.tensor(inclusion, dtype=torch.float64))), identity.item(), 1e-12)

    @pytest.mark.parametrize("penalty", [0.0, 0.5, 30.0])
    def test_kl_to_penalty_is_the_expected_penalty(self, case: Case, penalty: float) -> None:
        law = self.make(case)
        actual = kl_divergence(law, L0Penalty(torch.tensor(penalty, dtype=torch.float64)))
        close(actual, penalty * self.reference(**case).active)

    @pytest.mark.parametrize("penalty", [0.5, 30.0])
    def test_penalty_is_the_gate_kl_plus_entropy_plus_a_constant(self, case: Case, penalty: float) -> None:
        r"""Lambda q = KL(Bern q || Bern sigmoid(-lambda)) + H(q) - log(1 + exp(-lambda))."""
        law = self.make(case)
        inclusion = torch.sigmoid(torch.tensor(-penalty, dtype=torch.float64))
        gate = kl_divergence(law, Gate(inclusion)) + law.activity_entropy() - math.log1p(math.exp(-penalty))
        actual = kl_divergence(law, L0Penalty(torch.tensor(penalty, dtype=torch.float64)))
        close(actual, gate.item(), 1e-12)

    def test_kl_to_own_family_is_the_references(self) -> None:
        for q, p in itertools.product(self.cases, self.cases):
            wanted = self.reference(**q).kl(self.reference(**p))
            actual = kl_divergence(self.make(q), self.make(p))
            close(actual, wanted)
            assert actual >= -1e-13, (q, p)

    def test_kl_to_itself_is_zero(self, case: Case) -> None:
        close(kl_divergence(self.make(case), self.make(case)), 0.0, 1e-14)

    def test_kl_broadcasts(self, case: Case) -> None:
        q, p = self.make(case, shape=(3, 1)), self.make(self.cases[0], shape=(2,))
        kl = kl_divergence(q, p)
        assert kl.shape == (3, 2)
        close(kl, np.full((3, 2), kl_divergence(self.make(case), self.make(self.cases[0])).item()), 1e-14)

    # ---- draws ---------------------------------------------------------------------------------------

    def test_draws_fit_the_law(self, case: Case) -> None:
        """Binomial tests of the two ends and a Kolmogorov-Smirnov test of what lies between.

        Each of the three has level 1e-4, so that with another seed a correct law would fail a case
        with probability 3e-4.
        """
        torch.manual_seed(20_240)
        draws = self.make(case).sample((20_000,)).numpy()
        reference = self.reference(**case)
        low, high = (
            (float(p) for p in reference.cdf(np.array([self.edge, 1.0 - self.edge])))
            if self.edge
            else (
                reference.zero,
                1.0 - reference.one,
            )
        )
        at_low, at_high = draws <= self.edge, draws >= 1.0 - self.edge
        assert stats.binomtest(int(at_low.sum()), draws.size, low).pvalue > 1e-4
        assert stats.binomtest(int(at_high.sum()), draws.size, 1.0 - high).pvalue > 1e-4
        inside = draws[~at_low & ~at_high]
        if not self.has_interior:
            assert inside.size == 0
        elif inside.size:
            assert stats.kstest(inside, lambda x: (reference.cdf(x) - low) / (high - low)).pvalue > 1e-4

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_draws_keep_shape_and_dtype(self, case: Case, dtype: torch.dtype) -> None:
        law = self.make(case, dtype, (3, 1))
        for draw in [law.sample, *([law.rsample] if law.has_rsample else [])]:
            assert draw().shape == (3, 1)
            assert draw((5, 2)).shape == (5, 2, 3, 1)
            assert draw().dtype == dtype
        assert not law.sample().requires_grad

    def test_draws_repeat_with_the_seed(self, case: Case) -> None:
        law = self.make(case, shape=(50,))
        torch.manual_seed(3)
        first = law.sample()
        torch.manual_seed(3)
        assert torch.equal(law.sample(), first)

    def test_rsample_has_the_pathwise_gradient(self, case: Case) -> None:
        def draw(law: GateLaw) -> Tensor:
            torch.manual_seed(11)  # the same noise at every evaluation
            return law.expand((40,)).rsample()

        if not self.law.has_rsample:
            with pytest.raises(NotImplementedError, match="reparam"):
                self.make(case).rsample()
            return
        self.gradient_check(case, draw)
