r"""Options and diagnostics of the engine "svi"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from l0bayes import validate
from l0bayes.gate_families import DEFAULT_GATE_LAW
from l0bayes.selection.kernels.gaussian_expansion import expand_at_mean
from l0bayes.selection.kernels.mean_field import Factors
from l0bayes.selection.kernels.rao_blackwell import rao_blackwell
from l0bayes.selection.kernels.relaxations import selection_gate_laws
from l0bayes.selection.kernels.variational_verdict import judge_variational
from l0bayes.selection.problem.selection_posterior import Diagnostics, Evidence, SelectionPosterior
from l0bayes.selection.problem.verdict import Trust

__all__ = ["SVIDiagnostics", "SVIOptions"]

_NO_CONDITIONALS = (
    "At the mean that was found the likelihood has no finite curvature, so that there are no exact "
    "conditionals to compare with."
)


@dataclass(frozen=True)
class SVIOptions:
    """Gate law, length and width of the optimisation.

    Args:
        gate_law: Law of the gates, one of :data:`~l0bayes.gate_families.GATE_FAMILIES` that gives each gate
            a probability of its own. ``"bernoulli"`` relaxes nothing.
        restarts: Number of runs, optimised in one batch; the first starts dense, the others from random
            subsets of the gates.
        steps: Steps of Adam.
        particles: Draws a step, of every run.
        lr: Learning rate of slabs, in units in which the response has the size of one.
        gate_lr: Learning rate of gates, in logits, and of scales and noise, in logarithms.
        temperature: Temperature of the gates at the start and at the end, between which it falls
            geometrically.
        num_draws: Size of the sample of models.

    Raises:
        ValueError: If the gate law is unknown, or has no probability of its own for each gate, or a number is
            out of range.
    """

    gate_law: str = DEFAULT_GATE_LAW
    restarts: int = 16
    steps: int = 600
    particles: int = 2
    lr: float = 0.02
    gate_lr: float = 0.1
    temperature: tuple[float, float] = (2.0 / 3.0, 0.1)
    num_draws: int = 4000

    def __post_init__(self) -> None:
        validate.one_of(selection_gate_laws(), gate_law=self.gate_law)
        validate.at_least(
            1,
            restarts=self.restarts,
            steps=self.steps,
            particles=self.particles,
            num_draws=self.num_draws,
        )
        validate.positive(lr=self.lr, gate_lr=self.gate_lr)
        if not (len(self.temperature) == 2 and min(self.temperature) > 0):
            raise ValueError(f"temperature must be two positive numbers, got {self.temperature!r}")


@dataclass(frozen=True, kw_only=True)
class SVIDiagnostics(Diagnostics):
    r"""Results of the runs, and how their mixture compares with the posterior.

    Attributes:
        gate_law: Law of the gates.
        elbo: Lower bound on the log evidence, in nats: the best run's.
        elbo_error: Its Monte Carlo standard error, 0 where it is exact.
        restart_elbo: Bound of every run, shape ``(R,)``.
        restart_pip: Inclusion probabilities of every run, shape ``(R, G)``.
        mode: For every run the index of the best run of its mode, shape ``(R,)``.
        mode_weights: Weights of the modes in the mixture, shape ``(K,)``.
        mode_factors: Posteriors of the modes.
        k_hat: Pareto's k of the mixture (:func:`~l0bayes.selection.kernels.mixture.mixture_of_modes`).
        effective_share: Share of its draws that is effective.
        disagreement: Largest difference of an inclusion probability between modes of some weight.
    """

    method: ClassVar[str] = "a variational fit of gates that are independent of one another"
    remedy: ClassVar[str | None] = "fit again with engine='auto' (l0bayes select: --engine auto)"
    independent_gates: ClassVar[bool] = True

    gate_law: str
    elbo: float
    elbo_error: float
    restart_elbo: Tensor
    restart_pip: Tensor
    mode: Tensor
    mode_weights: Tensor
    mode_factors: Factors
    k_hat: float
    effective_share: float
    disagreement: float

    @property
    def modes(self) -> int:
        """Number of modes."""
        return len(self.mode_weights)

    @property
    def evidence(self) -> Evidence:
        return "none"

    def verdict(self, posterior: SelectionPosterior, *, seed: int = 0) -> Trust:
        try:
            near = expand_at_mean(posterior.problem, posterior.mean)
        except (ValueError, RuntimeError):  # not finite, or singular: no mean of such responses
            return self._judge(None, doubts=(_NO_CONDITIONALS,))
        gaps = (rao_blackwell(near, posterior.pip, seed=seed) - posterior.pip).abs()
        return self._judge(float(gaps.max()), worst=int(gaps.argmax()))

    def _judge(
        self, residual: float | None, *, worst: int | None = None, doubts: tuple[str, ...] = ()
    ) -> Trust:
        return judge_variational(
            residual,
            k_hat=self.k_hat,
            effective_share=self.effective_share,
            disagreement=self.disagreement,
            worst=worst,
            doubts=doubts,
        )
