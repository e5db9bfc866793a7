"""Laws of a response given its predictor, one a file, known by their names."""

from l0bayes.likelihoods.bernoulli_likelihood import Bernoulli
from l0bayes.likelihoods.binomial_likelihood import Binomial
from l0bayes.likelihoods.categorical_likelihood import Categorical
from l0bayes.likelihoods.cox_likelihood import Cox, CoxPartialLikelihood
from l0bayes.likelihoods.gaussian_likelihood import Gaussian
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.likelihoods.likelihood_registry import likelihood_by_name, names, register
from l0bayes.likelihoods.likelihood_words import Words
from l0bayes.likelihoods.negative_binomial_likelihood import NegativeBinomial
from l0bayes.likelihoods.poisson_likelihood import Poisson
from l0bayes.likelihoods.predictor_precision import PredictorPrecision
from l0bayes.likelihoods.student_t_likelihood import StudentT

__all__ = [
    "Bernoulli",
    "Binomial",
    "Categorical",
    "Cox",
    "CoxPartialLikelihood",
    "Gaussian",
    "Likelihood",
    "NegativeBinomial",
    "Poisson",
    "PredictorPrecision",
    "StudentT",
    "Words",
    "likelihood_by_name",
    "names",
    "register",
]

for _kind in (
    Categorical,
    Gaussian,
    StudentT,
    Bernoulli,
    Binomial,
    Poisson,
    NegativeBinomial,
    Cox,
):
    register(_kind)
