"""One battery for every gate law.

A law inherits :class:`GateLawConformance`, says how it is built and what it is compared with, and gets
all tests below. Unless a test says otherwise it runs in float64 and the reference is quadrature of the
law's formulas in ``references.py``; both are good to a few ulp of the largest term, so the tolerance is
``1e-11`` relative to it.
"""

from __future__ import annotations

import copy
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import mpmath
import numpy as np
import pyro.distributions as dist
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import kl_divergence

from l0bayes.distributions import Gate, GateLaw, L0Penalty
from tests.distributions.references import Reference, bernoulli_kl

Case = dict[str, Any]

TOLERANCE = 1e-11
FLOAT32 = 3e-6  # about 25 ulp of float32: what a few dozen additions may lose
GRID = torch.tensor([1e-9, 1e-3, 0.1, 0.25, 0.5, 0.6, 0.9, 0.999], dtype=torch.float64)

DEVICES = ["meta", "cuda"] if torch.cuda.is_available() else ["meta"]

PROPERTY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    # The battery's methods are inherited, so every law runs them from a class of its own.
    suppress_health_check=[HealthCheck.differing_executors],
)


def close(actual: Tensor, wanted: float | np.ndarray, tolerance: float = TOLERANCE) -> None:
    wanted = torch.as_tensor(wanted, dtype=torch.float64)
    torch.testing.assert_close(actual.double(), wanted, rtol=tolerance, atol=tolerance)


class GateLawConformance(ABC):
    """What every gate law owes the library.

    A subclass sets ``law``, ``cases`` (keyword arguments, floats for tensors), ``extreme_cases`` (gates
    that are all but decided) and ``parameters`` (a search strategy for each argument), and
    defines ``reference`` and ``exact_active``.
    """

    law: ClassVar[type[GateLaw]]
    cases: ClassVar[list[Case]]
    extreme_cases: ClassVar[list[Case]]
    parameters: ClassVar[dict[str, SearchStrategy[float]]]
    # A draw at or below this counts as 0 and one at or above 1 minus this as 1. A law without atoms
    # needs room, since rounding puts some of its draws on the ends.
    edge: ClassVar[float] = 0.0
    # Whether log_prob at 0 and 1 is a probability.
    has_atoms: ClassVar[bool] = True
    has_interior: ClassVar[bool] = True

    @abstractmethod
    def reference(self, **case: Any) -> Reference:
        """The same law, independently."""

    @abstractmethod
    def exact_active(self, **case: Any) -> mpmath.mpf:
        """P(z > activity_threshold) to the working precision of mpmath."""

    def make(self, case: Case, dtype: torch.dtype = torch.float64, shape: tuple[int, ...] = ()) -> GateLaw:
        tensors = {k: torch.full(shape, case[k], dtype=dtype) for k in self.law.parameter_names}
        return self.law(**{**case, **tensors})

    def gradient_check(self, case: Case, function: Callable[[GateLaw], Tensor]) -> None:
        """Gradients in every tensor argument against central finite differences.

        Step 1e-6: the differences are good to about 1e-9, the tolerance leaves room for curvature.
        """
        names = self.law.parameter_names
        settings_ = {k: v for k, v in case.items() if k not in names}
        values = [torch.tensor(case[k], dtype=torch.float64, requires_grad=True) for k in names]

        def at(*tensors: Tensor) -> Tensor:
            return function(self.law(**dict(zip(names, tensors, strict=True)), **settings_))

        assert gradcheck(at, values, eps=1e-6, atol=2e-7, rtol=1e-5)

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
        actual = getattr(self.make(case), summary)
        close(actual() if callable(actual) else actual, getattr(self.reference(**case), summary)())

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
        batch = self.law(
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
        r"""lambda q = KL(Bern q || Bern sigmoid(-lambda)) + H(q) - log(1 + exp(-lambda))."""
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

    # ---- gates that are all but decided ------------------------------------------------------------

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_decided_gates_are_finite(self, extreme: Case, dtype: torch.dtype) -> None:
        names = self.law.parameter_names
        tensors = {k: torch.full((20,), extreme[k], dtype=dtype, requires_grad=True) for k in names}
        law = self.law(**{**extreme, **tensors})
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
            torch.testing.assert_close(
                actual.double(), wanted, rtol=FLOAT32, atol=FLOAT32, msg=lambda m, n=name: f"{n}: {m}"
            )

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
        """``meta`` knows where a tensor lives without computing it, and refuses to mix devices."""
        names = self.law.parameter_names
        tensors = {k: torch.full((2,), case[k], device=device) for k in names}
        law = self.law(**{**case, **tensors}, validate_args=False)
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
        law = self.law(**{**self.cases[0], name: torch.tensor(math.nan)}, validate_args=False)
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
