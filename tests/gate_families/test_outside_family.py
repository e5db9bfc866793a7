"""A law from outside the package is taken wherever there is an argument ``gate_law``."""

import copy
import json
import math
import pickle
import sys

import pytest
import torch
from typer.testing import CliRunner

import l0bayes
from l0bayes.apps.train import load_run
from l0bayes.apps.train.training_job import assemble, run_data
from l0bayes.cli import app
from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.gradients import Candidate
from l0bayes.guides import gate_guide
from l0bayes.infer import MeanFieldELBO
from l0bayes.network import read_tensors
from l0bayes.selection import SVIOptions, infer_gates
from l0bayes.testing.guide_models import X, Y, regression, train
from tests.gate_families.conftest import FILE
from tests.selection.problems import problem

pytestmark = pytest.mark.usefixtures("logistic")
GATE = "beta.gate"
GATE_FAMILY_MODULE = "l0bayes_user_logistic_gates"


def guide_of(**options):
    return gate_guide(regression, (X, Y), gate_law="logistic", **options)


def test_the_guide_of_its_name():
    guide = guide_of(init_active=0.3)
    assert type(guide) is GATE_FAMILIES["logistic"].guide_class
    law = guide.gates()[GATE]
    assert type(law) is GATE_FAMILIES["logistic"].law
    torch.testing.assert_close(law.prob_active, torch.full((4,), 0.3))
    torch.testing.assert_close(law.width, torch.full((4,), 0.3 * math.exp(-1)))
    assert "init_temperature" not in dir(guide)
    narrow = guide_of(init_temperature=0.1).gates()[GATE]
    torch.testing.assert_close(narrow.width, torch.full((4,), 0.03))


def test_a_constraint_holds_however_parameters_move():
    guide = guide_of().perturb(0, gates=5.0)
    names = {name for name, _ in guide.named_parameters() if "width" in name}
    assert names == {"width.beta/gate_unconstrained"}
    assert (guide.gates()[GATE].width > 0.0).all()
    train(guide, regression)
    assert (guide.gates()[GATE].width > 0.0).all()
    with torch.no_grad():
        dict(guide.named_parameters())["location.beta/gate_unconstrained"].fill_(-3.0)
    guide.reopen(GATE, 1)
    law = guide.gates()[GATE]
    assert (law.activity_logits > 0).tolist() == [False, True, False, False]
    assert law.width[1].item() == pytest.approx(0.3 * math.exp(-1))


def test_its_guides_are_copied_pickled_and_hardened():
    guide = guide_of().perturb(1)
    for twin in (copy.deepcopy(guide), pickle.loads(pickle.dumps(guide))):
        assert torch.equal(twin.gates()[GATE].location, guide.gates()[GATE].location)
    fresh = guide_of()
    fresh.load_state_dict(guide.state_dict())
    assert torch.equal(fresh.gates()[GATE].width, guide.gates()[GATE].width)
    assert torch.equal(guide.harden().gates()[GATE].logits, guide.gates()[GATE].activity_logits)
    MeanFieldELBO()(regression, guide)(X, Y).backward()
    assert all(p.grad.isfinite().all() for p in guide.parameters())


def test_selection_by_it_finds_the_signals():
    given = problem(n=80)
    found = infer_gates(given, "svi", options=SVIOptions(gate_law="logistic", restarts=4, steps=300))
    assert found.diagnostics.gate_law == "logistic"
    exact = infer_gates(given, "exact").pip
    assert ((found.pip > 0.5) == (exact > 0.5)).all()
    torch.testing.assert_close(found.pip, exact, rtol=0.0, atol=0.25)
    draws = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)).numpy()
    columns, noise = draws[:, :3], draws[:, 3]
    fit = l0bayes.SpikeSlabRegressor(
        engine="svi", gate_law="logistic", restarts=4, inclusion=0.3, random_state=0
    )
    assert fit.fit(columns, 2.0 * columns[:, 0] + 0.25 * noise).pip_[0] > 0.98


def test_its_gradient_is_reported():
    guide = guide_of()
    report = l0bayes.gradient_report(
        regression_without_latents, guide_without_latents(), (X, Y), num_draws=50
    )
    assert "logistic" in report.table.index
    assert Candidate("logistic", temperature=0.5).name == "logistic at 0.5"
    assert guide.gate_law == "logistic"


def regression_without_latents(x, y):
    import pyro
    import pyro.distributions as dist

    beta = l0bayes.spike_and_slab("beta", 0.2, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
    pyro.sample("y", dist.Normal(x @ beta, 1.0).to_event(1), obs=y)


def guide_without_latents():
    return gate_guide(regression_without_latents, (X, Y), gate_law="logistic").perturb(2)


@pytest.mark.filterwarnings("ignore::UserWarning")  # a run of two steps prunes nothing and says so
def test_a_run_with_it_is_made_and_read_again(tmp_path, monkeypatch):
    from l0bayes.gate_families import family_registry

    monkeypatch.delitem(family_registry._BY_NAME, "logistic")
    monkeypatch.delitem(sys.modules, GATE_FAMILY_MODULE)
    common = [
        "train",
        "lenet-300-100",
        "--data",
        "digits",
        "--epochs",
        "1",
        "--train-size",
        "154",
        "--no-test",
    ]
    arguments = [*common, "--gate-law", "logistic", "--out", str(tmp_path / "run")]
    unknown = CliRunner().invoke(app, arguments)
    assert unknown.exit_code == 2
    assert "gate_law must be one of hard_concrete" in unknown.output
    result = CliRunner().invoke(app, [*arguments, "--load", str(FILE)])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run" / "config.json").read_text())["gate_law"] == "logistic"
    config = load_run(tmp_path / "run").config
    _, guide = assemble(config, run_data(config))
    assert guide.gate_law == "logistic"
    state = read_tensors(tmp_path / "run" / "guide.safetensors")
    guide.load_state_dict({k.removeprefix("guide."): v for k, v in state.items() if k.startswith("guide.")})
    del family_registry._BY_NAME["logistic"]
    assert CliRunner().invoke(app, ["show", str(tmp_path / "run")]).exit_code == 2
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "run"), "--load", str(FILE)])
    assert shown.exit_code == 0, shown.output
