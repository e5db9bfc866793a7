"""What a record must say to be registered, and what is said where it does not."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import constraints

from l0bayes.distributions import BernoulliGate, BinaryConcrete, GateLaw
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


PARAMETER = GateParameter("log_alpha")


@pytest.mark.parametrize("family", ["x", None, BinaryConcrete, GateFamily, {"name": "mine"}])
def test_what_is_no_record(family):
    with pytest.raises(TypeError, match="family must be a GateFamily, got"):
        register_family(family)


class Unfinished(GateLaw):
    """A law without formulas."""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": None}, "name of a gate family must be an identifier, such as my_law; got None"),
        ({"label": ""}, "label of gate family 'other' must be text; got ''"),
        ({"words": None}, "words of gate family 'other' must be text; got None"),
        ({"law": int}, "law of gate family 'other' must be a class of GateLaw; got <class 'int'>"),
        ({"law": None}, "law of gate family 'other' must be a class of GateLaw; got None"),
        ({"law": BernoulliGate(logits=torch.zeros(2))}, "must be a class of GateLaw; got BernoulliGate"),
        ({"law": Unfinished}, "law of gate family 'other': Unfinished must define .*activity_logits"),
        (
            {"parameters": ()},
            "parameters of gate family 'other' must be a tuple of at least one GateParameter",
        ),
        ({"parameters": None}, "parameters of gate family 'other' must be a tuple of at least one"),
        ({"parameters": PARAMETER}, "parameters of gate family 'other' must be a tuple of at least one"),
        ({"parameters": ("log_alpha",)}, "must be of GateParameter; got 'log_alpha'"),
        ({"parameters": (GateParameter("log alpha"),)}, "identifiers as names; got 'log alpha'"),
        ({"parameters": (PARAMETER, PARAMETER)}, "must have different names; got"),
        ({"parameters": (GateParameter("log_alpha", "real"),)}, "constraint of 'log_alpha' .* got 'real'"),
        ({"start": None}, "start of gate family 'other' must be a function from activity logits to"),
        ({"start": lambda: {}}, "start of gate family 'other' failed with TypeError"),
        ({"start": lambda activity_logits, temperature: None}, "start of gate family 'other' failed"),
        (
            {"start": lambda activity_logits, temperature: {"log_alpha": 0.0}},
            "must give 'log_alpha' as a tensor of the shape of the activity logits; got 0.0",
        ),
        (
            {"start": lambda activity_logits, temperature: {"log_alpha": torch.zeros(2)}},
            "must give 'log_alpha' as a tensor of the shape of the activity logits",
        ),
        ({"build": 3}, "build of gate family 'other' must be a function from the parameters to a law"),
        ({"build": lambda location: None}, "the law of gate family 'other' failed with TypeError"),
        ({"unit": 0.5}, "unit of gate family 'other' must be a function from a temperature"),
        ({"guide": None}, "guide of gate family 'other' must be a class, or text such as"),
        ({"guide": "AutoMine"}, "guide of gate family 'other' must be a class, or text such as"),
        ({"guide": "module:"}, "guide of gate family 'other' must be a class, or text such as"),
        ({"settings": None}, "settings of gate family 'other' must be a dictionary"),
        ({"settings": {1: 2}}, "settings of gate family 'other' must be a dictionary"),
        ({"temperature": 0.0}, "temperature of gate family 'other' must be positive, or None"),
        ({"temperature": "warm"}, "temperature of gate family 'other' must be positive, or None"),
        ({"temperature": None, "only_start_has_temperature": True}, "must be False, since it has no"),
        ({"temperature": None, "unit": lambda t: t}, "unit of gate family 'other' must be None, since"),
        ({"estimators": "rloo"}, "estimators of gate family 'other' must be a tuple of names; got 'rloo'"),
    ],
)
def test_fields_of_another_kind_are_refused_by_name(fields, message):
    before = list(GATE_FAMILIES)
    with pytest.raises((TypeError, ValueError), match=message):
        register_family(replace(OTHER, **fields))
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
