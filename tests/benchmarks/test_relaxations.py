"""The study of relaxations: its exact answers are exact, and every gate law runs through it."""

import json
import math

import pytest
import torch

import l0bayes
from benchmarks.relaxations.exact import (
    Problem,
    enumerate_models,
    mean_field_optima,
    strict_elbo,
)
from benchmarks.relaxations.figures import draw_figures
from benchmarks.relaxations.records import Records, interval
from benchmarks.relaxations.regression import DESIGNS, draw_problem, hardened, make_model
from benchmarks.relaxations.settings import CANDIDATES, REGRESSION, candidates_for
from benchmarks.relaxations.study import run_part
from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.guides import AutoHardConcrete
from tests.infer.exact import all_models, expected_log_likelihood, log_marginals, posterior


def problem_of(columns=5, rows=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    x[:, 1] = 0.3 * x[:, 1] + x[:, 0]
    y = x[:, 0] - 0.4 * x[:, 3] + 0.8 * torch.randn(rows, generator=generator, dtype=torch.float64)
    return Problem(x, y, inclusion=0.3, slab_scale=1.4, noise=0.8)


def random_law(problem, count=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, problem.x.shape[1])
    active, loc, scale = (torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    return active, 2.0 * loc - 1.0, scale.square()


def test_enumeration_is_that_of_the_dense_covariances():
    problem = problem_of()
    log_evidence, pips = posterior(problem.x, problem.y, 0.8, 1.4, 0.3)
    exact = enumerate_models(problem)
    assert exact.log_evidence == pytest.approx(float(log_evidence), abs=1e-9)
    torch.testing.assert_close(exact.pips, pips, atol=1e-10, rtol=0.0)


def test_models_come_by_falling_probability():
    problem = problem_of()
    models = enumerate_models(problem).models
    joint = log_marginals(problem.x, problem.y, 0.8, 1.4) + all_models(5).sum(-1) * math.log(0.3 / 0.7)
    torch.testing.assert_close(models, all_models(5)[joint.argsort(descending=True)])


def test_the_strict_elbo_never_exceeds_the_log_evidence():
    problem = problem_of()
    log_evidence = enumerate_models(problem).log_evidence
    assert (strict_elbo(problem, *random_law(problem)) < log_evidence).all()


@pytest.mark.parametrize("design", DESIGNS)
def test_optima_are_below_the_log_evidence_and_above_their_neighbours(design):
    problem = draw_problem(design, 1, REGRESSION)
    exact = enumerate_models(problem)
    optima = mean_field_optima(problem, exact, 12)
    assert (optima.elbo <= exact.log_evidence).all()
    assert (optima.elbo.diff() <= 0).all()
    logits = torch.logit(optima.active[0].clamp(1e-12, 1 - 1e-12))
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        noise = 0.05 * torch.randn(3, len(logits), generator=generator, dtype=torch.float64)
        near = (
            torch.sigmoid(logits + noise[0]),
            optima.loc[0] + noise[1],
            optima.variance[0] * noise[2].exp(),
        )
        assert strict_elbo(problem, *near) < optima.elbo[0]


def test_one_column_alone_is_answered_exactly():
    problem = problem_of(columns=4)
    alone = Problem(problem.x[:, :1], problem.y, 0.3, 1.4, 0.8)
    exact = enumerate_models(alone)
    optimum = mean_field_optima(alone, exact, 3)
    assert float(optimum.elbo[0]) == pytest.approx(exact.log_evidence, abs=1e-9)
    torch.testing.assert_close(optimum.active[0], exact.pips)


@pytest.fixture(scope="module")
def fitted():
    problem = draw_problem("correlated", 0, REGRESSION)
    model, data = make_model(problem), (problem.x.float(), problem.y.float())
    guide = AutoHardConcrete(model, data, slab="normal")
    l0bayes.fit(model, guide, data, steps=150, compile="eager", progress=False)
    return problem, model, data, guide


def test_the_closed_form_is_the_hardened_elbo(fitted):
    problem, model, data, guide = fitted
    estimate = l0bayes.hardened_elbo(model, guide, data, num_draws=1000)
    assert float(hardened(problem, guide).elbo) == pytest.approx(
        estimate.value, abs=4.0 * estimate.standard_error
    )


def test_the_closed_form_sums_over_all_gates(fitted):
    problem, _, _, guide = fitted
    found = hardened(problem, guide)
    with torch.no_grad():
        double = guide.harden().double()
        likelihood = expected_log_likelihood(double, problem.x, problem.y, problem.noise)
    gates = torch.distributions.kl_divergence(
        torch.distributions.Bernoulli(found.active),
        torch.distributions.Bernoulli(torch.full_like(found.active, problem.inclusion)),
    )
    slabs = torch.distributions.kl_divergence(
        torch.distributions.Normal(found.loc, found.variance.sqrt()),
        torch.distributions.Normal(torch.zeros_like(found.loc), torch.ones_like(found.loc)),
    )
    expected = likelihood - gates.sum() - (found.active * slabs).sum()
    assert float(found.elbo) == pytest.approx(float(expected), abs=1e-4)


def test_every_gate_law_takes_part():
    assert {one.gate_law for one in CANDIDATES} >= set(GATE_FAMILIES)
    assert len({one.name for one in CANDIDATES}) == len(CANDIDATES)
    with pytest.raises(ValueError, match="only must name some of"):
        candidates_for("a", ["soft_concrete"])


def one_of_each(part):
    first = {}
    for one in candidates_for(part):
        if one.gate_law in GATE_FAMILIES:
            first.setdefault((one.gate_law, one.options.get("estimator")), one.name)
    return list(first.values())


def test_every_gate_law_runs_through_the_regressions(tmp_path):
    names = one_of_each("a")
    result = run_part("a", 1, tmp_path, only=names, quick=True, changes={"steps": 5})
    assert [one["name"] for one in result["candidates"]] == names * 2
    for one in result["candidates"]:
        run = one["runs"][0]
        assert 0.0 <= run["largest_error_exact"] <= 1.0
        if one["gate_law"] == "concrete_dropout":
            assert run["hardened_elbo"] is None
            assert "neither a bound" in one["reason"]
        else:
            assert run["evidence_gap"] > 0.0
            assert run["largest_error_optimum"] <= 1.0
    lines = (tmp_path / "regression.jsonl").read_text().splitlines()
    assert len(lines) == 2 * len(names)
    again = run_part("a", 1, tmp_path, only=names, quick=True, changes={"steps": 5})
    assert again["candidates"] == result["candidates"]
    assert (tmp_path / "regression.jsonl").read_text().splitlines() == lines


@pytest.mark.slow
def test_a_network_runs_and_the_pictures_are_drawn(tmp_path):
    names = ["hard_concrete-0.67", "disarm-per-example", "concrete_dropout-0.1"]
    digits = run_part("b", 2, None, only=names, quick=True, changes={"epochs": 1})
    regression = run_part("a", 2, None, only=names[::2], quick=True, changes={"steps": 3})
    for result in (digits, regression):
        json.dumps(result)
        (tmp_path / f"relaxations-{result['part']}.json").write_text(json.dumps(result))
    for one in digits["candidates"]:
        assert one["summary"]["test_error"]["half_width"] is not None
        for run in one["runs"]:
            assert run["gap"] == pytest.approx(run["expected_share"] - run["deployed_share"])
    files = draw_figures(tmp_path)
    assert [file.name for file in files] == [
        f"relaxations-{name}.png" for name in ("regression", "networks", "gaps")
    ]
    assert all(file.stat().st_size < 150_000 for file in files)


def test_records_survive_a_line_that_was_cut_off(tmp_path):
    file = tmp_path / "runs.jsonl"
    Records(file).get({"seed": 0}, lambda: {"value": 1.5})
    with file.open("a") as stream:
        stream.write('{"key": {"seed": 1}, "res')
    records = Records(file)
    assert records.find({"seed": 0}) == {"value": 1.5}
    assert records.find({"seed": 1}) is None


def test_intervals():
    found = interval([1.0, None, 3.0])
    assert found["mean"] == 2.0
    assert found["half_width"] == pytest.approx(12.706, abs=1e-3)
    assert found["all"] == [1.0, None, 3.0]
    assert interval([None]) is None
    assert interval([2.0])["half_width"] is None
