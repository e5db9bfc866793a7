"""Metropolis steps over models (Madigan and York, 1995), for a Gaussian response of known noise."""

import random
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from l0bayes.selection import Diagnostics, Engine, ModelDraws, SelectionPosterior, Trust, register_engine


@dataclass(frozen=True)
class MetropolisOptions:
    steps: int = 20_000


@dataclass(frozen=True, kw_only=True)
class MetropolisDiagnostics(Diagnostics):
    method: ClassVar[str] = "models were sampled, one gate flipped at a time"
    evidence: ClassVar[str] = "closed form"
    difference: float  # largest, between how often a gate was open and its weighted estimate

    def verdict(self, posterior: SelectionPosterior, *, seed: int = 0) -> Trust:
        word = "reliable" if self.difference < 0.02 else "doubtful"
        return Trust(word, (f"Two estimates differ by {self.difference:.3f}.",), mcse=self.difference)


class MetropolisEngine(Engine[MetropolisOptions]):
    """Visits models in proportion to their posterior, then weights those visited by their evidence."""

    name = "metropolis"
    options = MetropolisOptions

    def supports(self, problem: Any, options: MetropolisOptions) -> str | None:
        if problem.is_gaussian and problem.noise_prior is None and problem.num_groups <= 12:
            return None
        return "it is for Gaussian problems of known noise with at most 12 gates: use 'gibbs'"

    def accuracy(self, problem: Any, options: MetropolisOptions) -> float:
        return 0.02

    def infer(self, problem, options, *, start=None, seed=0, progress=lambda share: None):
        dice, count = random.Random(seed), problem.num_groups
        model, visits, found = (0,) * count, {}, {}
        for step in range(options.steps):
            gate = dice.randrange(count)
            other = (*model[:gate], 1 - model[gate], *model[gate + 1 :])
            for each in {model, other} - set(found):
                found[each] = of_model(problem, torch.tensor(each, dtype=torch.float64))
            if dice.random() < (found[other][0] - found[model][0]).exp():
                model = other
            visits[model] = visits.get(model, 0) + 1
            progress((step + 1) / options.steps)
        gates = torch.tensor(list(found), dtype=torch.float64)
        score, mean, second = (torch.stack(values) for values in zip(*found.values(), strict=True))
        weights = score.softmax(0)
        seen = torch.tensor([visits.get(each, 0) for each in found], dtype=torch.float64) / options.steps
        error = ((weights - seen) @ gates).abs()
        draws = ModelDraws(gates, 0 * score + problem.noise_variance, weights, 0 * score.long())
        sizes = torch.zeros(count + 1, dtype=torch.float64).index_add_(0, gates.sum(1).long(), weights)
        moments = (weights @ gates, error, weights @ mean, weights @ second, float("nan"), sizes, draws)
        diagnostics = MetropolisDiagnostics(difference=float(error.max()))
        return SelectionPosterior(self.name, problem, *moments, diagnostics)


def of_model(problem: Any, gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log posterior of a model up to a constant, mean and second moment of its coefficients."""
    variance = torch.tensor(problem.noise_variance, dtype=torch.float64)
    kept = torch.cat([torch.ones(problem.num_unpenalised), gates[problem.groups]]) > 0
    prior = problem.precision(variance)[kept]
    posterior = torch.linalg.inv(problem.gram.matrix[kept][:, kept] / variance + torch.diag(prior))
    mean = posterior @ problem.gram.vector[kept] / variance
    fit = mean @ problem.gram.vector[kept] / variance + posterior.logdet() + prior[prior > 0].log().sum()
    both = torch.zeros(2, len(kept), dtype=torch.float64)
    both[:, kept] = torch.stack([mean, mean.square() + posterior.diagonal()])
    return 0.5 * fit + problem.prior.log_prob(gates), *both[:, problem.num_unpenalised :]


register_engine(MetropolisEngine())
