"""Laws, draws, medians and hardening of a gate guide, as tests to be inherited."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from pyro.infer.autoguide import AutoGuideList, AutoNormal

from l0bayes.distributions import BernoulliGate, deployed_gates
from l0bayes.infer import MeanFieldELBO
from l0bayes.sites import HiddenSiteWarning, spike_and_slab
from l0bayes.testing.gate_guide_case import DATA, GATE, SLAB, GateGuideCase, parameters_of
from l0bayes.testing.guide_models import X, Y, regression, same_state, state_of, train, two_layers

__all__ = ["GateGuideLawSuite"]


class GateGuideLawSuite(GateGuideCase):
    """Tests that the laws of a guide are those of its draws."""

    def test_laws_gates_and_the_sites_of_a_run_agree(self) -> None:
        for model in (regression, two_layers):
            guide = self.moved(model)
            laws, gates = guide.laws(), guide.gates()
            trace = poutine.trace(guide).get_trace(*DATA)
            for name, law in gates.items():
                site = trace.nodes[name]["fn"].base_dist
                for one in (site, laws[name]):
                    assert type(one) is type(law)
                    assert one.batch_shape == law.batch_shape
                    for parameter, value in parameters_of(law).items():
                        assert torch.equal(value, getattr(one, parameter))
            for name, law in laws.items():
                if name.endswith(".slab"):
                    torch.testing.assert_close(trace.nodes[name]["fn"].base_dist.activity, law.activity)

    def test_predictive_draws_follow_the_laws(self) -> None:
        guide = self.moved()
        torch.manual_seed(0)
        draws = Predictive(regression, guide=guide, num_samples=2000, parallel=True)(X)
        gates, law = draws[GATE].reshape(2000, 4), guide.gates()[GATE]
        active = law.prob_active
        events = [(gates > law.activity_threshold, active), (gates == 1, law.prob_one)]
        for happened, expected in events:
            error = (happened.float().mean(0) - expected).abs()
            assert (error <= 4.5 * (expected * (1 - expected) / 2000).sqrt()).all()
        if law.has_atom_at_zero:
            assert torch.equal(draws["beta"].reshape(2000, 4), gates * draws[SLAB].reshape(2000, 4))

    def test_medians_and_quantiles_are_those_of_the_laws(self) -> None:
        guide = self.moved()
        law, levels = guide.gates()[GATE], [0.0, 0.02, 0.25, 0.5, 0.75, 0.98, 1.0]
        quantiles = guide.quantiles(levels)[GATE]
        assert quantiles.shape == (7, 4)
        assert torch.equal(quantiles[3], guide.median()[GATE])
        assert (quantiles.diff(dim=0) >= 0).all()
        assert ((quantiles >= 0) & (quantiles <= 1)).all()
        for level, row in zip(levels[1:-1], quantiles[1:-1], strict=True):
            assert torch.equal(row > law.activity_threshold, law.prob_active > 1 - level)
        opened = deployed_gates(law, "median")
        assert torch.equal(opened != 0, law.prob_active > 0.5)
        if law.has_atom_at_zero:
            assert torch.equal(opened, guide.median()[GATE])

    def test_hardening_keeps_the_activity(self) -> None:
        guide = self.moved()
        before = state_of(guide)
        hard = guide.harden()
        law = hard.gates()[GATE]
        assert type(law) is BernoulliGate
        assert torch.equal(law.activity_logits, guide.gates()[GATE].activity_logits)
        assert set(torch.stack([hard(X, Y)[GATE] for _ in range(20)]).unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(hard.harden().gates()[GATE].logits, law.logits)
        soft_kl = MeanFieldELBO().terms(two_layers, self.moved(two_layers), X, Y).kl
        hard_kl = MeanFieldELBO().terms(two_layers, self.moved(two_layers).harden(), X, Y).kl
        for name in soft_kl:  # they depend on P(z != 0) alone
            torch.testing.assert_close(hard_kl[name], soft_kl[name])
        train(hard, regression)
        assert same_state(before, state_of(guide))

    def test_a_combination_with_another_guide(self) -> None:
        sparse = [GATE, SLAB]
        guide: Any = AutoGuideList(regression)
        guide.append(self.guide(poutine.block(regression, expose=sparse)))
        guide.append(AutoNormal(poutine.block(regression, hide=sparse)))
        assert set(guide(X, Y)) == {*sparse, "pi", "sigma", "intercept", "mix"}
        objective = MeanFieldELBO()(regression, guide)
        objective(X, Y).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters())
        assert any((p.grad != 0).any() for p in guide[0].gate_parameters())

    def test_a_gate_hidden_from_the_guide_leaves_its_slab_unweighted(self) -> None:
        def model() -> None:
            w = spike_and_slab("w", 0.3, dist.Normal(0.0, 2.0))
            pyro.sample("y", dist.Normal(w, 1.0), obs=torch.tensor(2.0))

        with pytest.warns(HiddenSiteWarning, match=r"'w\.gate'"):
            guide = self.guide(poutine.block(model, hide=["w.gate"]), ())
        assert torch.equal(guide.laws()["w.slab"].activity, torch.tensor(1.0))

    # ---- tied gates ------------------------------------------------------------------------------

    def test_tied_gates_share_one_probability_and_are_drawn_each_for_itself(self) -> None:
        guide = self.guide(two_layers, tied=True, init_active=0.5).perturb(3)
        for name in guide.gate_parameter_names:
            shapes = {key: tuple(p.shape) for key, p in getattr(guide, name).named_parameters()}
            assert shapes == {"rows_unconstrained": (), "columns_unconstrained": ()}
        gates = guide.gates()
        assert gates["rows"].batch_shape == (2,)
        assert gates["columns"].batch_shape == (4,)
        for law in gates.values():
            assert law.prob_active.unique().numel() == 1
        assert gates["rows"].prob_active[0] != gates["columns"].prob_active[0]
        torch.manual_seed(0)
        draws = torch.stack([guide(*DATA)["columns"] for _ in range(200)])
        is_open = (draws > gates["columns"].activity_threshold).double()
        assert is_open.T.corrcoef().triu(1).abs().max() < 4.5 / 200**0.5

    def test_the_gradient_of_a_tied_parameter_is_the_sum_over_its_gates(self) -> None:
        gradients = []
        for tied in (True, False):
            guide = self.guide(two_layers, tied=tied, slab="delta")
            torch.manual_seed(2)
            MeanFieldELBO()(two_layers, guide)(*DATA).backward()
            gradients.append([p.grad.sum() for p in guide.gate_parameters()])
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
