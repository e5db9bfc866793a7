"""Likelihoods with learned numbers, and of all rows together, against importance sampling."""

import pytest
import torch

from l0bayes.likelihoods import Cox, NegativeBinomial, StudentT
from l0bayes.selection import (
    GeneralisedProblem,
    GibbsOptions,
    InclusionPrior,
    LearnedProblem,
    coefficients_of,
    infer_gates,
)
from l0bayes.selection.kernels.scalar_nodes import find_mode
from tests.likelihoods.naive_cox import partial_log_likelihood
from tests.selection.engines.joint_importance import importance_posterior

DOUBLE = torch.float64
QUICK = GibbsOptions(chains=64, steps=600, burn_in=50, target_mcse=0.004)


def columns(n, generator, close=0.1):
    """The first two nearly the same."""
    x = torch.randn(n, 3, generator=generator, dtype=DOUBLE)
    x[:, 1] = x[:, 0] + close * torch.randn(n, generator=generator, dtype=DOUBLE)
    return x


def common(x):
    n, p = x.shape
    return {
        "prior": InclusionPrior(beta=(1.0, 1.0)),
        "slab_scale": torch.ones(p, dtype=DOUBLE),
        "unpenalised": torch.ones(n, 1, dtype=DOUBLE),
        "unpenalised_scale": torch.tensor([5.0], dtype=DOUBLE),
    }


def counts():
    generator = torch.Generator().manual_seed(0)
    x = columns(40, generator)
    offset = 0.3 * torch.randn(40, generator=generator, dtype=DOUBLE)
    spread = torch._standard_gamma(torch.full((40,), 1.5, dtype=DOUBLE), generator) / 1.5
    y = torch.poisson(torch.exp(0.5 + offset + 0.7 * x[:, 0]) * spread, generator)
    problem = LearnedProblem(x, y, **common(x), offset=offset, likelihood=NegativeBinomial())

    def likelihood(eta, t):
        r = torch.exp(-t[:, :1])
        return torch.distributions.NegativeBinomial(r, logits=eta - r.log()).log_prob(y).sum(1)

    exponential = torch.distributions.Exponential(torch.ones((), dtype=DOUBLE))
    return problem, likelihood, lambda t: exponential.log_prob(t[:, 0].exp()) + t[:, 0]


def outliers():
    generator = torch.Generator().manual_seed(1)
    x = columns(40, generator)
    normal = torch.randn(40, generator=generator, dtype=DOUBLE)
    chi = torch._standard_gamma(torch.full((40,), 1.25, dtype=DOUBLE), generator) / 1.25
    y = 0.5 * x[:, 0] + 0.7 * normal / chi.sqrt()
    law = StudentT(noise_prior=(0.5, 0.25), df="learned")
    problem = LearnedProblem(x, y, **common(x), likelihood=law)
    variance = torch.distributions.InverseGamma(*torch.tensor([0.5, 0.25], dtype=DOUBLE))
    degrees = torch.distributions.Gamma(*torch.tensor([2.0, 0.1], dtype=DOUBLE))

    def likelihood(eta, t):
        noise = torch.distributions.StudentT(t[:, 1:].exp(), eta, (0.5 * t[:, :1]).exp())
        return noise.log_prob(y).sum(1)

    def prior(t):
        return variance.log_prob(t[:, 0].exp()) + degrees.log_prob(t[:, 1].exp()) + t.sum(1)

    return problem, likelihood, prior


def survival():
    generator = torch.Generator().manual_seed(2)
    x = columns(50, generator)
    uniform = torch.rand(50, 2, generator=generator, dtype=DOUBLE)
    time = (-uniform[:, 0].log() * torch.exp(-0.7 * x[:, 0]) * 4).ceil()  # with ties
    lost = -uniform[:, 1].log() * 8
    y = torch.stack([torch.minimum(time, lost.ceil()), (time <= lost.ceil()).double()], 1)
    parts = {name: value for name, value in common(x).items() if not name.startswith("unpenalised")}
    weights = torch.linspace(0.5, 1.5, 50, dtype=DOUBLE)
    problem = GeneralisedProblem(x, y, **parts, weights=weights, likelihood=Cox())

    def likelihood(eta, t):
        return partial_log_likelihood(eta, y, weights)

    return problem, likelihood, lambda t: torch.zeros(len(t), dtype=DOUBLE)


CASES = {"negative binomial": counts, "Student-t": outliers, "Cox": survival}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    problem, likelihood, prior = CASES[request.param]()
    learned = problem.start if isinstance(problem, LearnedProblem) else torch.empty(0, dtype=DOUBLE)
    with torch.no_grad():
        return problem, importance_posterior(likelihood, prior, problem, learned)


def test_all_models(case):
    problem, (pip, mean, log_evidence) = case
    found = infer_gates(problem, "exact")
    torch.testing.assert_close(found.pip, pip, rtol=0, atol=4e-3)
    torch.testing.assert_close(found.mean, mean, rtol=0, atol=6e-3)
    assert found.log_evidence == pytest.approx(log_evidence, abs=0.02)
    drawn = coefficients_of(found)
    torch.testing.assert_close(drawn.beta.mean(0), found.mean, rtol=0, atol=0.05)
    if isinstance(problem, LearnedProblem):
        assert found.draws.scalars.shape == (4000, len(problem.scalars))
        assert found.diagnostics.scalar_nodes > 5


def test_sampled_models(case):
    problem, (pip, mean, _) = case
    found = infer_gates(problem, "gibbs", options=QUICK, seed=1)
    bound = 4e-3 + 5.0 * found.pip_mcse
    assert bool(((found.pip - pip).abs() <= bound).all()), (found.pip, pip, bound)
    torch.testing.assert_close(found.mean, mean, rtol=0, atol=0.04)
    if isinstance(problem, LearnedProblem):
        assert found.draws.scalars.shape == (len(found.draws.weights), len(problem.scalars))


def test_the_variational_engine_refuses_by_name():
    with pytest.raises(ValueError, match="its likelihood learns dispersion, over which"):
        infer_gates(counts()[0], "svi")
    with pytest.raises(ValueError, match="its likelihood is of all rows together"):
        infer_gates(survival()[0], "svi")


def test_a_problem_says_what_it_learns():
    problem = counts()[0]
    with pytest.raises(TypeError, match="it has no number that is learned"):
        problem.replace(likelihood=NegativeBinomial(0.5))
    with pytest.raises(ValueError, match="counts, whole and not negative"):
        problem.replace(y=problem.y + 0.5)
    at = problem.at(torch.tensor([0.3], dtype=DOUBLE))
    assert at.likelihood.dispersion == pytest.approx(2.718281828**0.3)


def test_the_mode_of_learned_numbers_is_of_models_weighted_by_their_prior():
    """Columns that hardly anybody would take in count as little as that, however well they fit."""
    problem = counts()[0].replace(prior=InclusionPrior(log_odds=torch.full((3,), -30.0, dtype=DOUBLE)))
    models = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], dtype=DOUBLE)
    empty, full = (find_mode(problem, models[row : row + 1], problem.start) for row in (0, 1))
    assert float((empty - full).abs().max()) > 0.2
    torch.testing.assert_close(find_mode(problem, models, problem.start), empty, rtol=0, atol=1e-6)
