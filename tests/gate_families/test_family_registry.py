"""What a record must say to be registered, and what is said where it does not."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import constraints

from l0bayes.distributions import BernoulliGate, BinaryConcrete
from l0bayes.gate_families import GATE_FAMILIES, GateFamily, GateParameter, gate_family, register_family
from l0bayes.gate_families.family_registry import _BY_NAME


class Rounded(BinaryConcrete):
    """Draws in tenths: neither a gradient nor binary."""

    has_rsample = False


CONCRETE = GATE_FAMILIES["concrete"]
OTHER = replace(CONCRETE, name="other")


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (CONCRETE, "name of a gate family must be new; 'concrete' is taken"),
        (replace(OTHER, name="guide"), "name of a gate family must be new; 'guide' is taken"),
        (
            replace(OTHER, name="my law"),
            "name of a gate family must be an identifier, such as my_law; got 'my law'",
        ),
        (
            replace(OTHER, start=lambda activity_logits, temperature: {"log_alpha": activity_logits + 1.0}),
            r"must give gates the activity logits asked for; got \[-2.0, 1.0, 3.0\] for \[-3.0, 0.0, 2.0\]",
        ),
        (
            replace(OTHER, start=lambda activity_logits, temperature: {"logits": activity_logits}),
            r"start of gate family 'other' must give \['log_alpha'\], in this order; got \['logits'\]",
        ),
        (
            replace(OTHER, law=BernoulliGate),
            "gate family 'other' must name estimators: draws of BernoulliGate carry no gradient",
        ),
        (
            replace(OTHER, law=Rounded),
            "gate family 'other' must have draws with a gradient, or binary ones: Rounded has neither",
        ),
        (
            replace(OTHER, parameters=(GateParameter("log_alpha", constraints.positive),)),
            "must have a first parameter on the whole real line, by which its gates open; 'log_alpha'",
        ),
    ],
)
def test_records_that_are_refused(family, message):
    before = list(GATE_FAMILIES)
    with pytest.raises(ValueError, match=message):
        register_family(family)
    assert list(GATE_FAMILIES) == before


def test_a_registered_family_is_known(monkeypatch):
    monkeypatch.setitem(_BY_NAME, "other", None)  # what is set is taken away again
    del _BY_NAME["other"]
    assert register_family(OTHER) is OTHER
    assert gate_family("other") is OTHER
    assert list(GATE_FAMILIES)[-1] == "other"


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(
        ValueError, match=r"gate_law must be one of hard_concrete, .*; did you mean 'concrete'\?"
    ):
        gate_family("concretes")


def test_a_guide_is_imported_when_it_is_wanted():
    family = replace(OTHER, guide="l0bayes.guides.no_such_file:Guide")
    with pytest.raises(ModuleNotFoundError):
        _ = family.guide_class
    assert isinstance(family, GateFamily)
    assert torch.equal(family.start_at(0.5)["log_alpha"], torch.tensor(0.5, dtype=torch.float64))
