"""What guides and models are found to be able to, whether they are ours, Pyro's or somebody else's."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoGuideList, AutoNormal

import l0bayes
from l0bayes.guides import AutoConcreteDropout, AutoHardConcrete, AutoJointGates
from l0bayes.infer import CostedModel, GateGuide, LiveModel, ScoreELBO
from l0bayes.infer.guide_abilities import GuideAbilities
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.objectives.gate_parts import gate_laws, gate_parameters, gate_part_of, temperatures
from l0bayes.models import SparseNetwork, SparseRegression
from tests.infer.costed import Costed
from tests.infer.fitting import X, Y, dense, guide_of, regression, short

# ---- guides --------------------------------------------------------------------------------------------


def test_a_gate_guide_of_ours_can_do_everything_but_draw_jointly():
    guide = guide_of()
    able = GuideAbilities(guide)
    assert isinstance(guide, GateGuide)
    (part,) = able.parts
    assert part.guide is guide
    assert not part.tied
    assert part.reopen is not None
    assert [*part.parameters()] == [*guide.gate_parameters()]
    assert all(able_to is not None for able_to in (able.perturb, able.harden, able.laws))
    assert (able.draw, able.objective) == (None, None)
    assert [heat is guide.temperature for heat in able.temperatures] == [True]


def test_a_joint_guide_draws_and_asks_for_its_objective():
    able = GuideAbilities(AutoJointGates(regression, (X, Y)))
    assert able.draw is not None
    assert isinstance(able.objective(1), ScoreELBO)


def test_tied_gates_say_so():
    (part,) = GuideAbilities(AutoConcreteDropout(regression, (X, Y))).parts
    assert part.tied


def test_a_guide_of_pyros_has_no_gates():
    able = GuideAbilities(AutoNormal(dense))
    assert (able.parts, able.temperatures) == ([], [])
    assert all(able_to is None for able_to in (able.perturb, able.harden, able.draw, able.objective))


def test_a_list_has_the_gates_of_its_parts():
    def model(x, y=None):
        sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, sigma), obs=y)

    sparse = ["beta.gate", "beta.slab"]
    guide = AutoGuideList(model)
    guide.append(AutoHardConcrete(poutine.block(model, expose=sparse), (X, Y)))
    guide.append(AutoNormal(poutine.block(model, hide=sparse)))
    assert [*gate_laws(guide)] == ["beta.gate"]
    assert gate_part_of(guide, "beta.gate").guide is guide[0]
    assert gate_parameters(guide) == [*guide[0].gate_parameters()]
    assert [heat is guide[0].temperature for heat in temperatures(guide)] == [True]
    with pytest.raises(ValueError, match="site must be a gate site of the guide, got 'sigma'"):
        gate_part_of(guide, "sigma")


class Foreign(pyro.nn.PyroModule):
    """A guide of somebody else's, which inherits from nothing of ours and offers its gates alone."""

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(3))
        self.loc = torch.nn.Parameter(torch.zeros(3))

    def gates(self):
        return {"beta.gate": l0bayes.distributions.HardConcrete(self.logits)}

    def forward(self, x, y=None):
        pyro.sample("beta.gate", self.gates()["beta.gate"].to_event(1))
        pyro.sample("beta.slab", dist.Delta(self.loc).to_event(1))


def test_a_foreign_guide_with_gates_is_trained_and_recorded():
    guide = Foreign()
    able = GuideAbilities(guide)
    assert (able.parts[0].parameters, able.parts[0].reopen) == (None, None)
    done = short(guide=guide, steps=20, lr=0.05, guard_collapse=True)
    assert done.num_gates == 3
    assert done.history.expected_l0[-1] == pytest.approx(
        float(guide.gates()["beta.gate"].prob_active.sum().detach())
    )


# ---- models --------------------------------------------------------------------------------------------


def test_a_function_can_only_be_run():
    able = ModelAbilities(regression)
    assert (able.costs, able.live, able.check_data, able.deploy, able.cost_summary) == (None,) * 5
    assert not able.per_example_gates
    assert (able.coords, able.dims) == ({}, {})


def test_a_model_with_costs():
    model = Costed()
    able = ModelAbilities(model)
    assert isinstance(model, CostedModel)
    assert able.costs is model
    assert able.live is None


def test_a_network_can_do_everything():
    model = SparseNetwork(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)))
    able = ModelAbilities(model)
    assert isinstance(model, LiveModel)
    assert able.costs is able.live is model
    assert able.per_example_gates
    assert all(able_to is not None for able_to in (able.check_data, able.deploy, able.cost_summary))
    assert able.dims == model.dims


def test_a_regression_checks_its_data_and_names_its_columns():
    model = SparseRegression(["a", "b", "c"])
    able = ModelAbilities(model)
    assert able.check_data is not None
    assert able.costs is None
    assert ["a", "b", "c"] in [list(values) for values in able.coords.values()]
