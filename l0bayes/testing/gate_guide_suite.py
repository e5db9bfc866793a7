"""The tests that the guide of every gate law must pass, to be inherited.

A subclass names the law, and options of the guide that make a case of their own::

    class TestMyGuide(GateGuideSuite):
        gate_law = "mine"

    class TestMyGuideTied(GateGuideSuite):
        gate_law = "mine"
        options = {"tied": True}
"""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch.distributions import kl_divergence

from l0bayes.infer import MeanFieldELBO
from l0bayes.testing.gate_guide_case import GATE, raw_parameters
from l0bayes.testing.gate_guide_law_suite import GateGuideLawSuite
from l0bayes.testing.gate_guide_state_suite import GateGuideStateSuite
from l0bayes.testing.guide_models import MEMBERS, batch_of, data_plate, nested, outliers

__all__ = ["GateGuideSuite"]


class GateGuideSuite(GateGuideStateSuite, GateGuideLawSuite):
    """All tests of a gate guide."""

    # ---- plates ----------------------------------------------------------------------------------

    def test_laws_and_draws_have_the_full_shape_of_their_plates(self) -> None:
        guide = self.guide(nested, ()).perturb(2, gates=1.0)
        shapes = {"shared": (4, 1, 2), "own.gate": (4, 5), "own.slab": (4, 5), "both.slab": (4, 5, 2)}
        assert {name: tuple(law.batch_shape) for name, law in guide.laws().items()} == shapes
        assert {name: tuple(value.shape) for name, value in guide().items()} == shapes
        assert {name: tuple(value.shape) for name, value in guide.median().items()} == shapes
        terms, laws = MeanFieldELBO().terms(nested, guide), guide.laws()
        for slab, gate in (("own.slab", "own.gate"), ("both.slab", "shared")):
            base, standard = laws[slab].base, dist.Normal(0.0, 1.0)
            each = (
                kl_divergence(dist.Normal(base.mean, base.stddev), standard)
                if guide.slab == "normal"
                else -standard.log_prob(base.v)
            )
            q = guide.gates()[gate].prob_active
            torch.testing.assert_close(terms.kl[slab], (q * each).sum())
            prior = torch.tensor(0.2 if gate == "own.gate" else 0.5).expand(q.shape)
            torch.testing.assert_close(
                terms.kl[gate], kl_divergence(dist.Bernoulli(q), dist.Bernoulli(prior)).sum()
            )

    def test_minibatches_of_local_gates_are_unbiased(self) -> None:
        """The mean over a partition into equal batches is the KL of the whole plate, exactly; tied or not."""
        guide = self.guide(outliers, (batch_of([0, 1, 2]),), create_plates=data_plate)
        guide.perturb(4, gates=1.5, locs=1.0)
        assert guide.gates()["shift.gate"].batch_shape == (MEMBERS,)
        elbo = MeanFieldELBO()
        whole = elbo.terms(outliers, guide, batch_of(list(range(MEMBERS)))).kl
        batches = torch.arange(MEMBERS).reshape(3, -1)
        parts = [elbo.terms(outliers, guide, batch_of(rows)).kl for rows in batches]
        for site in ("shift.gate", "shift.slab"):
            torch.testing.assert_close(torch.stack([part[site] for part in parts]).mean(), whole[site])
        rows = [7, 2, 11, 3]
        assert guide(batch_of(rows))["shift.gate"].shape == (4,)
        elbo(outliers, guide)(batch_of(rows)).backward()
        others = [row for row in range(MEMBERS) if row not in rows]
        for parameter in raw_parameters(guide, "shift.gate").values():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
            if self.is_tied:
                assert parameter.grad.shape == ()
            else:
                assert (parameter.grad[others] == 0).all()

    # ---- reopening -------------------------------------------------------------------------------

    @pytest.mark.parametrize("active", [0.2, 0.8])
    def test_a_gate_that_is_reopened_is_open_by_the_median_rule(self, active: float) -> None:
        guide = self.guide(nested, (), init_active=active)
        for site, index in (("own.gate", (1, 2)), ("shared", (3, 0, 1))):
            self.shut(guide, site)
            guide.reopen(site, index)
            logits = guide.gates()[site].activity_logits
            assert logits[index] > 0
            if active == 0.8:
                assert logits[index].item() == pytest.approx(torch.tensor(0.8).logit().item(), abs=1e-4)
            assert int((logits > 0).sum()) == (logits.numel() if self.is_tied else 1)
        with pytest.raises(ValueError, match=r"site must be one of the gate sites \['own.gate', 'shared'\]"):
            guide.reopen("both.slab", 0)

    def test_one_gate_of_a_vector_is_reopened_by_a_number(self) -> None:
        guide = self.guide()
        self.shut(guide, GATE)
        guide.reopen(GATE, 2)
        assert guide.gates()[GATE].activity_logits[2] > 0

    def shut(self, guide: Any, site: str) -> None:
        """Shut all gates of a site, by the first parameter, with which gates open.

        Args:
            guide: The guide.
            site: The gate site.
        """
        with torch.no_grad():
            next(iter(raw_parameters(guide, site).values())).fill_(-6.0)
        assert (guide.gates()[site].activity_logits < 0).all()
