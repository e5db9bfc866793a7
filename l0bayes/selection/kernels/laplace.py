r"""Laplace's approximation of many models' evidences at once, with its second-order term."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l0bayes.selection.kernels.design import Design, Gathered, Shared, slots
from l0bayes.selection.kernels.response_terms import terms_of
from l0bayes.selection.problem.gaussian_problem import GaussianProblem
from l0bayes.selection.problem.generalised_problem import GeneralisedProblem

__all__ = ["Modes", "Refined", "find_modes", "quadratic_modes", "refine_modes"]

# A mode counts as found if Newton's decrement, twice the gain in log density that is left, is below this.
_DECREMENT = 1e-10
_MOST_STEPS = 100
# Entries of the largest tensors of a batch, so that they fit into the processor's caches.
_BATCH = 2**19


@dataclass(frozen=True)
class Modes:
    r"""Modes of models, their columns in slots.

    Attributes:
        place: Column of every slot, those without a gate first, shape ``(M, s)``.
        held: Which slots are in use, shape ``(M, s)``.
        coefficients: Mode, 0 in slots that are not in use, shape ``(M, s)``.
        log_evidence: Log evidence by Laplace's approximation, shape ``(M,)``.
        converged: Whether Newton's method converged, shape ``(M,)``.
    """

    place: Tensor
    held: Tensor
    coefficients: Tensor
    log_evidence: Tensor
    converged: Tensor

    def __getitem__(self, index: Tensor) -> Modes:
        held = self.held[index]
        used = int(held.any(0).nonzero().max()) + 1 if held.any() else 1
        return Modes(
            self.place[index, :used],
            held[:, :used],
            self.coefficients[index, :used],
            self.log_evidence[index],
            self.converged[index],
        )

    def some(self, index: Tensor) -> Modes:
        """Some of the models, with the slots that all have.

        Args:
            index: Which.
        """
        parts = (self.place, self.held, self.coefficients, self.log_evidence, self.converged)
        return Modes(*(part[index] for part in parts))

    def packed(self) -> Modes:
        """The same modes with the slots in use first."""
        order = torch.argsort((~self.held).to(torch.int8), dim=1, stable=True)
        order = order[:, : max(1, int(self.held.sum(1).max()))]
        place, held, coefficients = (
            value.gather(1, order) for value in (self.place, self.held, self.coefficients)
        )
        return Modes(place, held, coefficients, self.log_evidence, self.converged)


@dataclass(frozen=True)
class Refined:
    r"""Second-order terms of Laplace's method at :class:`Modes`.

    Attributes:
        correction: Term to add to the log evidence, shape ``(M,)``.
        mean: Posterior mean, by the first-order shift from the mode, shape ``(M, s)``.
        variance: Variance of every coefficient by the curvature at the mode, shape ``(M, s)``.
    """

    correction: Tensor
    mean: Tensor
    variance: Tensor


def quadratic_modes(problem: GaussianProblem, gates: Tensor) -> tuple[Modes, Tensor]:
    r"""Modes and log evidences under a Gaussian problem, exact up to a constant that all models share.

    Args:
        problem: The problem; its noise is known to be 1.
        gates: Models, zeros and ones, shape ``(M, G)``.

    Returns:
        The modes, and the variance of every coefficient, shape ``(M, s)``.
    """
    place, held = slots(problem, gates)
    size = max(1, _BATCH // place.shape[1] ** 2)
    parts = []
    for some, used in zip(place.split(size), held.split(size), strict=True):
        mean, evidence, factor = _solve_quadratic(problem, some, used)
        variance = torch.cholesky_inverse(factor).diagonal(dim1=1, dim2=2)
        parts.append((mean, evidence, torch.where(used, variance, 0.0)))
    means, evidences, variances = (torch.cat(values) for values in zip(*parts, strict=True))
    return Modes(place, held, means, evidences, torch.ones(len(gates), dtype=torch.bool)), variances


def find_modes(
    problem: GeneralisedProblem, gates: Tensor, start: Modes | GaussianProblem, *, shared: bool = False
) -> Modes:
    r"""Modes of the coefficients and Laplace's approximation of the evidence, model by model.

    .. math:: \log Z_\gamma \approx \ell(\hat\beta) - \tfrac12 \hat\beta'\operatorname{diag}(\tau)\hat\beta
        + \tfrac12\sum_j \log\tau_j - \tfrac12\log|X'WX + \operatorname{diag}\tau|

    Newton's method, with steps halved until they gain; models that have converged leave the batch.

    Args:
        problem: The problem.
        gates: Models, zeros and ones, shape ``(M, G)``.
        start: Modes to start from, or a Gaussian problem to start from the modes of.
        shared: Whether every model is given slots for all columns, so that products of columns are
            formed once; right for few columns and many models.
    """
    shared = shared and terms_of(problem).shares_columns
    place, held = slots(problem, gates, everything=shared)
    design_of = Shared.over(problem) if shared else Gathered.over(problem)
    rows = max(problem.num_rows * (1 if shared else place.shape[1]), place.shape[1] ** 2)
    size = max(1, _BATCH // rows)
    found = []
    for index in torch.arange(len(gates)).split(size):
        if isinstance(start, Modes):
            begin = start.coefficients[index]
        else:
            begin = _solve_quadratic(start, place[index], held[index])[0]
        found.append(_newton(problem, design_of(place[index], held[index]), begin))
    coefficients, evidence, decrement = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Modes(place, held, coefficients, evidence, decrement <= _DECREMENT)


def refine_modes(problem: GeneralisedProblem, modes: Modes) -> Refined:
    r"""The O(1/n) term of Laplace's approximation, and the shift of the mean from the mode.

    With :math:`q = X V X'`, V the inverse curvature, and :math:`\ell''', \ell''''` the derivatives of the
    log likelihood of each row at the mode,

    .. math::
        \log Z \approx \text{Laplace} + \tfrac18\sum_i \ell''''_i q_{ii}^2
        + \tfrac18\sum_{ij} \ell'''_i \ell'''_j q_{ii} q_{jj} q_{ij}
        + \tfrac1{12}\sum_{ij} \ell'''_i \ell'''_j q_{ij}^3, \qquad
        E[\beta] \approx \hat\beta + \tfrac12 V X'(\ell''' \circ \operatorname{diag} q).

    With :math:`V = (LL')^{-1}` and :math:`u_i = L^{-1}x_i` the last sum is the squared length of the tensor
    :math:`\sum_i \ell'''_i\,u_i \otimes u_i \otimes u_i`, so that nothing of size n × n is formed.

    Sources: Tierney and Kadane 1986; Shun and McCullagh 1995, equation 5.

    Args:
        problem: The problem.
        modes: Modes of the models.
    """
    width = modes.place.shape[1]
    if not len(modes.place):
        empty = modes.coefficients
        return Refined(modes.log_evidence, empty, empty)
    design_of = Gathered.over(problem)
    parts = []
    # Sorted by size, so that small models are not padded to the largest.
    used = modes.held.sum(1)
    order = torch.argsort(used)
    pairs = (width * (width + 1)) // 2
    for index in order.split(max(1, 2 * _BATCH // (problem.num_rows * pairs))):
        some = modes[index]
        parts.append(_second_order(problem, design_of(some.place, some.held), some, width))
    back = torch.argsort(order)
    correction, mean, variance = (torch.cat(values)[back] for values in zip(*parts, strict=True))
    return Refined(correction, mean, variance)


def _solve_quadratic(problem: GaussianProblem, place: Tensor, held: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mode, log evidence, and Cholesky factor of the precision."""
    gram, precision = problem.gram, problem.precision(torch.ones((), dtype=torch.float64))
    both = held[:, :, None] & held[:, None, :]
    matrix = torch.where(both, gram.matrix[place[:, :, None], place[:, None, :]], 0.0)
    tau = torch.where(held, precision[place], 1.0)
    factor = torch.linalg.cholesky(matrix + torch.diag_embed(tau))
    vector = torch.where(held, gram.vector[place], 0.0)
    mean = torch.cholesky_solve(vector[..., None], factor)[..., 0]
    evidence = 0.5 * (mean * vector).sum(1) + 0.5 * _log_or_zero(tau).sum(1)
    return mean, evidence - factor.diagonal(dim1=1, dim2=2).log().sum(1), factor


def _newton(problem: GeneralisedProblem, design: Design, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mode, log evidence, and Newton's decrement."""
    tau, terms = design.precision, terms_of(problem)

    def evaluate(beta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        value, slope, factor = terms.expand(design, beta)
        return value - 0.5 * (tau * beta.square()).sum(1), slope - tau * beta, factor, beta

    # Where the start is worse than all coefficients at zero, start from zero.
    at_zero = terms.value(problem.offset[None])
    objective, gradient, factor, beta = evaluate(start)
    poor = ~(objective >= at_zero)
    if poor.any():
        objective, gradient, factor, beta = evaluate(torch.where(poor[:, None], 0.0, start))
    length = torch.ones_like(objective)
    for _ in range(_MOST_STEPS):
        step = torch.cholesky_solve(gradient[..., None], factor)[..., 0]
        decrement = (gradient * step).sum(1)
        away = decrement > _DECREMENT
        if not away.any():
            break
        if 2 * int(away.sum()) <= len(away):
            rest = away.nonzero()[:, 0]
            evidence = _log_evidence(objective, decrement, tau, factor)
            beta_rest, evidence_rest, decrement_rest = _newton(problem, design.subset(rest), beta[rest])
            return (
                beta.index_copy(0, rest, beta_rest),
                evidence.index_copy(0, rest, evidence_rest),
                decrement.index_copy(0, rest, decrement_rest),
            )
        trial = evaluate(beta + length[:, None] * step)
        slack = 1e-12 * objective.abs()
        gained = trial[0] >= objective + 1e-4 * length * decrement - slack
        length = torch.where(gained, 1.0, 0.5 * length)
        objective = torch.where(gained, trial[0], objective)
        gradient = torch.where(gained[:, None], trial[1], gradient)
        factor = torch.where(gained[:, None, None], trial[2], factor)
        beta = torch.where(gained[:, None], trial[3], beta)
    return beta, _log_evidence(objective, decrement, tau, factor), decrement


def _log_evidence(objective: Tensor, decrement: Tensor, tau: Tensor, factor: Tensor) -> Tensor:
    half = factor.diagonal(dim1=1, dim2=2).log().sum(1)
    return objective + 0.5 * decrement + 0.5 * _log_or_zero(tau).sum(1) - half


def _second_order(
    problem: GeneralisedProblem, design: Gathered, modes: Modes, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    beta = modes.coefficients
    correction, inner, factor = terms_of(problem).second_order(design, beta)
    shift = torch.linalg.solve_triangular(factor.mT, inner[..., None], upper=True)[..., 0]
    variance = torch.where(modes.held, torch.cholesky_inverse(factor).diagonal(dim1=1, dim2=2), 0.0)
    pad = (0, width - beta.shape[1])
    return (
        correction,
        torch.nn.functional.pad(beta + 0.5 * shift, pad),
        torch.nn.functional.pad(variance, pad),
    )


def _log_or_zero(tau: Tensor) -> Tensor:
    """Log prior precision; 0 for a flat prior, which leaves evidences up to a constant."""
    return torch.where(tau > 0, torch.log(tau.clamp(min=1e-300)), 0.0)
