"""Exact answers for y ~ N(X (z theta), noise^2), theta ~ N(0, slab^2), z ~ Bern(pi): all models enumerated.

Only ``expected_log_likelihood`` reads a guide, and of it nothing but its laws' parameters.
"""

import math

import torch


def all_models(p):
    """All 2^p binary vectors, one a row."""
    return ((torch.arange(2**p)[:, None] >> torch.arange(p)) & 1).to(torch.float64)


def log_marginals(x, y, noise, slab):
    """log p(y | z) of every model, by y ~ N(0, noise^2 I + slab^2 X diag(z) X')."""
    n = len(y)
    covariances = noise**2 * torch.eye(n, dtype=torch.float64) + slab**2 * torch.einsum(
        "ij,mj,kj->mik", x, all_models(x.shape[1]), x
    )
    root = torch.linalg.cholesky(covariances)
    white = torch.linalg.solve_triangular(root, y.expand(len(root), n)[..., None], upper=False)[..., 0]
    log_det = 2.0 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * (white.square().sum(-1) + log_det + n * math.log(2 * math.pi))


def posterior(x, y, noise, slab, inclusion):
    """Log evidence and the inclusion probabilities."""
    models = all_models(x.shape[1])
    pi = torch.as_tensor(inclusion, dtype=torch.float64).expand(x.shape[1])
    joint = log_marginals(x, y, noise, slab) + models @ torch.log(pi) + (1 - models) @ torch.log1p(-pi)
    return joint.logsumexp(0), joint.softmax(0) @ models


def expected_log_likelihood(guide, x, y, noise):
    """E[log p(y | z theta)] under a guide with binary gates and Normal slabs, over all gates.

    Given z the residual is Gaussian: E |y - X z theta|^2 = |y - X z m|^2 + sum z_j s_j^2 |x_j|^2.
    """
    laws = guide.laws()
    active, slab = laws["beta.gate"].prob_active, laws["beta.slab"].base
    models = all_models(x.shape[1])
    weights = (models * active + (1 - models) * (1 - active)).prod(-1)
    residuals = (y - (models * slab.loc) @ x.T).square().sum(-1)
    spread = models @ (slab.scale.square() * x.square().sum(0))
    each = -(residuals + spread) / (2 * noise**2) - len(y) * math.log(noise * math.sqrt(2 * math.pi))
    return weights @ each
