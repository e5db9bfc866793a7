"""The two acts of the demo, cut short: they write what they name."""

import arviz as az
import matplotlib as mpl
import pytest
import torch

import l0bayes
from l0bayes import datasets
from l0bayes.apps.demo import run_diabetes, run_digits

mpl.use("Agg")

# Cut as short as here, the gates have no time to close, and fit() says so.
pytestmark = pytest.mark.filterwarnings("ignore::l0bayes.infer.PruningWarning")


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "new" / "diabetes"
    with torch.random.fork_rng(devices=[]):
        return out, run_diabetes(out, steps=60, restarts=2, progress=False)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "digits"
    with torch.random.fork_rng(devices=[]):
        return out, run_digits(out, epochs=2, progress=False)


@pytest.mark.parametrize("act", ["regression", "network"])
def test_the_files_it_names_are_there(act, request):
    out, result = request.getfixturevalue(act)
    assert len(result.files) >= 3
    assert {file for file in out.rglob("*") if file.is_file()} == set(result.files)
    assert all(file.stat().st_size > (1000 if file.suffix != ".json" else 100) for file in result.files)
    assert not mpl.pyplot.get_fignums()


def test_the_saved_posterior_has_the_same_table(regression):
    out, result = regression
    table = l0bayes.gate_table(az.from_netcdf(str(out / "posterior.nc")))
    assert table.equals(result.table)
    assert set(table.index) == set(datasets.diabetes().names)
    assert {"pip_low", "pip_high"} <= set(table.columns)


def test_the_summary_of_the_regression(regression):
    _, result = regression
    text = "\n".join(result.summary)
    assert repr(result.fit) in text
    assert "a lower bound on the log evidence" in text
    inside = int((result.table["pip"] > 0.5).sum())
    assert f"{inside} of 64 terms are in the median probability model." in text
    assert len(result.fit.restarts) == 2


def test_the_saved_network_has_the_accuracy_it_says(network):
    out, result = network
    data = datasets.digits(0)
    small = l0bayes.load_deployed(out / "deployed")
    accuracy = (small(data.test_x).argmax(-1) == data.test_y).double().mean().item()
    assert result.accuracy["deployed network"] == accuracy
    assert set(result.accuracy) == {"dense network", "posterior mean", "deployed network"}
    assert all(value > 0.3 for value in result.accuracy.values())  # two epochs
    for name, row in result.table.iterrows():
        layer = small.get_submodule(name)
        assert row["deployed"] == f"{layer.in_features}-{layer.out_features}"


def test_the_gates_of_the_network_are_charged_12_nats(network):
    _, result = network
    prior = result.fit.model.priors["0.gate"]
    assert prior.inclusion_probability.item() == pytest.approx(6.14e-6, rel=1e-2)
    assert result.fit.num_gates == 64 + 300 + 100
