"""What the record of every family says is so."""

import ast
import math
import pickle
from pathlib import Path

import pytest
import torch
from scipy.special import expit, ndtri

from l0bayes.distributions import BinaryConcrete, GateLaw
from l0bayes.gate_families import DEFAULT_GATE_LAW, GATE_FAMILIES, gate_family
from l0bayes.gate_families.help_texts import estimator_help, gate_law_help
from l0bayes.guides import AutoGateGuide, AutoHardConcrete

ROOT = Path(__file__).resolve().parents[2]
LOGITS = torch.tensor([-30.0, -4.0, -0.3, 0.0, 0.7, 5.0, 25.0], dtype=torch.float64)
every = pytest.mark.parametrize("name", GATE_FAMILIES)


def reached(family):
    """The hard Kumaraswamy has no shapes for sharp gates that are all but shut; it says so."""
    return LOGITS[LOGITS > -5.0] if family.name == "hard_kumaraswamy" else LOGITS


def temperatures(family):
    return [0.05, 0.3, 2 / 3, 2.0] if family.temperature is not None else [None]


@every
def test_gates_start_with_the_activity_asked_for(name):
    family = GATE_FAMILIES[name]
    logits = reached(family)
    for temperature in temperatures(family):
        start = family.start_at(logits, temperature)
        assert list(start) == [one.name for one in family.parameters]
        for value in start.values():
            assert value.dtype == torch.float64
            assert value.expand(logits.shape).shape == logits.shape
        law = family.law_of(start, temperature)
        assert type(law) is family.law
        torch.testing.assert_close(law.activity_logits.expand(logits.shape), logits, rtol=1e-12, atol=1e-12)


@every
def test_the_first_parameter_opens(name):
    family = GATE_FAMILIES[name]
    start = family.start_at(torch.zeros(50, dtype=torch.float64))
    first = family.parameters[0].name
    start[first] = start[first] + torch.linspace(-2.0, 2.0, 50)
    assert (family.law_of(start).activity_logits.diff() > 0.0).all()


def test_starts_are_those_of_the_formulas():
    """Each with its own reference: no law of ours is asked."""
    ours = {name: family.start_at(reached(family)) for name, family in GATE_FAMILIES.items()}
    shift = 2 / 3 * math.log(0.1 / 1.1)
    torch.testing.assert_close(ours["hard_concrete"]["log_alpha"], LOGITS + shift)
    for name, parameter in (
        ("concrete", "log_alpha"),
        ("concrete_dropout", "log_alpha"),
        ("bernoulli", "logits"),
    ):
        assert torch.equal(ours[name][parameter], LOGITS)
    probit = torch.tensor(ndtri(expit(LOGITS.numpy())))
    torch.testing.assert_close(ours["rectified_normal"]["location"], math.sqrt(8 / math.pi) * probit)
    at_zero, at_one = 0.1 / 1.2, 1.1 / 1.2
    a, b = (ours["hard_kumaraswamy"][one].exp() for one in ("log_a", "log_b"))
    logits = reached(GATE_FAMILIES["hard_kumaraswamy"])
    saturation = torch.sigmoid(logits - 2 / 3 * 2 * math.log(11))
    torch.testing.assert_close(torch.exp(b * torch.log1p(-(at_one**a))), saturation, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(torch.exp(b * torch.log1p(-(at_zero**a))), torch.sigmoid(logits))


def test_a_unit_is_that_of_the_temperature_until_it_is_held():
    family = GATE_FAMILIES["rectified_normal"]
    start = family.start_at(LOGITS, 0.2)
    torch.testing.assert_close(family.law_of(start, 0.7).activity_logits, LOGITS)
    held = family.law_of(start, 0.7, unit=family.unit(0.2))
    torch.testing.assert_close(held.loc, family.law_of(start, 0.2).loc)


def test_settings_are_the_familys_own():
    family = GATE_FAMILIES["hard_concrete"]
    wide = {"stretch": (-0.5, 1.5)}
    law = family.law_of(family.start_at(0.3, 0.5, **wide), 0.5, **wide)
    assert law.stretch == (-0.5, 1.5)
    assert law.activity_logits.item() == pytest.approx(0.3)
    with pytest.raises(TypeError, match=r"gate law 'concrete' has the settings none; got stretch"):
        GATE_FAMILIES["concrete"].start_at(0.0, **wide)
    with pytest.raises(TypeError, match=r"gate law 'hard_concrete' has the settings stretch; got gamma"):
        family.law_of({"log_alpha": torch.zeros(())}, gamma=1.0)


@every
def test_what_a_record_says_of_its_law(name):
    family = GATE_FAMILIES[name]
    assert gate_family(name) is family
    assert family.label
    assert family.words
    assert issubclass(family.law, GateLaw)
    assert family.has_exact_zeros == (family.law is not BinaryConcrete)
    assert family.is_relaxed == (not family.estimators) == (name != "bernoulli")
    assert family.has_temperature == (name not in ("hard_kumaraswamy", "bernoulli"))
    wanted = {"hard_kumaraswamy": "init_temperature", "bernoulli": None}.get(name, "temperature")
    assert family.temperature_option == wanted
    assert family.tied == (name == "concrete_dropout")
    assert issubclass(family.guide_class, AutoGateGuide)
    assert family.guide_class.gate_law == name


def test_the_default_is_the_papers():
    assert gate_family(DEFAULT_GATE_LAW).guide_class is AutoHardConcrete


def test_help_texts_name_every_law():
    text = gate_law_help()
    for name, family in GATE_FAMILIES.items():
        assert f"{name}: {family.words}" in text
    assert estimator_help() == "Gradient of bernoulli gates: disarm, rloo, straight_through."


@every
def test_a_name_is_spelled_in_the_law_the_guide_and_the_record_alone(name):
    """Whoever else spells a name has something that another law would have to be added to."""
    if name in ("bernoulli", "concrete"):
        pytest.skip("also a word of likelihoods, or of the language")
    wrong = []
    for folder in ("l0bayes", "guides", "models", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name in (f"{name}_family.py", f"auto_{name}.py", f"{name}.py"):
                continue
            constants = (
                node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)
            )
            texts = (text for text in constants if isinstance(text, str))
            wrong += [f"{path.relative_to(ROOT)}: {text[:60]}" for text in texts if name in text]
    assert not wrong


def test_a_record_is_itself():
    """Guides hold names and not records, so that they are copied and pickled."""
    assert GATE_FAMILIES["concrete"] != GATE_FAMILIES["concrete_dropout"]
    with pytest.raises(TypeError):
        GATE_FAMILIES["mine"] = GATE_FAMILIES["concrete"]
    assert pickle.loads(pickle.dumps(AutoHardConcrete)) is AutoHardConcrete
