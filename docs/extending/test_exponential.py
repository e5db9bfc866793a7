"""The likelihood passes its suite, and works wherever those of the package do."""

import math

import pandas as pd
import pyro.distributions as dist
import torch
from exponential import Exponential

import l0bayes
from l0bayes.apps.select import SelectSettings, select
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseRegression
from l0bayes.testing.likelihood_suite import LikelihoodSuite


class TestExponential(LikelihoodSuite):
    possible = torch.tensor([0.1, 1.0, 7.0, 0.4])
    impossible = (-1.0, 0.0, math.inf)
    interval = (0.0, math.inf)

    def likelihood(self):
        return Exponential()


def times(rows=120):
    torch.manual_seed(0)
    x = torch.randn(rows, 4)
    return x, dist.Exponential(torch.exp(-(1.0 + 0.8 * x[:, 1]))).sample()


def test_a_fit_is_refined_by_both_engines():
    x, y = times()
    model = SparseRegression(4, "exponential", inclusion=0.3)
    guide = AutoHardConcrete(model, (x, y), temperature=0.1)
    fit = l0bayes.fit(model, guide, (x, y), steps=200, progress=False)
    exact, sampled = (l0bayes.refine(fit, engine) for engine in ("exact", "gibbs"))
    assert exact.problem.likelihood.name == "exponential"
    assert exact.pip("beta")[1] > 0.99
    assert (exact.pip("beta") - sampled.pip("beta")).abs().max() < 0.02


def test_a_report_is_written(tmp_path):
    x, y = times()
    table = pd.DataFrame(x.numpy(), columns=["dose", "age", "sex", "bmi"]).assign(days=y.numpy())
    table.to_csv(tmp_path / "patients.csv", index=False)
    settings = SelectSettings(likelihood="exponential")
    found = select(tmp_path / "patients.csv", "days ~ .", tmp_path / "report", settings)
    assert found.summary.index[0] == "age"
    assert Exponential.words.kind in (tmp_path / "report" / "report.html").read_text()
