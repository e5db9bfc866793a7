"""Few events: posteriors that Laplace's method gets wrong, against fine grids."""

import pytest
import torch

from l0bayes.selection import GibbsOptions, InclusionPrior, coefficients_of, infer_gates
from l0bayes.selection.kernels.resampling import equally_weighted
from l0bayes.selection.sensitivity.prior_changes import PriorChanges
from l0bayes.selection.trust.posterior_trust import trust_of
from tests.selection.engines import few_events

CASES = {
    "Poisson": few_events.poisson,
    "Poisson, a rare level without events": lambda: few_events.poisson("rare"),
    "binomial": few_events.binomial,
    "binomial, a rare level without events": lambda: few_events.binomial("rare"),
    "negative binomial": few_events.negative_binomial,
    "Student-t": few_events.student_t,
    "Cox": few_events.cox,
}
SHORT = GibbsOptions(chains=32, steps=200, burn_in=30, target_mcse=0.0)


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]()


@pytest.fixture(scope="module")
def found(case):
    return infer_gates(case.problem, "exact", seed=1)


def test_probabilities_that_are_called_exact_are(case, found):
    """To 0.01, what "exact" means."""
    assert trust_of(found).verdict == "exact"
    assert float(found.pip) == pytest.approx(case.pip, abs=0.01)
    assert found.log_evidence == pytest.approx(case.log_evidence, abs=0.04)
    mean = float(found.mean) / float(found.pip)
    second = float(found.second_moment) / float(found.pip)
    assert mean == pytest.approx(case.conditional_mean, abs=0.08 * case.conditional_sd)
    assert (second - mean**2) ** 0.5 == pytest.approx(case.conditional_sd, rel=0.06)


def test_draws_are_of_the_exact_posterior(case, found):
    """Five standard errors of 4000 draws, resampled from about as many effective ones."""
    beta = coefficients_of(found).beta[:, 0]
    own = beta[beta != 0]
    error = case.conditional_sd / len(own) ** 0.5
    assert float(own.mean()) == pytest.approx(case.conditional_mean, abs=7.0 * error)
    assert float(own.std()) == pytest.approx(case.conditional_sd, rel=0.08)
    places, which = torch.unique(case.beta, return_inverse=True)
    cells = torch.zeros_like(places).index_add(0, which, case.weights)
    middle = cells.cumsum(0) - 0.5 * cells
    for share in (0.05, 0.5, 0.95):
        place = int(torch.searchsorted(middle, share))
        assert float((own <= places[place]).double().mean()) == pytest.approx(float(middle[place]), abs=0.03)


def test_sampled_models(case):
    found = infer_gates(case.problem, "gibbs", options=SHORT, seed=2)
    assert float(found.pip) == pytest.approx(case.pip, abs=0.01 + 5.0 * float(found.pip_mcse))
    assert trust_of(found)
    drawn = coefficients_of(equally_weighted(found, 0)).beta[:, 0]
    own = drawn[drawn != 0]
    assert float(own.mean()) == pytest.approx(case.conditional_mean, abs=0.15 * case.conditional_sd)


@pytest.mark.parametrize("name", ["poisson", "binomial"])
def test_predicted_means(name):
    """Means of counts under draws of Laplace's Normal law were wrong by factors."""
    case = getattr(few_events, name)()
    found = coefficients_of(infer_gates(case.problem, "exact"))
    inverse = torch.exp if name == "poisson" else torch.sigmoid
    for x in (float(case.problem.x.min()), float(case.problem.x.max())):
        drawn = inverse(found.unpenalised[:, 0] + x * found.beta[:, 0])
        error = float(drawn.std()) / len(drawn) ** 0.5
        assert float(drawn.mean()) == pytest.approx(case.mean_of(inverse, x), abs=7.0 * error)


@pytest.mark.parametrize("name", ["Poisson, a rare level without events", "Cox", "negative binomial"])
def test_a_gate_that_is_hardly_ever_open(name):
    """Given that it is open, the posterior does not depend on the prior of the gate."""
    case = CASES[name]()
    never = InclusionPrior(log_odds=torch.tensor([-9.0], dtype=torch.float64))
    found = infer_gates(case.problem.replace(prior=never), "exact")
    assert found.draws.gates.sum() < 100
    known = coefficients_of(found)
    learned = 0.15 if name == "negative binomial" else 0.08  # at the mean of the dispersion
    error = learned * case.conditional_sd
    assert float(known.conditional_mean) == pytest.approx(case.conditional_mean, abs=2.0 * error)
    assert float(known.conditional_sd) == pytest.approx(case.conditional_sd, rel=2.0 * learned)
    drawn = known.conditional_draws[:, 0]
    assert float(drawn.mean()) == pytest.approx(float(known.conditional_mean), abs=0.1 * error)
    assert float((drawn > 0).double().mean()) == pytest.approx(float(known.positive), abs=0.002)


def test_other_priors_are_fitted_anew_where_evidences_had_to_be_corrected():
    problem = few_events.poisson("rare").problem
    found = infer_gates(problem, "exact")
    assert found.diagnostics.evidences_corrected
    changes = PriorChanges(found, lambda other: infer_gates(other, "exact"))
    (same,) = changes.under(problem, [problem.prior])
    assert same.method == "refitted"
    assert torch.equal(same.pip, found.pip)
