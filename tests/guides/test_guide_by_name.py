"""Guides by the name of their gate law, and what single ones have besides the suite of guides."""

import pytest
import torch

from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.guides import gate_guide
from l0bayes.testing.guide_models import X, Y, regression
from tests.guides.families import WITH_TEMPERATURE, guide_of

DATA = (X, Y)
GATE = "beta.gate"


@pytest.mark.parametrize("temperature", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("active", [0.02, 0.9])
def test_hard_kumaraswamy_starts_with_the_atoms_of_the_hard_concrete(temperature, active):
    ours = gate_guide(
        regression, DATA, gate_law="hard_kumaraswamy", init_temperature=temperature, init_active=active
    )
    alike = gate_guide(regression, DATA, temperature=temperature, init_active=active)
    for name in ("activity_logits", "saturation_logits"):
        one, other = (getattr(guide.gates()[GATE], name) for guide in (ours, alike))
        torch.testing.assert_close(one, other, rtol=0.0, atol=2e-4)


@pytest.mark.parametrize("case", WITH_TEMPERATURE)
def test_laws_read_the_temperature_buffer(case):
    guide = guide_of(case, regression, DATA)
    guide.temperature.fill_(0.2)
    name = "scale" if case == "rectified_normal" else "temperature"
    torch.testing.assert_close(getattr(guide.gates()[GATE], name), torch.full((4,), 0.2))


# ---- choosing by name --------------------------------------------------------------------------------


@pytest.mark.parametrize("gate_law", GATE_FAMILIES)
def test_the_guide_of_a_name(gate_law):
    assert type(gate_guide(regression, DATA, gate_law=gate_law)) is GATE_FAMILIES[gate_law].guide_class


def test_an_unknown_family_names_those_there_are():
    with pytest.raises(ValueError, match=r"gate_law must be one of hard_concrete, .*; got 'gumbel'"):
        gate_guide(regression, DATA, gate_law="gumbel")


@pytest.mark.parametrize(
    ("gate_law", "wrong"),
    [
        ("bernoulli", {"temperature": 0.5}),
        ("hard_kumaraswamy", {"temperature": 0.5}),
        ("concrete", {"stretch": (-0.1, 1.1)}),
        ("rectified_normal", {"sigma": 0.5}),
        ("hard_concrete", {"estimator": "disarm"}),
        ("concrete_dropout", {"gate_start": {}}),
    ],
)
def test_an_option_of_another_family_names_those_it_takes(gate_law, wrong):
    (name,) = wrong
    with pytest.raises(
        TypeError, match=rf"gate law '{gate_law}' takes the options .*init_active.*; got {name}"
    ):
        gate_guide(regression, DATA, gate_law=gate_law, **wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "arm"}, "estimator must be one of disarm, rloo, straight_through; got 'arm'"),
        ({"num_evaluations": 3}, "num_evaluations is for the estimator 'rloo'; got it with 'disarm'"),
        ({"estimator": "rloo", "num_evaluations": 1}, "num_evaluations must be at least 2, got 1"),
    ],
)
def test_options_of_binary_gates(options, message):
    with pytest.raises(ValueError, match=message):
        gate_guide(regression, DATA, gate_law="bernoulli", **options)
