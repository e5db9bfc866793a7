"""Every gate family, with what tells it apart, for tests of what holds for all."""

from l0bayes.guides import gate_guide

RELAXED = {
    "hard_concrete": {"family": "hard_concrete"},
    "concrete": {"family": "concrete"},
    "hard_kumaraswamy": {"family": "hard_kumaraswamy"},
    "rectified_normal": {"family": "rectified_normal"},
    "concrete_dropout": {"family": "concrete_dropout"},
    "hard_concrete, tied": {"family": "hard_concrete", "tied": True},
}
BINARY = {
    "disarm": {"family": "bernoulli"},
    "rloo": {"family": "bernoulli", "estimator": "rloo", "num_evaluations": 3},
    "straight_through": {"family": "bernoulli", "estimator": "straight_through"},
    "disarm, tied": {"family": "bernoulli", "tied": True},
}
ALL = {**RELAXED, **BINARY}
_TWO_PARAMETERS = {"hard_kumaraswamy, tied": {"family": "hard_kumaraswamy", "tied": True}}
TIED = [case for case in (*ALL, *_TWO_PARAMETERS) if "tied" in case or case == "concrete_dropout"]
WITH_TEMPERATURE = ["hard_concrete", "concrete", "rectified_normal", "concrete_dropout"]


def guide_of(case, model, args=(), **options):
    """The guide of a case of ``ALL`` or ``TIED``; options go before the case's own."""
    return gate_guide(model, args, **{**(ALL | _TWO_PARAMETERS)[case], **options})
