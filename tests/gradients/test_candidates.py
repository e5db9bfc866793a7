"""What candidates draw is what training would use."""

from itertools import pairwise

import pytest
import torch

from l0bayes.distributions import BernoulliGate
from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.gradients import Candidate, GateProblem, PathwiseDraws, gradient_report
from l0bayes.gradients.candidates import draws_of
from l0bayes.infer import RLOO, DisARM, MeanFieldELBO
from tests.gradients.problems import (
    classification,
    delta_guide,
    factor_model,
    logits_of,
    one_draw,
    slabs_of,
)
from tests.infer.problems import X, Y, regression

LABELS = (Y > 0).double()
RELAXED = [gate_law for gate_law in GATE_FAMILIES if gate_law != "bernoulli"]
OPTIONS = {
    **{gate_law: {"gate_law": gate_law} for gate_law in RELAXED},
    "disarm": {"gate_law": "bernoulli"},
    "rloo(4)": {"gate_law": "bernoulli", "estimator": "rloo", "num_evaluations": 4},
    "straight_through": {"gate_law": "bernoulli", "estimator": "straight_through"},
}


def trained_gradient(model, guide, data, seed=11):
    """What an optimiser would see of the gates' first parameter: minus the loss's gradient."""
    torch.manual_seed(seed)
    MeanFieldELBO()(model, guide)(*data).backward()
    parameters = [*getattr(guide, guide.gate_parameter_names[0]).parameters()]
    return -torch.cat([parameter.grad.reshape(-1) for parameter in parameters])


def activity_slopes(guide):
    """Derivative of the activity logits in the first parameter, one gate a parameter."""
    guide.zero_grad()
    sum(law.activity_logits.sum() for law in guide.gates().values()).backward()
    slopes = [p.grad.reshape(-1) for p in getattr(guide, guide.gate_parameter_names[0]).parameters()]
    guide.zero_grad()
    return torch.cat(slopes)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_guides_own_is_the_gradient_of_its_elbo(name):
    """For the same noise, in the coordinate of the activity logit, as long as slabs are points."""
    guide = delta_guide(classification, **OPTIONS[name])
    data = (X, LABELS)
    slopes = activity_slopes(guide)
    drawn = one_draw(classification, guide, data)
    trained = trained_gradient(classification, guide, data)
    if guide.tied:
        drawn, slopes = drawn.sum(), slopes / 4  # of one parameter, to which all gates contribute
    torch.testing.assert_close(drawn * slopes, trained.reshape((drawn * slopes).shape), rtol=1e-9, atol=1e-9)


def test_the_own_estimator_of_a_hardened_guide():
    guide = delta_guide(classification).harden()
    guide.gate_gradient = RLOO(3)
    drawn = one_draw(classification, guide, (X, LABELS))
    torch.testing.assert_close(drawn, trained_gradient(classification, guide, (X, LABELS)))


@pytest.mark.parametrize("gate_law", GATE_FAMILIES)
def test_a_family_at_its_defaults_is_a_fresh_guide_of_it(gate_law):
    """Where the activity is that of the start, the first parameter found is the start."""
    fresh = GATE_FAMILIES[gate_law].guide_class(regression(), (X, Y), slab="delta").double()
    own = one_draw(regression(), fresh, (X, Y))
    torch.testing.assert_close(one_draw(regression(), fresh, (X, Y), gate_law), own, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("gate_law", RELAXED)
def test_a_family_is_put_at_the_activity_of_the_guide(gate_law):
    guide = delta_guide(gates=4.0)
    problem = GateProblem.of(regression(), guide, (X, Y))
    draws = draws_of(Candidate(gate_law), problem, guide)
    assert isinstance(draws, PathwiseDraws)
    (piece,) = draws.pieces
    torch.testing.assert_close(piece.law(piece.first).activity_logits, logits_of(guide), rtol=1e-9, atol=1e-9)


def test_estimators_by_name_and_by_object():
    guide = delta_guide()
    problem = GateProblem.of(regression(), guide, (X, Y))
    for given, expected in [(None, DisARM()), ("disarm", DisARM()), ("rloo", RLOO(2)), (RLOO(5), RLOO(5))]:
        draws = draws_of(Candidate("bernoulli", estimator=given), problem, guide)
        assert draws.estimator == expected
        assert draws.evaluations == expected.num_evaluations
    straight = draws_of(Candidate("bernoulli", estimator="straight_through"), problem, guide)
    assert isinstance(straight.pieces[0].law(problem.logits), BernoulliGate)
    assert straight.evaluations == 1


def test_names():
    assert Candidate("concrete").name == "concrete"
    assert Candidate("concrete", temperature=0.1).name == "concrete at 0.1"
    assert Candidate("bernoulli").name == "disarm"
    assert Candidate("bernoulli", estimator=RLOO(4)).name == "rloo(4)"
    assert Candidate("bernoulli", estimator="rloo").name == "rloo(2)"
    assert Candidate("guide", label="ours").name == "ours"


# ---- what is known of each -------------------------------------------------------------------------


def random_problem(seed, gates=5):
    """A guide of random gates and slabs for a random function of them that mixes all gates."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(7, gates, generator=generator, dtype=torch.float64)
    model = factor_model(lambda weights: 2.0 * torch.tanh(mix @ weights).square().sum(), gates)
    return model, delta_guide(model, seed=seed, gates=1.2)


@pytest.mark.parametrize("estimator", [DisARM(), RLOO(2), RLOO(4)], ids=str)
def test_unbiased_estimators_cover_the_exact_gradient(estimator):
    """Simultaneous intervals hold in every problem, and errors are as large as they are said to be."""
    scores, seen = [], 0
    for seed in range(6):
        model, guide = random_problem(seed)
        report = gradient_report(
            model, guide, (X, Y), candidates=[Candidate("bernoulli", estimator=estimator, label="it")]
        )
        low, high = report.intervals("it", 0.999, simultaneous=True).T
        assert ((low < report.reference) & (report.reference < high)).all()
        seen += report.estimates["it"].bias_low > 0.0
        scores.append((report.mean("it") - report.reference) / report.standard_error("it"))
    assert seen <= 1  # each by chance once in forty
    assert 0.5 < torch.cat(scores).square().mean() < 1.6


def test_straight_through_is_exact_where_the_likelihood_is_linear():
    model = factor_model(lambda weights: (weights * torch.arange(1.0, 5.0)).sum(), 4)
    guide = delta_guide(model)
    straight = Candidate("bernoulli", estimator="straight_through")
    report = gradient_report(model, guide, (X, Y), candidates=[straight], num_draws=20)
    torch.testing.assert_close(report.mean("straight_through"), report.reference)
    assert report.estimates["straight_through"].variance < 1e-20


def test_straight_through_is_biased_where_it_is_not():
    guide = delta_guide()
    report = gradient_report(
        regression(), guide, (X, Y), candidates=[Candidate("bernoulli", estimator="straight_through")]
    )
    p, slabs = logits_of(guide).sigmoid(), slabs_of(guide)
    # z * z is differentiated as 2 z, of mean 2 p, where the difference of its values is 1.
    curvature = -(slabs * X).square().sum(0) / (2 * 0.7**2)
    expected = p * (1 - p) * curvature * (2 * p - 1)
    low, high = (report.intervals("straight_through", 0.999, simultaneous=True) - report.reference[:, None]).T
    assert ((low < expected) & (expected < high)).all()
    assert report.estimates["straight_through"].bias_low > 0.0


def test_the_relaxations_bias_falls_and_its_variance_grows_as_it_cools():
    guide = delta_guide(classification, gates=0.5)
    temperatures = (1.5, 0.5, 0.15, 0.03)
    report = gradient_report(
        classification,
        guide,
        (X, LABELS),
        candidates=[Candidate("hard_concrete", temperature) for temperature in temperatures],
        num_draws=6000,
        chunk_size=2000,
    )
    rows = list(report.estimates.values())
    assert all(warm.bias_low > cool.bias_high for warm, cool in pairwise(rows[:-1]))
    assert rows[-1].bias < 0.2 * rows[0].bias
    assert all(warm.variance < cool.variance for warm, cool in pairwise(rows))


@pytest.mark.parametrize("logit", [50.0, 200.0])  # Gaussian tails take a trained gate as far as the second
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_decided_gates_are_finite(dtype, logit):
    guide = delta_guide().to(dtype)
    with torch.no_grad():
        next(guide.gate_parameters()).copy_(torch.tensor([logit, -logit, 0.5, -logit]))
    report = gradient_report(regression(), guide, (X.to(dtype), Y.to(dtype)), num_draws=50)
    assert GateProblem.of(regression(), guide, (X.to(dtype), Y.to(dtype))).logits.dtype is dtype
    assert report.reference.isfinite().all()
    for name in report.estimates:
        assert report.mean(name).isfinite().all(), name
        assert report.standard_error(name).isfinite().all(), name
