"""Statements of README.md and the first pages that were once out of date: each compared with the code."""

import importlib.util
import re
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Fit
from l0bayes.likelihoods import names
from l0bayes.models import SparseNetwork, SparseRegression
from l0bayes.network import registered_kinds
from l0bayes.selection import engine_names
from l0bayes.selection.engines.engine_registry import choose_engine
from l0bayes.selection.recognise.linear_model import NotLinearError, read_linear_model

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def load():
    spec = importlib.util.spec_from_file_location("registry_rows", ROOT / "docs" / "registry_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rows = load()
PAGES = [README, *(page.read_text("utf-8") for page in sorted((ROOT / "docs").rglob("*.md")))]


# ---- the README --------------------------------------------------------------------------------------


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 200


def test_every_page_and_picture_that_the_readme_names_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)|src=\"([^\"]+)\"", README)
    files = [one or other for one, other in links]
    assert len(files) > 15
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_name_of_the_map_is_there():
    table = README.split("## What do I want")[1].split("\n## ")[0]
    for name in re.findall(r"l0bayes\.([\w.]+)", table):
        thing = l0bayes
        for part in name.split("."):
            thing = getattr(thing, part)
    for name in re.findall(r"`(SpikeSlab\w+)`", table):
        assert name in l0bayes.__all__
    from typer.testing import CliRunner

    from l0bayes.cli import app

    helped = CliRunner().invoke(app, ["select", "--help"], env={"COLUMNS": "200"}).output
    for option in set(re.findall(r"`[^`]*?(--[\w-]+)", table)):
        assert option in helped


def test_words_are_explained_before_they_are_used():
    for word in ("bfdr_q", "hardened", "refinement"):
        assert word not in README
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    for word in ("bfdr_q", "hardened guide", "refinement", "PIP", "slab", "gate", "verdict", "mean-field"):
        assert word in glossary


# ---- guides ------------------------------------------------------------------------------------------


def test_which_guides_are_mean_field():
    assert set(rows.factorised_guides()) == {one.guide_class.__name__ for one in GATE_FAMILIES.values()}
    assert rows.joint_guides() == ["AutoJointGates"]
    assert "In all but `AutoJointGates` gates are independent" in README
    for text in PAGES:
        words = " ".join(text.split()).lower()
        assert "only guide is the hard concrete" not in words
        assert "all guides here are mean-field" not in words
        assert "guides are mean-field" not in words


def test_gates_are_independent_in_the_guides_that_are_called_so():
    def model():
        l0bayes.spike_and_slab("w", slab=dist.Normal(0.0, 1.0).expand([3]).to_event(1), inclusion=0.5)

    for family in GATE_FAMILIES.values():
        law = family.guide_class(model).gates()["w.gate"]
        assert law.event_shape == torch.Size([])  # one law a gate
        assert law.batch_shape[-1:] in (torch.Size([3]), torch.Size([1]))


# ---- tables from registries --------------------------------------------------------------------------


def test_the_tables_have_a_row_for_everything():
    found = rows.registry_rows()
    for family in GATE_FAMILIES.values():
        assert f"`{family.guide_class.__name__}`" in found["guides"]
    assert [f"`{name}`" in found["likelihoods"] for name in names()] == [True] * len(names())
    for kind in registered_kinds():
        assert all(f"`{one.__name__}`" in found["layers"] for one in kind.types)
    assert all(f"`{name}`" in found["engines"] for name in engine_names() if name != "auto")
    for table in found.values():
        lines = table.splitlines()
        assert len({line.count("|") for line in lines}) == 1
        assert len(lines) >= 6


# ---- limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("likelihood", "most"), [("gaussian", 20), ("poisson", 12), ("bernoulli", 12)])
def test_up_to_how_many_gates_all_models_are_enumerated(likelihood, most):
    assert "All models are enumerated up to 20 gates** (12 for counts, classes" in README
    x, y = torch.randn(30, most + 1), torch.arange(30) % 2
    for columns, engine in ((most, "exact"), (most + 1, "gibbs")):
        model = SparseRegression(columns, likelihood=likelihood)
        arguments = (x[:, :columns], y.float())
        fit = Fit.of(model, AutoHardConcrete(model, arguments), arguments)
        problem = read_linear_model(model, fit.arguments()).problem
        assert choose_engine("auto", problem).name == engine


def test_two_learned_scales_are_one_too_many_for_refine():
    assert "at most one scale that is learned without a conjugate" in " ".join(README.split())

    def model(x, group, y):
        noise = pyro.sample("noise", dist.HalfNormal(1.0))
        between = pyro.sample("between", dist.HalfNormal(1.0))
        beta = l0bayes.spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        with pyro.plate("group", 3):
            level = pyro.sample("level", dist.Normal(0.0, between))
        with pyro.plate("rows", len(x)):
            pyro.sample("y", dist.Normal(level[group] + x @ beta, noise), obs=y)

    arguments = (torch.randn(12, 2), torch.arange(12) % 3, torch.randn(12))
    with pytest.raises(NotLinearError, match="one such scale"):
        l0bayes.refine(Fit.of(model, AutoHardConcrete(model, arguments), arguments))


def test_networks_cannot_be_refined():
    assert "Networks have no such help" in README
    net = SparseNetwork(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), gates="input")
    arguments = (torch.randn(8, 3), torch.arange(8) % 2)
    with pytest.raises(NotLinearError):
        l0bayes.refine(Fit.of(net, AutoHardConcrete(net, arguments), arguments))


def test_gates_on_single_weights_leave_matrices_of_full_size():
    assert "leave zeros in a matrix of full size" in README
    net = SparseNetwork(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), gates="weight")
    guide = AutoHardConcrete(net, (torch.randn(8, 3), torch.arange(8) % 2), init_active=0.9)
    with torch.no_grad():
        next(iter(guide.gate_parameters())).view(-1)[0] = -20.0
    small = net.deploy(guide)
    assert (small[0].weight.shape, small[2].weight.shape) == ((4, 3), (2, 4))
    assert (small[0].weight == 0.0).sum() + (small[2].weight == 0.0).sum() == 1


@pytest.mark.parametrize("training", [True, False])
def test_a_deployed_network_is_in_evaluation_mode(training):
    """Whatever the mode of the network that was given: its dropout is off until it is trained on."""
    dense = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 2)).train(training)
    net = SparseNetwork(dense, gates="input")
    guide = AutoHardConcrete(net, (torch.randn(8, 3), torch.arange(8) % 2), init_active=0.9)
    small = net.deploy(guide)
    x = torch.randn(5, 3)
    assert not any(module.training for module in small.modules())
    assert torch.equal(small(x), small(x))
    assert "evaluation mode" in " ".join((ROOT / "docs" / "start-network.md").read_text("utf-8").split())
