"""Evidences of models by importance sampling of coefficients and learned numbers together."""

import itertools
import math

import torch

DEGREES = 6.0


def importance_posterior(log_likelihood, log_prior, problem, scalars, draws=40_000, seed=0):
    """PIPs and means of all models of a problem.

    ``log_likelihood(eta, t)`` has shape (S,), of predictors (S, n) and logarithms of the numbers (S, q);
    ``log_prior(t)`` is the log density of these. The proposal is a Student-t law at the joint mode.
    """
    generator = torch.Generator().manual_seed(seed)
    count, k = problem.num_groups, problem.num_unpenalised
    logs, means, models = [], [], []
    for model in itertools.product([0.0, 1.0], repeat=count):
        gates = torch.tensor(model, dtype=torch.float64)
        held = gates[problem.groups].bool()
        columns = torch.cat([problem.unpenalised, problem.x[:, held]], 1)
        scale = torch.cat([problem.unpenalised_scale, problem.slab_scale[held]])
        size = columns.shape[1]

        def density(point, columns=columns, scale=scale, size=size):
            beta, t = point[:, :size], point[:, size:]
            normal = -0.5 * (beta / scale).square() - scale.log() - 0.5 * math.log(2.0 * math.pi)
            return log_likelihood(problem.offset + beta @ columns.T, t) + normal.sum(1) + log_prior(t)

        mode, root = _mode(lambda point: density(point[None])[0], size, scalars)
        d = len(mode)
        if not d:
            logs.append(density(torch.zeros(1, 0, dtype=torch.float64))[0])
            means.append(torch.zeros(problem.num_columns, dtype=torch.float64))
            models.append(gates)
            continue
        normal = torch.randn(draws, d, generator=generator, dtype=torch.float64)
        chi = torch._standard_gamma(torch.full((draws, 1), DEGREES / 2, dtype=torch.float64), generator)
        standard = normal / (chi / (DEGREES / 2)).sqrt()
        log_q = (
            math.lgamma((DEGREES + d) / 2) - math.lgamma(DEGREES / 2) - 0.5 * d * math.log(DEGREES * math.pi)
        )
        log_q = log_q - root.diagonal().log().sum()
        log_q = log_q - 0.5 * (DEGREES + d) * torch.log1p(standard.square().sum(1) / DEGREES)
        points = mode + standard @ root.T
        ratio = density(points) - log_q
        logs.append(ratio.logsumexp(0) - math.log(draws))
        mean = torch.zeros(problem.num_columns, dtype=torch.float64)
        mean[held] = (ratio.softmax(0) @ points)[k:size]
        means.append(mean)
        models.append(gates)
    gates = torch.stack(models)
    score = torch.stack(logs) + problem.prior.log_prob(gates)
    weight = score.softmax(0)
    return weight @ gates, weight @ torch.stack(means), float(score.logsumexp(0))


def _mode(density, size, start):
    point = torch.cat([torch.zeros(size, dtype=torch.float64), start])
    if not len(point):
        return point, torch.empty(0, 0, dtype=torch.float64)
    with torch.enable_grad():
        for _ in range(80):
            slope = torch.func.grad(density)(point)
            curvature = -torch.func.jacrev(torch.func.grad(density))(point)
            values, axes = torch.linalg.eigh(curvature)
            curvature = axes @ torch.diag(values.abs().clamp(min=0.3)) @ axes.T
            step = torch.linalg.solve(curvature, slope)
            step = step / max(1.0, float(step.abs().max()))
            while float(density(point + step)) < float(density(point)) and float(step.abs().max()) > 1e-12:
                step = 0.5 * step
            point = point + step
            if float(step.abs().max()) < 1e-8:
                break
    return point.detach(), torch.linalg.cholesky(torch.linalg.inv(curvature)).detach()
