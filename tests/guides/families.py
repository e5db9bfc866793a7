"""Every gate family, with what tells it apart, for tests of what holds for all."""

from l0bayes.guides import gate_guide

RELAXED = {
    "hard_concrete": {"gate_law": "hard_concrete"},
    "concrete": {"gate_law": "concrete"},
    "hard_kumaraswamy": {"gate_law": "hard_kumaraswamy"},
    "rectified_normal": {"gate_law": "rectified_normal"},
    "concrete_dropout": {"gate_law": "concrete_dropout"},
    "hard_concrete, tied": {"gate_law": "hard_concrete", "tied": True},
}
BINARY = {
    "disarm": {"gate_law": "bernoulli"},
    "rloo": {"gate_law": "bernoulli", "estimator": "rloo", "num_evaluations": 3},
    "straight_through": {"gate_law": "bernoulli", "estimator": "straight_through"},
    "disarm, tied": {"gate_law": "bernoulli", "tied": True},
}
ALL = {**RELAXED, **BINARY}
_TWO_PARAMETERS = {"hard_kumaraswamy, tied": {"gate_law": "hard_kumaraswamy", "tied": True}}
TIED = [case for case in (*ALL, *_TWO_PARAMETERS) if "tied" in case or case == "concrete_dropout"]
WITH_TEMPERATURE = ["hard_concrete", "concrete", "rectified_normal", "concrete_dropout"]


def guide_of(case, model, args=(), **options):
    """The guide of a case of ``ALL`` or ``TIED``; options go before the case's own."""
    return gate_guide(model, args, **{**(ALL | _TWO_PARAMETERS)[case], **options})
