"""Parameters, states, copies and starts of a gate guide, as tests to be inherited."""

from __future__ import annotations

import copy
import io
import math
import pickle
import re
from typing import Any

import pytest
import torch
from pyro.infer import Predictive

from l0bayes.infer import CompileMode, GradientStep, MeanFieldELBO
from l0bayes.testing.gate_guide_case import DATA, GATE, GateGuideCase, raw_parameters
from l0bayes.testing.guide_models import X, Y, regression, same_state, state_of, train

__all__ = ["GateGuideStateSuite"]


class GateGuideStateSuite(GateGuideCase):
    """Tests of the parameters of a guide, from its constructor to a file."""

    # ---- parameters ------------------------------------------------------------------------------

    def test_it_is_the_guide_of_its_gate_law(self) -> None:
        guide = self.guide()
        assert type(guide) is self.family.guide_class
        assert guide.gate_law == self.gate_law
        assert guide.gate_parameter_names == tuple(one.name for one in self.family.parameters)
        assert guide.tied == self.is_tied

    def test_parameters_exist_after_the_constructor_and_are_trained(self) -> None:
        guide = self.guide()
        before, of_gates = state_of(guide), raw_parameters(guide, GATE)
        assert {id(one) for one in guide.gate_parameters()} == {id(one) for one in of_gates.values()}
        assert all(one.shape == (() if self.is_tied else (4,)) for one in of_gates.values())
        train(guide, regression)
        after = state_of(guide)
        assert after.keys() == before.keys()
        for name in of_gates:
            key = f"{name}.beta/gate_unconstrained"
            assert not torch.equal(before[key], after[key])

    def test_a_state_loads_into_a_fresh_guide_of_another_temperature(self) -> None:
        options: dict[str, Any] = {"temperature": 0.4} if self.family.has_temperature else {}
        guide = self.guide(**options)
        train(guide, regression)
        fresh = self.guide()
        fresh.load_state_dict(guide.state_dict())
        self.assert_same_gates(guide, fresh)
        fresh.perturb(1)
        buffer = io.BytesIO()
        torch.save(guide.state_dict(), buffer)
        buffer.seek(0)
        fresh.load_state_dict(torch.load(buffer, weights_only=True))
        self.assert_same_gates(guide, fresh)

    def test_copies_are_equal_and_apart(self) -> None:
        guide = self.moved()
        guide(X, Y)
        buffer = io.BytesIO()
        torch.save(guide, buffer)
        buffer.seek(0)
        before = state_of(guide)
        twins = [
            copy.deepcopy(guide),
            pickle.loads(pickle.dumps(guide)),
            torch.load(buffer, weights_only=False),
        ]
        train(guide, regression)
        for twin in twins:
            assert same_state(before, state_of(twin))
            assert twin.tied == guide.tied
            assert twin.gate_gradient == guide.gate_gradient
            train(twin, regression)
            assert not same_state(before, state_of(twin))

    def test_two_guides_on_one_model_keep_their_parameters(self) -> None:
        first, second = self.guide(), self.moved()
        states = state_of(first), state_of(second)
        for guide in (first, second, first):
            guide(X, Y)
            Predictive(regression, guide=guide, num_samples=2)(X)
        assert same_state(states[0], state_of(first))
        assert same_state(states[1], state_of(second))

    def test_double_precision(self) -> None:
        guide = self.guide().double()
        assert {value.dtype for value in guide.state_dict().values()} == {torch.float64}
        loss = MeanFieldELBO()(regression, guide)(X.double(), Y.double())
        loss.backward()
        assert loss.dtype == torch.float64
        assert all(p.grad.dtype == torch.float64 and p.grad.isfinite().all() for p in guide.parameters())
        assert all(value.dtype == torch.float64 for value in guide.median().values())

    def test_perturb_is_reproducible_and_moves_every_gate_parameter(self) -> None:
        first, again, other = (self.guide().perturb(seed, locs=0.0) for seed in (1, 1, 2))
        assert same_state(state_of(first), state_of(again))
        start = state_of(self.guide())
        moved = {name for name, value in state_of(first).items() if not torch.equal(value, start[name])}
        assert moved == {f"{name}.beta/gate_unconstrained" for name in first.gate_parameter_names}
        assert not same_state(state_of(first), state_of(other))

    # ---- the start -------------------------------------------------------------------------------

    @pytest.mark.parametrize("active", [0.02, 0.5, 0.9, 0.999])
    def test_the_start_has_the_activity_asked_for(self, active: float) -> None:
        option = self.family.temperature_option
        for temperature in (0.05, 2 / 3, 2.0):
            options: dict[str, Any] = {} if option is None else {option: temperature}
            guide = self.guide(init_active=active, **options)
            found = guide.gates()[GATE].activity_logits
            wanted = torch.full((4,), math.log(active / (1.0 - active)))
            # Shapes that make gates sharp are ill-conditioned in single precision.
            is_default = option == "temperature" or temperature == 2 / 3
            torch.testing.assert_close(found, wanted, rtol=0.0, atol=1e-5 if is_default else 2e-4)

    @pytest.mark.parametrize("given", [0.0, 1.0, -0.1, float("nan")])
    def test_starts_out_of_range_are_refused(self, given: float) -> None:
        with pytest.raises(ValueError, match=f"init_active must lie strictly between 0 and 1, got {given}"):
            self.guide(init_active=given)

    @pytest.mark.parametrize("given", [0.0, -0.5, float("nan")])
    def test_temperatures_out_of_range_are_refused(self, given: float) -> None:
        option = self.family.temperature_option
        if option is None:
            with pytest.raises((TypeError, ValueError), match="temperature"):
                self.guide(temperature=0.5)
            return
        options: dict[str, Any] = {option: given}
        with pytest.raises(ValueError, match=re.escape(f"{option} must be positive, got {given}")):
            self.guide(**options)

    # ---- the captured step -----------------------------------------------------------------------

    def test_the_captured_step_is_the_eager_one(self) -> None:
        guide, results = self.moved(), []
        modes: tuple[CompileMode, ...] = ("eager", "graph")
        for mode in modes:
            step = GradientStep(MeanFieldELBO()(regression, guide), mode)
            torch.manual_seed(1)
            results.append([*step(DATA), *(p.grad.clone() for p in guide.parameters())])
            assert step.mode == mode
        for eager, captured in zip(*results, strict=True):
            torch.testing.assert_close(captured, eager)

    def test_a_temperature_changed_in_place_acts_on_the_captured_step(self) -> None:
        if not self.family.has_temperature:
            pytest.skip("no temperature")
        guide = self.moved()
        step = GradientStep(MeanFieldELBO()(regression, guide), "graph")
        step(DATA)
        before = guide.gates()[GATE].mean.detach()
        guide.temperature.fill_(0.2)
        torch.manual_seed(3)
        found = step(DATA)
        assert step.mode == "graph"
        torch.manual_seed(3)
        expected = MeanFieldELBO()(regression, guide).with_terms(*DATA)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other.detach())
        assert not torch.equal(guide.gates()[GATE].mean, before)
