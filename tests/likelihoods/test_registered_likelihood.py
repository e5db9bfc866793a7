"""A likelihood from a user's file: suite, regression, engines, estimator, network, command and report."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import l0bayes
from l0bayes.apps.user_files import load_user_file
from l0bayes.cli import app
from l0bayes.estimators import SpikeSlabGLM
from l0bayes.guides import AutoHardConcrete
from l0bayes.likelihoods import likelihood_by_name, names, register
from l0bayes.likelihoods import likelihood_registry as registry
from l0bayes.likelihoods.likelihood_registry import likelihood_of_law
from l0bayes.models import SparseNetwork, SparseRegression
from l0bayes.testing.likelihood_suite import LikelihoodSuite

FILE = Path(__file__).parents[2] / "docs" / "extending" / "exponential.py"


@pytest.fixture
def exponential():
    return load_user_file(FILE).Exponential


def data(n=60, p=2):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, p, generator=generator, dtype=torch.float64)
    noise = torch.empty(n, dtype=torch.float64).exponential_(generator=generator)
    return x, torch.exp(0.35 * x[:, 0]) * noise


class TestExponential(LikelihoodSuite):
    possible = torch.tensor([0.1, 1.0, 7.0, 0.02])
    impossible = (-1.0, 0.0, math.nan, math.inf)
    interval = (0.0, math.inf)

    @pytest.fixture(autouse=True)
    def loaded(self):
        load_user_file(FILE)

    def likelihood(self):
        return likelihood_by_name("exponential")


def by_grid(x, y, inclusion):
    """PIPs and log evidence without any expansion: coefficients on a grid, models one by one."""
    line = torch.linspace(-3.0, 3.0, 241, dtype=torch.float64)
    scores = {}
    for gates in itertools.product([0, 1], repeat=x.shape[1]):
        open_gates = [j for j, gate in enumerate(gates) if gate]
        axes = torch.meshgrid(*[line] * len(open_gates), indexing="ij") if open_gates else []
        grid = torch.stack([axis.flatten() for axis in axes], 1) if axes else torch.zeros(1, 0).double()
        eta = grid @ x[:, open_gates].T
        value = (-eta - y * torch.exp(-eta)).sum(1) - 0.5 * grid.square().sum(1)
        value = value + len(open_gates) * math.log(float(line[1] - line[0]) / math.sqrt(2 * math.pi))
        prior = sum(math.log(inclusion if gate else 1 - inclusion) for gate in gates)
        scores[gates] = float(torch.logsumexp(value, 0)) + prior
    models = torch.tensor(list(scores), dtype=torch.float64)
    values = torch.tensor(list(scores.values()), dtype=torch.float64)
    return torch.softmax(values, 0) @ models, float(torch.logsumexp(values, 0))


def test_the_engines_refine_a_regression_with_it(exponential):
    x, y = data()
    model = SparseRegression(2, likelihood="exponential", inclusion=0.4, intercept_scale=None)
    assert type(model.likelihood) is exponential
    guide = AutoHardConcrete(model, (x, y))
    fit = l0bayes.fit(model, guide, (x, y), steps=100, compile="eager", progress=False)
    pip, evidence = by_grid(x, y, 0.4)
    exact, sampled = (l0bayes.refine(fit, engine) for engine in ("exact", "gibbs"))
    assert type(exact.problem.likelihood) is exponential
    torch.testing.assert_close(exact.pip("beta"), pip, atol=2e-3, rtol=0.0)
    assert exact.log_evidence == pytest.approx(evidence, abs=5e-3)
    torch.testing.assert_close(sampled.pip("beta"), pip, atol=0.02, rtol=0.0)
    assert l0bayes.trust(fit, num_draws=200).residual is not None


def test_an_estimator_takes_it(exponential):
    x, y = data()
    settings = {"inclusion": 0.4, "fit_intercept": False, "standardize": False, "engine": "exact"}
    fit = SpikeSlabGLM("exponential", random_state=0, **settings).fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(fit.pip_, by_grid(x, y, 0.4)[0].numpy(), atol=2e-3)
    mean, sd = fit.predict(x.numpy(), return_std=True)
    assert (sd > 0.9 * mean).all()
    with pytest.raises(
        ValueError, match="y must hold times, positive, for the exponential likelihood; got -"
    ):
        fit.fit(x.numpy(), -y.numpy())


def test_a_network_takes_it(exponential):
    x, y = data()
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    model = SparseNetwork(net, likelihood="exponential")
    arguments = (x.float(), y[:, None].float())
    fit = l0bayes.fit(
        model, AutoHardConcrete(model, arguments), arguments, steps=5, compile="eager", progress=False
    )
    assert math.isfinite(fit.elbo)
    with pytest.raises(ValueError, match="y must hold times, positive"):
        model.check_data(arguments[0], -arguments[1])


@pytest.mark.parametrize("engine", ["exact", "gibbs"])
def test_the_command_and_its_report(exponential, tmp_path, monkeypatch, engine):
    from l0bayes.apps.select import report_pictures as pictures

    monkeypatch.setattr(
        "l0bayes.apps.select.selection_job.pictures", lambda *args: [next(iter(pictures.pictures(*args)))]
    )
    x, y = data()
    pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y}).to_csv(tmp_path / "times.csv", index=False)
    arguments = [str(tmp_path / "times.csv"), "y ~ a + b", "--out", str(tmp_path / engine), "--json"]
    wanted = ["--likelihood", "exponential", "--load", str(FILE), "--engine", engine]
    done = CliRunner().invoke(app, ["select", *arguments, *wanted])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["likelihood"], found["engine"]) == ("exponential", engine)
    text = (tmp_path / engine / "report.html").read_text("utf-8")
    assert f"It is {exponential.words.kind}" in text
    assert exponential.words.html() in text
    assert "An effect is the change of the log mean time per unit of a variable." in text


def test_the_command_checks_the_response_by_it(tmp_path):
    pd.DataFrame({"a": [1.0, 2.0, 4.0], "y": [1.0, -2.0, 3.0]}).to_csv(tmp_path / "t.csv", index=False)
    arguments = [
        str(tmp_path / "t.csv"),
        "y ~ a",
        "--likelihood",
        "exponential",
        "--out",
        str(tmp_path / "o"),
    ]
    unknown = CliRunner().invoke(app, ["select", *arguments])
    listed = "gaussian, student_t, bernoulli, poisson, negative_binomial, cox, binomial"
    assert f"likelihood must be one of {listed}; got 'exponential'" in unknown.stderr
    done = CliRunner().invoke(app, ["select", *arguments, "--load", str(FILE)])
    assert done.exit_code == 2
    assert "response 'y' must be positive for --likelihood exponential: -2 in data row 2" in done.stderr


# ---- registering -------------------------------------------------------------------------------------


def test_a_file_may_be_loaded_again(exponential):
    again = load_user_file(FILE).Exponential
    assert again is not exponential
    assert type(likelihood_by_name("exponential")) is again
    assert names("selection")[-1] == "exponential"


def test_files_that_will_not_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_user_file(tmp_path / "none.py")
    (tmp_path / "wrong.py").write_text("1 / 0")
    with pytest.raises(ValueError, match=r"wrong\.py ended in ZeroDivisionError"):
        load_user_file(tmp_path / "wrong.py")
    (tmp_path / "data.txt").write_text("")
    with pytest.raises(ValueError, match="load must be a Python file"):
        load_user_file(tmp_path / "data.txt")


def test_classes_that_cannot_be_registered(exponential):
    def changed(**parts):
        return type("Other", (exponential,), parts)

    with pytest.raises(TypeError, match="kind must be a class of Likelihood"):
        register(exponential())
    with pytest.raises(ValueError, match="name 'exponential' of Other is taken by l0bayes_user_exponential"):
        register(changed())
    for name in ("", "Two Words", 3):
        with pytest.raises(ValueError, match="name of Other must be of small letters"):
            register(changed(name=name))
    with pytest.raises(TypeError, match="Other must define accepts"):
        register(changed(name="other", accepts=registry.Likelihood.accepts))
    with pytest.raises(TypeError, match=r"words of Other must be Words\(kind=.*; got 'text'"):
        register(changed(name="other", words="text"))
    with pytest.raises(TypeError, match="options of Other must have defaults; shape has none"):
        register(changed(name="other", __init__=lambda self, shape: None))


def test_words_are_not_needed(monkeypatch):
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))

    class Wordless(registry.Likelihood):
        name = "wordless"
        law = accepts = violations = None

    assert register(Wordless) is Wordless
    assert "wordless" in names()
    for text in (Wordless.words.kind, Wordless.words.plain(), Wordless.words.effects, Wordless.words.summary):
        assert text


def test_the_nearest_type_reads_a_law(exponential):
    import pyro.distributions as dist

    class Slow(dist.Exponential):
        pass

    @register
    class OfSlow(exponential):
        name = "slow"
        laws = (Slow,)

    one = torch.ones(3)
    assert likelihood_of_law(dist.Exponential(one)) is exponential
    assert likelihood_of_law(Slow(one)) is OfSlow
    assert likelihood_of_law(dist.Gamma(one, one)) is None
