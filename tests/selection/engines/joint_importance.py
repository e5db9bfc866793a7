"""Posteriors over all models by importance sampling of coefficients and learned numbers together."""

import itertools

import torch

from benchmarks.selection.joint_evidence import joint_evidence


def importance_posterior(log_likelihood, log_prior, problem, scalars, draws=40_000, seed=0):
    """PIPs and means of all models of a problem, and the log evidence.

    ``log_likelihood(eta, t)`` has shape (S,), of predictors (S, n) and logarithms of the numbers (S, q);
    ``log_prior(t)`` is the log density of these.
    """
    generator = torch.Generator().manual_seed(seed)
    k = problem.num_unpenalised
    logs, means, models = [], [], []
    for model in itertools.product([0.0, 1.0], repeat=problem.num_groups):
        gates = torch.tensor(model, dtype=torch.float64)
        held = gates[problem.groups].bool()
        columns = torch.cat([problem.unpenalised, problem.x[:, held]], 1)
        scale = torch.cat([problem.unpenalised_scale, problem.slab_scale[held]])
        log_evidence, found = joint_evidence(
            log_likelihood, log_prior, scalars, columns, scale, problem.offset, draws, generator
        )
        logs.append(log_evidence)
        mean = torch.zeros(problem.num_columns, dtype=torch.float64)
        mean[held] = found[k:]
        means.append(mean)
        models.append(gates)
    gates = torch.stack(models)
    score = torch.tensor(logs, dtype=torch.float64) + problem.prior.log_prob(gates)
    weight = score.softmax(0)
    return weight @ gates, weight @ torch.stack(means), float(score.logsumexp(0))
