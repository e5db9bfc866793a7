"""The partial likelihood's derivatives against automatic differentiation of the sum that it is."""

import pytest
import torch

from l0bayes.likelihoods.cox_density import CoxDensity
from l0bayes.likelihoods.cox_likelihood import CoxPartialLikelihood
from tests.likelihoods.naive_cox import partial_log_likelihood


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_value_and_derivatives(ties):
    generator = torch.Generator().manual_seed(3)
    n, s = 14, 3
    time = torch.randint(1, 6, (n,), generator=generator).double()
    event = (torch.rand(n, generator=generator) < 0.7).double()
    weights = torch.rand(n, generator=generator).double() + 0.5
    x = torch.randn(n, s, generator=generator, dtype=torch.float64)
    b = 0.5 * torch.randn(s, generator=generator, dtype=torch.float64)
    y = torch.stack([time, event], 1)

    def log_prob(beta):
        return partial_log_likelihood(x @ beta, y, weights, ties)

    density, eta, columns = CoxDensity(y, weights, efron=ties == "efron"), (x @ b)[None], x.T[None]
    torch.testing.assert_close(density.value(eta)[0], log_prob(b), rtol=1e-12, atol=1e-12)
    law = CoxPartialLikelihood(x @ b, weights, ties)
    torch.testing.assert_close(law.log_prob(y), log_prob(b), rtol=1e-12, atol=1e-12)
    value, slope, diagonal = density.rows(eta)
    torch.testing.assert_close(value[0], log_prob(b), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slope[0] @ x, torch.func.grad(log_prob)(b), rtol=0, atol=1e-10)
    assert bool((diagonal >= 0).all())
    hessian = torch.func.jacrev(torch.func.grad(log_prob))
    torch.testing.assert_close(density.curvature(eta, columns)[0], -hessian(b), rtol=0, atol=1e-9)
    third = torch.func.jacrev(hessian)(b)
    fourth = torch.func.jacrev(torch.func.jacrev(hessian))(b)
    trace = torch.einsum("aac->c", third)
    wanted = torch.einsum("aabb->", fourth) / 8 + trace.square().sum() / 8 + third.square().sum() / 12
    found, inner = density.second_order(eta, columns)
    torch.testing.assert_close(inner[0], trace, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[0], wanted, rtol=1e-9, atol=1e-9)


def test_hazards_further_apart_than_numbers_have_no_density():
    y = torch.tensor([[1.0, 1.0], [2.0, 1.0]]).double()
    density = CoxDensity(y, torch.ones(2).double(), efron=True)
    eta = torch.tensor([[800.0, 0.0]]).double()
    assert float(density.value(eta)) == -torch.inf
