"""Expansions at a mean of the gated coefficients, beside offsets and columns without a gate."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.distributions import Bernoulli, Poisson

from l0bayes.selection.kernels.gaussian_expansion import expand_at_mean
from tests.selection.glm_problems import make_problem


@pytest.mark.parametrize("kind", ["bernoulli", "poisson"])
def test_columns_without_a_gate_are_at_their_mode_given_the_others(kind):
    """Against a mode by SciPy, with an offset, weights and two such columns."""
    generator = torch.Generator().manual_seed(3)
    problem = make_problem(kind, 40, 3, seed=1)
    problem = problem.replace(
        offset=0.4 * torch.randn(40, generator=generator, dtype=torch.float64),
        weights=0.5 + torch.rand(40, generator=generator, dtype=torch.float64),
        unpenalised=torch.cat([torch.ones(40, 1), torch.randn(40, 1, generator=generator)], 1).double(),
        unpenalised_scale=torch.tensor([5.0, 0.7], dtype=torch.float64),
    )
    mean = torch.tensor([0.5, -0.3, 0.2], dtype=torch.float64)
    fixed = problem.offset + problem.x @ mean

    def loss(own):
        own = torch.tensor(own, dtype=torch.float64, requires_grad=True)
        eta = fixed + problem.unpenalised @ own
        law = Bernoulli(logits=eta) if kind == "bernoulli" else Poisson(eta.exp())
        prior = 0.5 * (own / problem.unpenalised_scale).square().sum()
        value = prior - law.log_prob(problem.y) @ problem.weights
        (gradient,) = torch.autograd.grad(value, own)
        return float(value.detach()), gradient.numpy()

    own = minimize(loss, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-11}).x
    eta = fixed + problem.unpenalised @ torch.tensor(own)
    if kind == "bernoulli":
        rate = torch.sigmoid(eta)
        curvature = rate * (1.0 - rate)
    else:
        rate = curvature = eta.exp()
    found = expand_at_mean(problem, mean)
    torch.testing.assert_close(found.weights, curvature * problem.weights, rtol=1e-7, atol=0.0)
    torch.testing.assert_close(found.y, eta + (problem.y - rate) / curvature, rtol=1e-6, atol=1e-7)
