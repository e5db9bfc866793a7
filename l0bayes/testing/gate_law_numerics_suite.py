"""Gates that are all but decided, and single precision, as tests to be inherited."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from l0bayes.distributions import Gate, GateLaw, L0Penalty
from l0bayes.testing.gate_law_case import FLOAT32, Case, GateLawCase, close

__all__ = ["GateLawNumericsSuite"]


class GateLawNumericsSuite(GateLawCase):
    """Tests of gates whose probabilities would round to 0 or 1, and of single precision."""

    # ---- gates that are all but decided ------------------------------------------------------------

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_decided_gates_are_finite(self, extreme: Case, dtype: torch.dtype) -> None:
        names = self.law.parameter_names
        tensors = {k: torch.full((20,), extreme[k], dtype=dtype, requires_grad=True) for k in names}
        law = self.build(**{**extreme, **tensors})
        torch.manual_seed(0)
        draws = law.rsample() if law.has_rsample else law.sample()
        other = self.make(self.cases[0], dtype)
        opposite = self.make({**extreme, names[0]: -extreme[names[0]]}, dtype)
        values = {
            "draws": draws,
            "log_prob": law.log_prob(draws.detach()),
            "log_prob at 0": law.log_prob(torch.zeros(20, dtype=dtype)),
            "log_prob at 1": law.log_prob(torch.ones(20, dtype=dtype)),
            "cdf": law.cdf(torch.linspace(0, 1, 20, dtype=dtype)),
            "mean": law.mean,
            "mean_given_active": law.mean_given_active,
            "variance": law.variance,
            "median": law.median,
            "entropy": law.entropy(),
            "activity_entropy": law.activity_entropy(),
            "activity_logits": law.activity_logits,
            "kl to gate": kl_divergence(law, Gate(torch.tensor(1e-13, dtype=dtype))),
            "kl to penalty": kl_divergence(law, L0Penalty(torch.tensor(30.0, dtype=dtype))),
            "kl to another": kl_divergence(law, other),
            "kl to the opposite": kl_divergence(law, opposite),
            "kl from another": kl_divergence(other, law),
        }
        for name, value in values.items():
            assert torch.isfinite(value).all(), name
            assert value.dtype == dtype, name
            if value.requires_grad:
                found = torch.autograd.grad(
                    value.sum(), list(tensors.values()), retain_graph=True, allow_unused=True
                )
                assert all(torch.isfinite(g).all() for g in found if g is not None), name
        assert ((draws >= 0) & (draws <= 1)).all()
        assert ((law.mean >= 0) & (law.mean <= 1)).all()
        assert (law.variance >= 0).all()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_activity_of_decided_gates_is_exact(self, extreme: Case, dtype: torch.dtype) -> None:
        """Not the logit of a rounded or clamped probability, which would stop at 16 or 37."""
        law = self.make(extreme, dtype)
        with mpmath.workdps(60):
            active = self.exact_active(**extreme)
            logit = mpmath.log(active) - mpmath.log(1 - active)
        assert abs(float(logit)) > 40
        close(law.activity_logits, float(logit), 4 * torch.finfo(dtype).eps)
        close(law.prob_active.log(), float(mpmath.log(active)), 4 * torch.finfo(dtype).eps)

    def test_activity_kl_of_decided_gates_is_exact(self, extreme: Case) -> None:
        """Against 60 digits, to 1e-13 of its size even where the size is 1e-20."""
        law = self.make(extreme)
        for inclusion in (1e-13, 0.3):
            with mpmath.workdps(60):
                q, p = self.exact_active(**extreme), mpmath.mpf(inclusion)
                wanted = q * mpmath.log(q / p) + (1 - q) * mpmath.log((1 - q) / (1 - p))
                entropy = -q * mpmath.log(q) - (1 - q) * mpmath.log(1 - q)
            actual = kl_divergence(law, Gate(torch.tensor(inclusion, dtype=torch.float64)))
            close(actual / float(wanted), 1.0, 1e-12)
            close(law.activity_entropy() / float(entropy), 1.0, 1e-12)

    def test_float32_agrees_with_float64(self, case: Case) -> None:
        """On parameters that float32 holds exactly, to float32 rounding."""
        names = self.law.parameter_names
        case = {k: float(np.float32(v)) if k in names else v for k, v in case.items()}
        single, double = self.make(case, torch.float32), self.make(case)
        gate = Gate(torch.tensor(0.125))
        values = torch.tensor([0.0, 0.25, 0.5, 0.875, 1.0])
        first, last = (0, 5) if self.has_atoms else (1, 4)
        other = {k: float(np.float32(v)) if k in names else v for k, v in self.cases[0].items()}
        functions: dict[str, Callable[[GateLaw], Tensor]] = {
            "mean": lambda law: law.mean,
            "variance": lambda law: law.variance,
            "entropy": lambda law: law.entropy(),
            "median": lambda law: law.median,
            "mean_given_active": lambda law: law.mean_given_active,
            "activity_logits": lambda law: law.activity_logits,
            "log_prob": lambda law: law.log_prob(values[first:last].to(law.mean.dtype)),
            "cdf": lambda law: law.cdf(values.to(law.mean.dtype)),
            "kl to gate": lambda law: kl_divergence(law, gate),
            "kl to another": lambda law: kl_divergence(law, self.make(other, law.mean.dtype)),
        }
        for name, function in functions.items():
            actual, wanted = function(single), function(double)
            assert actual.dtype == torch.float32, name

            def described(message: str, name: str = name) -> str:
                return f"{name}: {message}"

            torch.testing.assert_close(actual.double(), wanted, rtol=FLOAT32, atol=FLOAT32, msg=described)
