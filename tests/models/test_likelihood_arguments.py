"""Likelihoods given to models by name, with options, and as objects."""

import math

import pytest
import torch
from pyro import poutine

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.likelihoods import Bernoulli, Binomial, Categorical, Cox, Gaussian, NegativeBinomial, StudentT
from l0bayes.models import SparseNetwork, SparseRegression
from l0bayes.posterior import predict_probabilities
from tests.models.networks import dense

X = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
COUNTS = torch.arange(12.0) % 4
INPUTS = torch.randn(8, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


# ---- regression --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "likelihood"),
    [
        ("gaussian", {"noise_scale": 0.5}, Gaussian(0.5)),
        ("gaussian", {"noise_prior": (2.0, 3.0)}, Gaussian(noise_prior=(2.0, 3.0))),
        ("student_t", {"df": 3.0, "noise_scale": 0.4}, StudentT(0.4, df=3.0)),
        ("negative_binomial", {"dispersion": 0.3}, NegativeBinomial(0.3)),
        ("bernoulli", {"whole": False}, Bernoulli(whole=False)),
        ("cox", {"ties": "breslow"}, Cox("breslow")),
    ],
)
def test_a_name_with_options_is_the_likelihood_itself(name, options, likelihood):
    by_name, itself = SparseRegression(3, name, **options), SparseRegression(3, likelihood)
    assert by_name.likelihood.settings == itself.likelihood.settings == likelihood.settings
    assert type(by_name.likelihood) is type(likelihood)
    assert itself.likelihood is likelihood


def test_trials_may_be_in_the_likelihood_or_with_the_data():
    trials = COUNTS + 2
    values = {"beta.gate": torch.ones(3), "beta.slab": torch.ones(3), "intercept": torch.tensor(0.1)}
    one, other = SparseRegression(3, Binomial(trials)), SparseRegression(3, "binomial")
    with Given(values):
        traces = [poutine.trace(one).get_trace(X, COUNTS)]
        traces.append(poutine.trace(other).get_trace(X, COUNTS, None, None, trials))
    assert float(traces[0].log_prob_sum()) == pytest.approx(float(traces[1].log_prob_sum()))


@pytest.mark.parametrize(
    ("likelihood", "options", "match"),
    [
        (
            Gaussian(0.5),
            {"noise_scale": 0.3},
            r"noise_scale must be given to the likelihood itself: .*Gaussian\(",
        ),
        (Gaussian(0.5), {"whole": False}, "whole must be given to the likelihood itself"),
        ("poisson", {"shape": 2.0}, "the poisson likelihood has no option 'shape'; it has whole"),
        (
            "categorical",
            {},
            "likelihood 'categorical' is not for regression: it needs one predictor for each",
        ),
        (Categorical(3), {}, "likelihood 'categorical' is not for regression"),
        ("poison", {}, r"likelihood must be one of gaussian, .*; got 'poison'; did you mean 'poisson'\?"),
        ("gaussian", {"ties": "exact"}, "ties must be one of efron, breslow; got 'exact'"),
    ],
)
def test_arguments_that_do_not_go_together(likelihood, options, match):
    with pytest.raises(ValueError, match=match):
        SparseRegression(3, likelihood, **options)


def test_trials_that_nothing_takes_are_refused():
    with pytest.raises(
        ValueError, match="trials must be None for the poisson likelihood, which has no trials"
    ):
        SparseRegression(3, "poisson")(X, COUNTS, None, None, COUNTS)


# ---- networks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", [NegativeBinomial(0.5), StudentT(0.7), Gaussian(0.7), "student_t"])
def test_networks_take_likelihoods(likelihood):
    model = SparseNetwork(dense(), likelihood=likelihood)
    y = (torch.arange(16.0, dtype=torch.float64) % 3).reshape(8, 2)
    guide = AutoHardConcrete(model, (INPUTS, y))
    fit = l0bayes.fit(model, guide, (INPUTS, y), steps=5, compile="eager", progress=False)
    assert math.isfinite(fit.elbo)


def test_a_networks_noise_may_be_learned_under_any_noise():
    model = SparseNetwork(dense(), likelihood="student_t", noise_scale="learned")
    with torch.no_grad():
        model.observation.log_noise.fill_(-1.0)
    law = model.observation(torch.zeros(8, 2, dtype=torch.float64)).base_dist
    assert float(law.scale[0, 0].detach()) == pytest.approx(math.exp(-1.0))
    assert float(law.df[0, 0]) == 4.0
    given = SparseNetwork(dense(), likelihood=Gaussian(), noise_scale=0.3).observation
    assert float(given(torch.zeros(8, 2)).base_dist.scale[0, 0]) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("likelihood", "noise_scale", "match"),
    [
        ("cox", 1.0, "likelihood 'cox' is not for network: an observation is all rows together"),
        ("binomial", 1.0, "likelihood 'binomial' is not for network: each row needs a number of trials"),
        ("negative_binomial", 1.0, "dispersion is a latent of its own; give a number"),
        (StudentT(df="learned"), 1.0, "df is a latent of its own; give a number"),
        (Gaussian(0.5), 0.3, "noise_scale: .* has no noise of unknown scale; got 0.3"),
        (Gaussian(0.5), "learned", "noise_scale: .* has no noise of unknown scale; got 'learned'"),
        (3, 1.0, "likelihood must be one of categorical, .* or a function; got 3"),
    ],
)
def test_likelihoods_that_are_not_for_networks(likelihood, noise_scale, match):
    with pytest.raises(ValueError, match=match):
        SparseNetwork(dense(), likelihood=likelihood, noise_scale=noise_scale)


def test_shares_are_targets_of_a_network(float64):
    model = SparseNetwork(dense(), likelihood="bernoulli")
    y = torch.full((8, 2), 0.3, dtype=torch.float64)
    model.check_data(INPUTS, y)
    trace = poutine.trace(model).get_trace(INPUTS, y)
    wanted = -torch.nn.functional.binary_cross_entropy_with_logits(
        trace.nodes["_RETURN"]["value"], y, reduction="sum"
    )
    trace.compute_log_prob()
    assert float(trace.nodes["y"]["log_prob_sum"]) == pytest.approx(float(wanted))


# ---- probabilities of classes ------------------------------------------------------------------------


def test_class_probabilities_by_likelihood():
    y = (COUNTS > 1).float()
    model = SparseRegression(3, "bernoulli")
    guide = AutoHardConcrete(model, (X, y))
    by_model, by_name, by_object = (
        predict_probabilities((model, guide), X, num_draws=5, likelihood=given)
        for given in (None, "bernoulli", Bernoulli())
    )
    assert torch.equal(by_model, by_name)
    assert torch.equal(by_model, by_object)
    with pytest.raises(ValueError, match="likelihood must be one of categorical, bernoulli to have class"):
        predict_probabilities((model, guide), X, num_draws=5, likelihood="gamma")
