r"""What a small regression's posterior is, and the best that factorised gates can do about it.

The model is :math:`y \sim N(X(z \odot \theta), \sigma^2)`, :math:`\theta_j \sim N(0, \tau^2)`,
:math:`z_j \sim \mathrm{Bern}(\pi)`, with the noise known. All in float64.

**Exact.** With :math:`G_z = D_z X'X D_z`, :math:`b_z = D_z X'y` and
:math:`M_z = \sigma^{-2} G_z + \tau^{-2} I`, where :math:`D_z` is diagonal with z on it,

.. math::
    \log p(y \mid z) = -\tfrac n2 \log 2\pi\sigma^2 - \tfrac{y'y}{2\sigma^2}
        - \tfrac12 \log\det(\tau^2 M_z) + \tfrac{1}{2\sigma^4} b_z' M_z^{-1} b_z ;

columns that are out add a factor of 1 to the determinant, so that all models share one batch.

**The strict ELBO** of :math:`q = \prod_j \mathrm{Bern}(z_j; \alpha_j)\, N(\theta_j; \mu_j, s_j^2)`, the slab
being the law given an open gate:

.. math::
    \mathcal L = &-\tfrac n2 \log 2\pi\sigma^2 - \tfrac{1}{2\sigma^2}\Bigl[
        \lVert y - X(\alpha \odot \mu)\rVert^2
        + \sum_j x_j'x_j \bigl(\alpha_j (s_j^2 + \mu_j^2) - \alpha_j^2 \mu_j^2\bigr)\Bigr] \\
    &- \sum_j \mathrm{KL}(\mathrm{Bern}\,\alpha_j \,\|\, \mathrm{Bern}\,\pi)
        - \sum_j \alpha_j \,\mathrm{KL}\bigl(N(\mu_j, s_j^2) \,\|\, N(0, \tau^2)\bigr).

**Its optima** by coordinate ascent (Carbonetto and Stephens 2012, Bayesian Analysis 7:73): one column after
another is set to its optimum given the others,

.. math::
    s_j^2 = \Bigl(\frac{x_j'x_j}{\sigma^2} + \frac{1}{\tau^2}\Bigr)^{-1}, \quad
    \mu_j = \frac{s_j^2}{\sigma^2}\Bigl(x_j'y - \sum_{k \ne j} x_j'x_k\, \alpha_k \mu_k\Bigr), \quad
    \operatorname{logit}\alpha_j = \operatorname{logit}\pi + \log\frac{s_j}{\tau} + \frac{\mu_j^2}{2 s_j^2}.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "Exact",
    "Factorised",
    "Problem",
    "coordinate_ascent",
    "enumerate_models",
    "mean_field_optima",
    "strict_elbo",
]


@dataclass(frozen=True)
class Problem:
    """A regression with everything but its coefficients known.

    Attributes:
        x: Columns, of shape (n, p), float64.
        y: Response, of shape (n,), float64.
        inclusion: Prior inclusion probability π.
        slab_scale: Prior standard deviation τ.
        noise: Standard deviation σ.
    """

    x: Tensor
    y: Tensor
    inclusion: float
    slab_scale: float
    noise: float

    @property
    def gram(self) -> Tensor:
        """X'X."""
        return self.x.T @ self.x

    @property
    def moment(self) -> Tensor:
        """X'y."""
        return self.x.T @ self.y

    @property
    def constant(self) -> float:
        """The likelihood's part that knows no coefficient."""
        return -0.5 * len(self.y) * math.log(2.0 * math.pi * self.noise**2)


@dataclass(frozen=True)
class Exact:
    """The posterior, all models enumerated.

    Attributes:
        log_evidence: log p(y), in nats.
        pips: Inclusion probabilities, of shape (p,).
        models: The models by falling probability, zeros and ones of shape (2^p, p).
    """

    log_evidence: float
    pips: Tensor
    models: Tensor


@dataclass(frozen=True)
class Factorised:
    """A factorised law.

    Attributes:
        active: Inclusion probabilities α.
        loc: Means μ given inclusion.
        variance: Variances s² given inclusion.
        elbo: The strict ELBO, in nats.
    """

    active: Tensor
    loc: Tensor
    variance: Tensor
    elbo: Tensor


def enumerate_models(problem: Problem) -> Exact:
    """Inclusion probabilities and log evidence by enumeration.

    Args:
        problem: The problem, of no more than about 16 columns.
    """
    p, noise, scale = problem.x.shape[1], problem.noise, problem.slab_scale
    models = ((torch.arange(2**p)[:, None] >> torch.arange(p)) & 1).double()
    gram = models[:, :, None] * problem.gram * models[:, None, :]
    root = torch.linalg.cholesky(gram * (scale / noise) ** 2 + torch.eye(p, dtype=torch.float64))
    moment = (models * problem.moment)[..., None] * (scale / noise**2)
    white = torch.linalg.solve_triangular(root, moment, upper=False).squeeze(-1)
    likelihood = problem.constant - 0.5 * float(problem.y @ problem.y) / noise**2
    likelihood = likelihood + 0.5 * white.square().sum(-1) - root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    count = models.sum(-1)
    prior = count * math.log(problem.inclusion) + (p - count) * math.log1p(-problem.inclusion)
    joint = likelihood + prior
    weights = joint.softmax(0)
    return Exact(float(joint.logsumexp(0)), weights @ models, models[weights.argsort(descending=True)])


def strict_elbo(problem: Problem, active: Tensor, loc: Tensor, variance: Tensor) -> Tensor:
    """The ELBO of a factorised law with binary gates, in closed form.

    Args:
        problem: The problem.
        active: α, of shape (..., p).
        loc: μ, likewise.
        variance: s², likewise.

    Returns:
        Nats, of shape (...).
    """
    mean = active * loc
    residual = (problem.y - mean @ problem.x.T).square().sum(-1)
    square = problem.gram.diagonal()
    spread = (square * (active * (variance + loc.square()) - mean.square())).sum(-1)
    likelihood = problem.constant - (residual + spread) / (2.0 * problem.noise**2)
    gates = torch.xlogy(active, active / problem.inclusion)
    gates = gates + torch.xlogy(1.0 - active, (1.0 - active) / (1.0 - problem.inclusion))
    ratio = variance / problem.slab_scale**2
    slabs = 0.5 * (ratio + loc.square() / problem.slab_scale**2 - 1.0 - ratio.log())
    return likelihood - gates.sum(-1) - (active * slabs).sum(-1)


def coordinate_ascent(
    problem: Problem, active: Tensor, loc: Tensor, sweeps: int = 2000, tolerance: float = 1e-9, seed: int = 0
) -> Factorised:
    """Climb from every start at once to a local optimum of the strict ELBO.

    Args:
        problem: The problem.
        active: Starts of α, of shape (starts, p).
        loc: Starts of μ, likewise.
        sweeps: Most passes over the columns.
        tolerance: Largest change of an α in a pass at which to stop.
        seed: Seed of the orders in which columns are visited.
    """
    generator = torch.Generator().manual_seed(seed)
    gram, moment, noise = problem.gram, problem.moment, problem.noise
    variance = 1.0 / (gram.diagonal() / noise**2 + problem.slab_scale**-2)
    odds = math.log(problem.inclusion / (1.0 - problem.inclusion))
    offset = odds + 0.5 * variance.log() - math.log(problem.slab_scale)
    active, loc = active.clone(), loc.clone()
    for _ in range(sweeps):
        before = active.clone()
        for j in torch.randperm(len(moment), generator=generator).tolist():
            mean = active * loc
            others = mean @ gram[j] - mean[:, j] * gram[j, j]
            loc[:, j] = variance[j] / noise**2 * (moment[j] - others)
            active[:, j] = torch.sigmoid(offset[j] + loc[:, j].square() / (2.0 * variance[j]))
        if float((active - before).abs().max()) < tolerance:
            break
    variance = variance.expand_as(active)
    return Factorised(active, loc, variance, strict_elbo(problem, active, loc, variance))


def mean_field_optima(problem: Problem, exact: Exact, starts: int, seed: int = 0) -> Factorised:
    """The distinct local optima that are found from many starts, the best first.

    A fifth of the starts are the most probable models, the others are random: some columns in, with
    means about those of a ridge regression.

    Args:
        problem: The problem.
        exact: Its posterior.
        starts: Number of starts, at least 1.
        seed: Seed of the random ones.
    """
    p = problem.x.shape[1]
    generator = torch.Generator().manual_seed(seed)
    identity = torch.eye(p, dtype=torch.float64)
    ridge = torch.linalg.solve(
        problem.gram + (problem.noise / problem.slab_scale) ** 2 * identity, problem.moment
    )
    likely = exact.models[: max(1, starts // 5)]
    rest = starts - len(likely)
    density = torch.rand(rest, 1, generator=generator, dtype=torch.float64)
    random = (torch.rand(rest, p, generator=generator, dtype=torch.float64) < density).double()
    active = torch.cat([likely, random])
    loc = ridge + 0.5 * torch.randn(len(active), p, generator=generator, dtype=torch.float64)
    found = coordinate_ascent(problem, active, loc, seed=seed)
    keep: list[int] = []
    for row in found.elbo.argsort(descending=True).tolist():
        if all(float((found.active[row] - found.active[other]).abs().max()) > 1e-4 for other in keep):
            keep.append(row)
    return Factorised(found.active[keep], found.loc[keep], found.variance[keep], found.elbo[keep])
