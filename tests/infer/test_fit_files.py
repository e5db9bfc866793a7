"""Fits that are kept in folders: what is read back is what was trained, in this process and in another."""

import os
import subprocess
import sys
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoGuideList, AutoNormal
from torch.distributions import constraints

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import SavedFitError
from tests.infer.costed import Costed, guide_of
from tests.infer.costed import X as INPUTS
from tests.infer.costed import Y as OUTPUTS
from tests.infer.fitting import Shifted, X, Y, regression, same_state

QUICK = {"steps": 20, "gate_lr": 0.3, "log_every": 5, "progress": False, "compile": "eager", "seed": 2}


def trained(model, guide, **options):
    return l0bayes.fit(model, guide, (X, Y), **(QUICK | options))


@pytest.mark.parametrize("restarts", [1, 2])
def test_a_fit_comes_back(tmp_path, restarts):
    model = Shifted()
    fit = trained(model, AutoHardConcrete(model, (X, Y)), restarts=restarts)
    file = fit.save(tmp_path / "deep" / "fit")
    assert [file] == list(file.parent.iterdir())
    other = Shifted()
    guide = AutoHardConcrete(other, (X, Y))
    again = l0bayes.load_fit(tmp_path / "deep" / "fit", other, guide, (X, Y))
    assert len(again.restarts) == restarts
    for one, kept in zip(fit.restarts, again.restarts, strict=True):
        assert same_state(one.guide.state_dict(), kept.guide.state_dict())
        assert same_state(one.model.state_dict(), kept.model.state_dict())
        assert one.history == kept.history
        assert one.history.settings == kept.history.settings
        assert (one.seed, one.seconds, one.stopped) == (kept.seed, kept.seconds, kept.stopped)
    assert same_state(guide.state_dict(), fit.guide.state_dict())  # the modules that were given hold the best
    assert same_state(other.state_dict(), fit.model.state_dict())
    assert again.objective == fit.objective
    assert again.config == fit.config
    assert repr(again) == repr(fit)


def test_what_was_decided_of_gates_comes_back(tmp_path):
    model = Costed()
    fit = l0bayes.fit(model, guide_of(model), (INPUTS, OUTPUTS), target="units:0.9", **(QUICK | {"seed": 3}))
    decision = l0bayes.infer.Decision(
        {"a": torch.tensor([3, -1])}, {"a": torch.tensor([0.1, torch.nan])}, {"a": torch.tensor([0.0, 1.0])}
    )
    fit.best.decision = decision
    fit.save(tmp_path)
    again = l0bayes.load_fit(tmp_path, Costed(), guide_of(Costed()))
    assert str(again.decision) == str(decision)
    assert all(torch.equal(decision.steps[site], again.decision.steps[site]) for site in decision.steps)


def test_other_autoguides_beside_gates_come_back(tmp_path):
    def model(x, y=None):
        shift = pyro.sample("shift", dist.Normal(0.0, 1.0))
        return regression(x, None if y is None else y - shift)

    def combination():
        guide = AutoGuideList(model)
        guide.append(AutoHardConcrete(pyro.poutine.block(model, hide=["shift"]), (X, Y)))
        guide.append(AutoNormal(pyro.poutine.block(model, expose=["shift"])))
        return guide

    fit = trained(model, combination())
    fit.save(tmp_path)
    with pytest.raises(SavedFitError, match=r"another guide: .* entries differ"):
        l0bayes.load_fit(tmp_path, model, combination())
    guide = combination()
    guide(X, Y)
    again = l0bayes.load_fit(tmp_path, model, guide, (X, Y))
    assert same_state(again.guide.state_dict(), fit.guide.state_dict())


def test_parameters_of_the_store_come_back(tmp_path):
    pyro.clear_param_store()

    def model(x, y=None):
        scale = pyro.param("scale", torch.tensor(0.5), constraint=constraints.positive)
        low = pyro.param("low", torch.tensor(0.5), constraint=constraints.greater_than(0.25))
        return regression(x, None if y is None else y * scale + low)

    guide = AutoHardConcrete(model, (X, Y))
    guide(X, Y)
    model(X, Y)
    with torch.no_grad():
        pyro.get_param_store()._params["scale"] += 1.0
    l0bayes.Fit.of(model, guide, (X, Y)).save(tmp_path)
    wanted = {name: pyro.param(name).item() for name in ("scale", "low")}
    pyro.clear_param_store()
    again = l0bayes.load_fit(tmp_path, model, AutoHardConcrete(model, (X, Y)), (X, Y))
    with again.best.parameters.in_use():
        assert {name: pyro.param(name).item() for name in ("scale", "low")} == wanted


SCRIPT = """
import sys
import pyro, pyro.distributions as dist, torch, l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.sites import spike_and_slab

def model(x, y=None):
    beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", len(x)):
        return pyro.sample("y", dist.Normal(x @ beta, 0.5), obs=y)

x = torch.linspace(-1, 1, 30).reshape(10, 3)
y = x[:, 0]
guide = AutoHardConcrete(model, (x, y))
if sys.argv[1] == "save":
    fit = l0bayes.fit(model, guide, (x, y), steps=20, progress=False, compile="eager")
    fit.save(sys.argv[2])
else:
    fit = l0bayes.load_fit(sys.argv[2], model, guide, (x, y))
print(l0bayes.gate_table(fit).to_json())
"""


def test_a_script_reads_in_a_new_process_what_another_one_kept(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def run(what):
        root = str(Path(l0bayes.__file__).parent.parent)
        done = subprocess.run(
            [sys.executable, script, what, tmp_path / "fit"],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": root},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("save") == run("load")


# ---- refusals --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fits") / "fit"
    model = Shifted()
    trained(model, AutoHardConcrete(model, (X, Y))).save(folder)
    return folder


def test_another_guide_or_model_is_refused(kept):
    model = Shifted()
    guide = AutoHardConcrete(model, (X, Y), slab="delta")
    with pytest.raises(SavedFitError, match=r"guide AutoHardConcrete.* another guide: .* entries differ"):
        l0bayes.load_fit(kept, model, guide)
    with pytest.raises(SavedFitError, match="the model is no module, unlike the one whose run was kept"):
        l0bayes.load_fit(kept, regression, AutoHardConcrete(regression, (X, Y)))
    with pytest.raises(SavedFitError, match="the guide is no module"):
        l0bayes.load_fit(kept, model, lambda x: None)


def test_damage_is_refused(kept, tmp_path):
    model = Shifted()
    content = (kept / "fit.safetensors").read_bytes()
    for damaged in (b"", content[:-7], content[:-3] + bytes([content[-3] ^ 4]) + content[-2:]):
        (tmp_path / "fit.safetensors").write_bytes(damaged)
        with pytest.raises(SavedFitError, match="can't be read"):
            l0bayes.load_fit(tmp_path, model, AutoHardConcrete(model, (X, Y)))


def test_other_folders_are_left_alone(kept, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    model = Shifted()
    guide = AutoHardConcrete(model, (X, Y))
    fit = l0bayes.load_fit(kept, model, guide)
    with pytest.raises(FileExistsError, match="exists and holds no fit"):
        fit.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no fit in .*: no file fit.safetensors"):
        l0bayes.load_fit(tmp_path, model, guide)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_data_are_asked_for_where_they_are_needed(kept):
    model = Shifted()
    fit = l0bayes.load_fit(kept, model, AutoHardConcrete(model, (X, Y)))
    with pytest.raises(TypeError, match="data"):
        l0bayes.trust(fit)
    assert l0bayes.trust(fit, data=(X, Y), num_draws=50).verdict


def test_places_that_are_no_folder_of_a_fit(kept, tmp_path):
    model = Shifted()
    guide = AutoHardConcrete(model, (X, Y))
    with pytest.raises(
        TypeError, match=r"folder must be a path, got Shifted: .*load_fit\(folder, model, guide\)"
    ):
        l0bayes.load_fit(model, str(kept), guide)
    with pytest.raises(ValueError, match=r"checkpoint must be a file; .* is a folder"):
        l0bayes.fit(model, guide, (X, Y), steps=2, checkpoint=tmp_path, resume=True)
