"""The guard against a site whose gates have all shut."""

import pytest
import torch

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import CollapseWarning
from l0bayes.infer.loop.collapse import most_open, reopen_collapsed
from l0bayes.sites import gate
from tests.infer.costed import Costed, X, Y, guide_of
from tests.infer.fitting import short


def shut(guide, *sites):
    with torch.no_grad():
        for site in sites:
            getattr(guide.log_alpha, site.replace(".", "/")).copy_(torch.linspace(-9.0, -5.0, 20))


def test_the_most_probable_gate_is_reopened_to_its_start():
    guide = guide_of(Costed())
    start = most_open(guide)
    shut(guide, "b.gate")
    before = guide.gates()["a.gate"].activity_logits.clone()
    collapsed = {}
    with pytest.warns(CollapseWarning, match=r"all 20 gates of 'b.gate' had shut by step 7"):
        reopen_collapsed(guide, start, collapsed, 7)
    active = guide.gates()["b.gate"].prob_active
    assert active[-1].item() == pytest.approx(0.9, abs=1e-4)
    assert (active[:-1] < 0.1).all()
    assert torch.equal(guide.gates()["a.gate"].activity_logits, before)
    assert collapsed == {"b.gate": 7}
    shut(guide, "b.gate")
    reopen_collapsed(guide, start, collapsed, 9)  # said once
    assert collapsed == {"b.gate": 7}
    assert guide.gates()["b.gate"].prob_active[-1] > 0.5


def test_a_site_of_one_gate_may_close():
    def model():
        gate("block", 0.1, [1])
        gate("many", 0.1, [3])

    guide, start = AutoHardConcrete(model, init_active=0.2), {"many": 0.0}
    collapsed = {}
    with pytest.warns(CollapseWarning, match="'many'"):
        reopen_collapsed(guide, start, collapsed, 1)
    assert (guide.gates()["block"].prob_active < 0.5).all()
    assert int((guide.gates()["many"].prob_active > 0.5).sum()) == 1  # though its start is shut


def test_gates_that_are_as_undecided_as_at_the_start_have_not_collapsed():
    guide = guide_of(Costed(), init_active=0.5)
    start = most_open(guide)
    with torch.no_grad():
        for parameter in guide.gate_parameters():
            parameter.sub_(0.9)
    before = [parameter.clone() for parameter in guide.gate_parameters()]
    reopen_collapsed(guide, start, {}, 1)
    assert all(torch.equal(*pair) for pair in zip(before, guide.gate_parameters(), strict=True))


def test_reopen_names_an_unknown_site():
    with pytest.raises(ValueError, match=r"one of the gate sites \['a.gate', 'b.gate'\], got 'c'"):
        guide_of(Costed()).reopen("c", 0)


def fit(**options):
    model = Costed()
    guide = guide_of(model)

    def collapse(history):
        if history.step[-1] == 2:
            shut(guide, "b.gate")

    options = {"progress": False, "compile": "eager", "callback": collapse, **options}
    return l0bayes.fit(model, guide, (X, Y), steps=4, **options), guide


def test_fit_guards_a_model_with_costs():
    with pytest.warns(CollapseWarning):
        done, guide = fit()
    assert done.best.collapsed == {"b.gate": 3}
    assert (guide.gates()["b.gate"].prob_active > 0.5).any()
    assert "collapsed b.gate" in repr(done)


def test_the_guard_can_be_switched_off_and_is_off_in_a_regression():
    done, guide = fit(guard_collapse=False)
    assert done.best.collapsed == {}
    assert not (guide.gates()["b.gate"].prob_active > 0.5).any()
    assert short(steps=2).config["guard_collapse"] is False
