r"""How good the gradient for the gates is: every relaxation and estimator against the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from l0bayes import validate
from l0bayes.gradients.candidates import Candidate, all_candidates, draws_of
from l0bayes.gradients.estimates import GateEstimate, Reference, draw_moments, judge
from l0bayes.gradients.exact_gradient import exact_gradient
from l0bayes.gradients.gate_problem import GateProblem
from l0bayes.gradients.gradient_draws import BinaryDraws
from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.objectives.gate_gradients import DisARM
from l0bayes.infer.randomness import private_randomness

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GradientReport", "gradient_report"]

_COLUMNS = (
    "bias",
    "bias_low",
    "bias_high",
    "cosine",
    "draw_cosine",
    "snr",
    "variance",
    "relative_variance",
    "evaluations",
    "cost_variance",
)


@dataclass(frozen=True, repr=False, eq=False)
class GradientReport:
    """The result of :func:`gradient_report`; printed, it is a table.

    Attributes:
        reference: The gradient that candidates are measured by, shape (G,), float64.
        reference_error: Its standard error for every gate; zeros if it is exact.
        kl_gradient: The part of the reference that is exact for every candidate, minus the gradient of the
            KLs; candidates differ only in the rest, the gradient of the likelihood.
        exact: Whether it is exact, by enumeration; if not, it is the mean of many unbiased draws.
        gates: ``site[index]`` of every gate.
        estimates: Candidate to its :class:`~l0bayes.gradients.GateEstimate`.
        num_draws: Draws a candidate.
        reference_draws: Draws of the reference; 0 if it is exact.
    """

    reference: Tensor
    reference_error: Tensor
    kl_gradient: Tensor
    exact: bool
    gates: tuple[str, ...]
    estimates: Mapping[str, GateEstimate] = field(default_factory=dict)
    num_draws: int = 0
    reference_draws: int = 0

    @property
    def table(self) -> pd.DataFrame:
        r"""One row a candidate.

        ========================  ==========================================================================
        column                    meaning, with g the reference and s one draw
        ========================  ==========================================================================
        ``bias``                  :math:`\lVert E s - g \rVert / \lVert g \rVert`, sampling noise taken out
        ``bias_low, bias_high``   its 95 % interval; from 0 where no bias is seen
        ``cosine``                of the mean draw with g
        ``draw_cosine``           of one draw with g, on average
        ``snr``                   :math:`\lVert E s \rVert / \sqrt{\operatorname{tr}\operatorname{Cov}(s)}`
        ``variance``              :math:`\operatorname{tr}\operatorname{Cov}(s)`
        ``relative_variance``     the same over :math:`\lVert g \rVert^2`
        ``evaluations``           of the model, for one draw
        ``cost_variance``         relative variance times evaluations: the variance at equal cost
        ========================  ==========================================================================
        """
        import pandas as pd

        rows = {
            name: {column: getattr(estimate, column) for column in _COLUMNS}
            for name, estimate in self.estimates.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(_COLUMNS)).rename_axis("candidate")

    def mean(self, candidate: str) -> Tensor:
        """Mean gradient of a candidate for every gate, shape (G,).

        Args:
            candidate: Its name in the table.
        """
        return self._estimate(candidate).mean

    def standard_error(self, candidate: str) -> Tensor:
        """Standard error of :meth:`mean`.

        Args:
            candidate: Its name in the table.
        """
        return self._estimate(candidate).standard_error

    def intervals(self, candidate: str, level: float = 0.95, *, simultaneous: bool = False) -> Tensor:
        """Confidence intervals of :meth:`mean`, shape (G, 2), by the central limit theorem.

        Args:
            candidate: Its name in the table.
            level: Probability of covering, in (0, 1).
            simultaneous: Whether ``level`` is for all gates at once (Bonferroni).

        Raises:
            ValueError: If there is no such candidate, or ``level`` is outside (0, 1).
        """
        validate.inside("(0, 1)", level=level)
        return self._estimate(candidate).intervals(level, len(self.gates) if simultaneous else 1)

    def _estimate(self, candidate: str) -> GateEstimate:
        validate.one_of(self.estimates, candidate=candidate)
        return self.estimates[candidate]

    def __str__(self) -> str:
        norm, noise = float(self.reference.norm()), float(self.reference_error.norm())
        likelihood = float((self.reference - self.kl_gradient).norm())
        how = (
            "exact, by enumeration"
            if self.exact
            else f"the mean of {self.reference_draws} DisARM draws, standard error {noise:.2g}"
        )
        gates = f"{len(self.gates)} gate" + "s" * (len(self.gates) != 1)
        shown = self.table.drop(columns=["variance"])
        table = shown.to_string(float_format=lambda value: f"{value:.3g}", index_names=False)
        return (
            f"Gradient in the activity logits of {gates}, {self.num_draws} draws a candidate\n"
            f"reference: {how}; norm {norm:.3g}, likelihood's part {likelihood:.3g}\n{table}"
        )

    __repr__ = __str__


def gradient_report(
    model: Any,
    guide: Any,
    data: Any = (),
    *,
    candidates: Sequence[str | Candidate] | None = None,
    num_draws: int = 1000,
    max_enumerated: int = 14,
    reference_draws: int = 20_000,
    chunk_size: int = 256,
    seed: int = 0,
) -> GradientReport:
    r"""Compare the gradient for the gates of each relaxation and estimator with the true one.

    The report is about gates alone. At the guide's activity logits :math:`\ell`, with slabs and all other
    latents :math:`\theta` held at the guide's medians, the objective with binary gates is

    .. math::
        F(\ell) = E_{z \sim \mathrm{Bern}(\sigma(\ell))}[\log p(D \mid z, \theta)] - K(\ell)

    with K all KLs of the ELBO in which gates appear: that of the gates to the model's own prior, and that of
    the slabs, which counts while a gate is open. The truth is :math:`g = \nabla F`. Up to
    ``max_enumerated`` gates it is exact, from all :math:`2^G` configurations
    (:func:`~l0bayes.gradients.enumerated_gradient`). Beyond, it is the mean of ``reference_draws`` draws of
    DisARM, which is unbiased; the noise of this mean is subtracted from every bias, and widens the intervals.

    A candidate is an estimate of g. The gradient of K is exact, and the same for all candidates:

    * **A relaxed law** is set to the same :math:`\ell` by its first parameter, with the others where a fresh
      guide starts, and gives the pathwise gradient of
      :math:`E[\log p(D \mid z(u), \theta)]`, converted to the coordinate :math:`\ell`
      (:class:`~l0bayes.gradients.PathwiseDraws`).
      It is the gradient of another function than F; the difference is its bias.
    * **An estimator on binary gates**: DisARM and RLOO, which are unbiased, and straight-through.
    * **The guide's own law**, by the name ``"guide"``, has the guide's own parameters.

    The Gaussian intervals need more draws for gates that are nearly decided, whose binary draws rarely
    differ.

    Args:
        model: A Pyro model.
        guide: A guide of :mod:`l0bayes.guides` for it, trained or not. It is not changed.
        data: The model's arguments: a tuple, or a tensor.
        candidates: Names of gate laws or :class:`~l0bayes.gradients.Candidate`; by
            default the guide's own, all laws at their defaults, and all estimators.
        num_draws: Draws a candidate, at least 2.
        max_enumerated: Enumerate up to so many gates.
        reference_draws: Draws of the reference where there are more gates, at least 2.
        chunk_size: Draws or configurations evaluated at a time, to bound memory.
        seed: Seed of the draws; the global generators are left as they were.

    Returns:
        The report. All is in the guide's precision, and summed in float64.

    Raises:
        TypeError: If the guide is no gate guide, or a candidate is neither a name nor a :class:`Candidate`.
        ValueError: If the guide has no gates, gates stand in a subsampled plate, a gate law is
            unknown or named twice, there are too few draws, or a number is outside its range.

    Example::

        report = l0bayes.gradient_report(model, guide, (x, y))
        print(report)
        l0bayes.plots.plot_gradients(report)
    """
    if GuideAbilities(guide).harden is None:
        raise TypeError(f"guide must have harden(), as the gate guides do; got {type(guide).__name__}")
    validate.at_least(2, num_draws=num_draws, reference_draws=reference_draws)
    validate.at_least(1, chunk_size=chunk_size)
    validate.at_least(0, max_enumerated=max_enumerated)
    tested = _by_label(candidates)
    problem = GateProblem.of(model, guide, data if isinstance(data, tuple) else (data,))
    draws = {name: draws_of(candidate, problem, guide) for name, candidate in tested.items()}
    exact = problem.num_gates <= max_enumerated
    if exact:
        reference = Reference(exact_gradient(problem, chunk_size))
    else:
        with private_randomness(seed):
            moments = draw_moments(BinaryDraws(problem, DisARM()), reference_draws, chunk_size)
        reference = Reference(moments.mean, moments)
    estimates = {}
    for name, one in draws.items():
        # The same noise for every candidate, whatever others there are, and different from the reference's.
        with private_randomness(seed + 1):
            moments = draw_moments(one, num_draws, chunk_size, reference.gradient)
        estimates[name] = judge(moments, reference, one.evaluations)
    return GradientReport(
        reference=reference.gradient,
        reference_error=reference.standard_error,
        kl_gradient=-problem.kl_gradient.double(),
        exact=exact,
        gates=problem.labels,
        estimates=estimates,
        num_draws=num_draws,
        reference_draws=0 if exact else reference_draws,
    )


def _by_label(candidates: Sequence[str | Candidate] | None) -> dict[str, Candidate]:
    if candidates is None:
        candidates = all_candidates()
    if isinstance(candidates, str | Candidate):
        candidates = [candidates]
    found: dict[str, Candidate] = {}
    for one in candidates:
        if not isinstance(one, str | Candidate):
            raise TypeError(f"candidates must hold names of gate laws or Candidate, got {type(one).__name__}")
        candidate = Candidate(one) if isinstance(one, str) else one
        if candidate.name in found:
            raise ValueError(f"candidates must have different labels; got {candidate.name!r} twice")
        found[candidate.name] = candidate
    if not found:
        raise ValueError("candidates must name at least one, got none")
    return found
