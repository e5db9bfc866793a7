"""Gradients of a gate law, as tests to be inherited."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.distributions import kl_divergence

from l0bayes.distributions import Gate, L0Penalty
from l0bayes.testing.gate_law_case import GRID, Case, GateLawCase

__all__ = ["GateLawGradientSuite"]


class GateLawGradientSuite(GateLawCase):
    """Tests of every gradient against central finite differences."""

    # ---- gradients ---------------------------------------------------------------------------------

    def test_log_prob_gradient(self, case: Case) -> None:
        ends = torch.tensor([0.0, 1.0] if self.has_atoms else [], dtype=torch.float64)
        at = torch.cat([GRID[1:], ends]) if self.has_interior else ends
        self.gradient_check(case, lambda law: law.log_prob(at))

    def test_log_prob_gradient_in_the_value(self, case: Case) -> None:
        law = self.make(case)
        at = GRID[2:-1].clone().requires_grad_()
        if not self.has_interior:
            assert (law.log_prob(at) == -math.inf).all()
            return
        assert gradcheck(law.log_prob, [at], eps=1e-6, atol=1e-6, rtol=1e-5)

    @pytest.mark.parametrize("summary", ["mean", "variance", "activity_logits", "prob_one"])
    def test_summary_gradient(self, case: Case, summary: str) -> None:
        self.gradient_check(case, lambda law: getattr(law, summary).nan_to_num(neginf=0.0))

    def test_entropy_gradient(self, case: Case) -> None:
        self.gradient_check(case, lambda law: law.entropy())

    def test_kl_gradient(self, case: Case) -> None:
        """In the first and, for its own family, the second argument, the temperatures included."""
        other = self.make(self.cases[0])
        gate, penalty = Gate(torch.tensor(0.2).double()), L0Penalty(torch.tensor(3.0).double())
        for function in (
            lambda law: kl_divergence(law, gate),
            lambda law: kl_divergence(law, penalty),
            lambda law: kl_divergence(law, other),
            lambda law: kl_divergence(other, law),
        ):
            self.gradient_check(case, function)

    def test_kl_gradient_in_the_prior(self, case: Case) -> None:
        law = self.make(case)
        for prior, at in ((Gate, 0.3), (L0Penalty, 2.0)):
            value = torch.tensor(at, dtype=torch.float64, requires_grad=True)
            assert gradcheck(lambda v, prior=prior: kl_divergence(law, prior(v)), [value], eps=1e-6)
