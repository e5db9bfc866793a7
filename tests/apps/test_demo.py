"""The three acts of the demo, cut short: they write what they name, and say what they found."""

import json
import re
from importlib.resources import files

import arviz as az
import matplotlib as mpl
import pytest
import torch
from typer.testing import CliRunner

import l0bayes
from l0bayes import datasets
from l0bayes.apps.demo import next_steps, run_clinics, run_diabetes, run_digits
from l0bayes.apps.demo.clinics_act import COLUMNS, clinics_data
from l0bayes.apps.demo.demo_words import WIDTH, labelled, wrapped
from l0bayes.apps.demo.diabetes_act import long_chains
from l0bayes.apps.demo.digits_act import OURS, SCRATCH
from l0bayes.apps.demo.torch_alone import run_by_torch_alone
from l0bayes.cli import app
from l0bayes.selection import GibbsOptions

mpl.use("Agg")

# Cut as short as here, the gates have no time to close, and fit() says so.
pytestmark = pytest.mark.filterwarnings("ignore::l0bayes.infer.PruningWarning")


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "new" / "diabetes"
    with torch.random.fork_rng(devices=[]):
        options = GibbsOptions(chains=16, steps=800)
        return out, run_diabetes(out, steps=60, restarts=2, progress=False, options=options)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "digits"
    with torch.random.fork_rng(devices=[]):
        return out, run_digits(out, epochs=8, repeats=1, progress=False)


@pytest.fixture(scope="module")
def clinics(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "clinics"
    with torch.random.fork_rng(devices=[]):
        return out, run_clinics(out, steps=60, restarts=1, progress=False)


ACTS = ["regression", "network", pytest.param("clinics", marks=pytest.mark.slow)]


@pytest.mark.parametrize("act", ACTS)
def test_the_files_it_names_are_there(act, request):
    out, result = request.getfixturevalue(act)
    assert len(result.files) >= 2
    assert {file for file in out.rglob("*") if file.is_file()} == set(result.files)
    assert all(file.stat().st_size > (1000 if file.suffix != ".json" else 100) for file in result.files)
    assert not mpl.pyplot.get_fignums()


@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_wider_than_a_hundred_columns(act, request):
    _, result = request.getfixturevalue(act)
    lines = "\n".join([*result.question, *result.answer]).replace(str(request.getfixturevalue(act)[0]), "out")
    assert max(len(line) for line in lines.splitlines()) <= WIDTH


def test_lines_are_wrapped_under_their_label():
    text = labelled("Verdict", "word " * 40)
    first, *others = text.splitlines()
    assert first.startswith("Verdict   word")
    assert others
    assert all(line.startswith("          word") for line in others)
    assert all(len(line) <= WIDTH for line in [*text.splitlines(), *wrapped("word " * 60).splitlines()])


# ---- the table ---------------------------------------------------------------------------------------


def test_the_saved_posterior_is_the_refined_one(regression):
    out, result = regression
    table = l0bayes.gate_table(az.from_netcdf(str(out / "posterior.nc")), "beta")
    assert set(table.index) == set(datasets.diabetes().names)
    assert table["pip"][result.table.index].tolist() == pytest.approx(
        result.table["refined"].tolist(), abs=1e-6
    )


def test_it_fails_is_noticed_and_is_put_right(regression):
    _, result = regression
    assert result.trust.verdict in ("doubtful", "wrong")
    off, near = ((result.table[name] - result.table["chains"]).abs().max() for name in ("fit", "refined"))
    assert off > 0.2
    assert near < 0.1  # a tenth of the draws of the demo
    text = " ".join(" ".join([*result.question, *result.answer]).split())
    assert str(result.trust) in text
    assert str(result.refined_trust) in text
    assert f"off by up to {off:.2f}" in text
    assert (result.table["fit_low"] <= result.table["fit"]).all()
    assert (result.table["fit"] <= result.table["fit_high"]).all()


def test_the_long_chains_are_of_these_terms_and_say_how_they_were_made():
    found = long_chains()
    assert list(found["pip"]) == datasets.diabetes().names == list(found["standard_error"])
    assert all(0.0 <= value <= 1.0 for value in found["pip"].values())
    assert max(found["standard_error"].values()) < 0.01
    assert found["command"] == "python -m benchmarks.selection.diabetes"
    assert {"seed", "chains", "sweeps", "burn_in"} <= set(found)
    assert json.loads(files("l0bayes.apps.demo").joinpath("long_chains.json").read_text("utf-8")) == found


def test_a_chain_finds_the_exact_probabilities_of_few_columns():
    import numpy as np

    from benchmarks.selection.diabetes import Chain
    from l0bayes.infer import Fit
    from l0bayes.models import SparseRegression

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator, dtype=torch.float64)
    x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
    y = 0.4 * x[:, 0] + 0.3 * x[:, 2] + torch.randn(60, generator=generator, dtype=torch.float64)
    chain = Chain(x.numpy(), y.numpy(), seed=0, active=1.0)
    found = np.mean([chain.sweep() for _ in range(2500)], axis=0)
    model = SparseRegression(4, expected_active=1, slab_scale=0.5)
    arguments = (x.float(), y.float())
    guide = l0bayes.guides.AutoHardConcrete(model, arguments)
    exact = l0bayes.refine(Fit.of(model, guide, arguments), "exact").pip("beta")
    assert found == pytest.approx(exact.numpy(), abs=0.02)


# ---- the network -------------------------------------------------------------------------------------


def test_the_saved_network_has_the_error_it_says(network):
    out, result = network
    data = datasets.digits(0)
    small = l0bayes.load_deployed(out / "deployed")
    error = (small(data.test_x).argmax(-1) != data.test_y).double().mean().item()
    assert result.table.loc[OURS, "error"] == f"{error:.1%}"
    sizes = [small[0].in_features, *(layer.out_features for layer in small if hasattr(layer, "out_features"))]
    assert (
        result.table.loc[OURS, "widths"] == "-".join(map(str, sizes)) == result.table.loc[SCRATCH, "widths"]
    )
    assert float(result.table.loc[OURS, "error"].rstrip("%")) < 30.0  # eight passes


def test_the_target_holds_and_rivals_cost_as_much(network):
    _, result = network
    macs = result.table["MACs"].str.replace(",", "").astype(int)
    assert macs.iloc[0] == 64 * 300 + 300 * 100 + 100 * 10
    assert (macs.iloc[1:] <= 0.1 * macs.iloc[0]).all()
    assert (macs.iloc[1:] > 0.09 * macs.iloc[0]).all()
    assert (result.table[["train, s", "µs of 1", "µs of 100"]].astype(float) >= 0.0).all().all()


def test_torch_alone_runs_the_saved_network(network):
    out, result = network
    assert result.difference < 1e-4
    small = l0bayes.load_deployed(out / "deployed")
    with torch.no_grad():
        small[0].bias += 1.0
    assert run_by_torch_alone(out / "deployed", small, datasets.digits(0).test_x[:5]) > 1e-3


def test_a_program_that_does_not_run_says_why(tmp_path):
    (tmp_path / "program.pt2").write_text("no program")
    with pytest.raises(RuntimeError, match="does not run by itself: "):
        run_by_torch_alone(tmp_path, torch.nn.Linear(64, 10), torch.zeros(2, 64))


# ---- a model of one's own ----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_model_of_clinics_is_enumerated(clinics):
    out, result = clinics
    assert result.trust.verdict in ("doubtful", "wrong", "unchecked")
    assert result.refined_trust.verdict == "exact"
    assert result.table.loc["dose", "differs exact"] > 0.95
    assert result.table.loc["age", "effect exact"] > 0.95
    assert (result.table.loc[["age", "pulse"], "differs exact"] < 0.3).all()
    posterior = az.from_netcdf(str(out / "posterior.nc"))["posterior"]
    assert posterior["own"].dims[-2:] == ("clinic", "column")
    assert list(posterior["column"].values) == list(COLUMNS)
    shut = posterior["differs"].sel(column="dose") == 0.0
    assert (posterior["own"].sel(column="dose").where(shut, 0.0) == 0.0).all()


def test_the_patients():
    x, clinic, y = clinics_data(50, seed=3)
    assert x.shape == (50, 4)
    assert clinic.unique().tolist() == list(range(8))
    assert torch.isfinite(y).all()


def test_each_user_has_a_next_step(tmp_path):
    text = "\n".join(next_steps(tmp_path))
    for word in ("table", "model", "network"):
        assert f"A {word} of yours" in text
    for command in re.findall(r"l0bayes (\w+)", text):
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
