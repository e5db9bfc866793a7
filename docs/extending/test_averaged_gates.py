"""The callback passes its suite, and averages."""

import torch
from averaged_gates import AveragedGates

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseRegression
from l0bayes.testing.callback_suite import CallbackSuite


class TestAveragedGates(CallbackSuite):
    def callback(self):
        return AveragedGates(0.9)


def test_the_average_lies_between_start_and_end():
    torch.manual_seed(0)
    x = torch.randn(100, 3)
    y = 2.0 * x[:, 0] + 0.3 * torch.randn(100)
    model = SparseRegression(3, inclusion=0.1)
    guide, averaged = AutoHardConcrete(model, (x, y)), AveragedGates()
    start = guide.gates()["beta.gate"].prob_active[1].item()
    fit = l0bayes.fit(model, guide, (x, y), steps=300, progress=False, callbacks=[averaged])
    end = guide.gates()["beta.gate"].prob_active[1].item()
    assert end < averaged.mean["beta.gate"][1] < start
    assert len(fit.history.columns["averaged_l0"]) == len(fit.history.step)
