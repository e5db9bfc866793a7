r"""Gates and slabs of all restarts of a variational fit, optimised in one batch."""

from __future__ import annotations

import math
from typing import Any

import pyro
import torch
import torch.fx.experimental.proxy_tensor
from torch import Tensor

from l0bayes.distributions import GateLaw
from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.engines.engine import Progress, silent
from l0bayes.selection.engines.svi_records import SVIOptions
from l0bayes.selection.engines.svi_response import response_term
from l0bayes.selection.kernels.mean_field import Factors, gate_kl
from l0bayes.selection.kernels.relaxations import relaxation_of
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["SVIRun"]


class SVIRun:
    """Parameters of all restarts, one a row, and their objective.

    Args:
        problem: The problem.
        options: Gate law, length and width.

    Attributes:
        response: The response's part of the objective.
        parameters: Those of gates, means, scales and noise, side by side, shape ``(R, m)``.
    """

    def __init__(self, problem: SelectionProblem, options: SVIOptions) -> None:
        self.problem, self.options = problem, options
        self.relaxation = relaxation_of(options.gate_law, *options.temperature)
        self.response = response_term(problem)
        self.k = problem.num_unpenalised
        response, slab = self.response, problem.slab_scale
        if response.slab_scaled_by_noise:
            slab = slab * math.sqrt(response.first_variance)
        self.prior_scale = torch.cat([problem.unpenalised_scale, slab])
        gates, self.start, alone = self._starts()
        diagonal = response.working.gram.matrix.diagonal()
        self.unit = torch.sqrt(response.unit / diagonal.clamp(min=1e-300))
        self.unit = torch.minimum(self.unit, 3.0 * self.prior_scale)
        count = options.restarts
        noise = [math.log(response.first_variance), 0.5 * math.log(2.0 / response.num_responses)]
        parts = {
            "gates": (self.relaxation.start(gates), options.gate_lr),
            "loc": (torch.zeros_like(self.start), options.lr),
            "log_scale": (alone.log().expand(count, -1), options.gate_lr),
            "noise": (torch.tensor([noise], dtype=torch.float64).expand(count, -1), options.gate_lr),
        }
        self.sizes = [value.shape[1] for value, _ in parts.values()]
        self.parameters = torch.cat([value for value, _ in parts.values()], 1).clone()
        self.rates = torch.cat([value.new_full((value.shape[1],), rate) for value, rate in parts.values()])

    def _starts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Gate logits, ridge means given these, and the posterior scale of each coefficient by itself."""
        problem, working, count = self.problem, self.response.working, self.options.restarts
        gram, variance = working.gram, self.response.first_variance
        logits = 2.0 * torch.randn(count, problem.num_groups, dtype=torch.float64)
        logits[0] = 0.0
        share = torch.sigmoid(logits)[:, problem.groups]
        share = torch.cat([share.new_ones(count, self.k), share], 1)
        far = math.sqrt(float(gram.square)) + 1.0
        prior = share * self.prior_scale.clamp(max=1e3 * far).square()
        if self.response.by_rows:
            root = working.weights.sqrt()
            rows = working.columns * root[:, None]
            response = (working.y - working.offset) * root
            inner = (rows * prior[:, None, :]) @ rows.T
            inner = inner + variance * torch.eye(len(rows), dtype=torch.float64)
            solved = torch.linalg.solve(inner, response.expand(count, -1)[..., None])[..., 0]
            means = prior * (solved @ rows)
        else:
            factor = torch.linalg.cholesky(gram.matrix / variance + torch.diag_embed(prior.reciprocal()))
            vector = (gram.vector / variance).expand(count, -1)[..., None]
            means = torch.cholesky_solve(vector, factor)[..., 0]
        diagonal = gram.matrix.diagonal() / variance
        alone = (diagonal + self.prior_scale.square().reciprocal()).rsqrt()
        return logits, means, alone

    def optimise(self, progress: Progress = silent) -> Factors:
        """Adam with the learning rate falling over the second half.

        Args:
            progress: Called with the share of the work that is done.
        """
        options, memory = self.options, self.response.memory
        value = self.parameters
        first, second = torch.zeros_like(value), torch.zeros_like(value)
        hot, cold = options.temperature
        temperature = value.new_tensor(hot)
        gradient_of = self._capture(value, temperature)
        for step in range(options.steps):
            share = step / options.steps
            progress(share)
            temperature.fill_(hot * (cold / hot) ** min(1.0, 1.5 * share))
            gradient = gradient_of(value, temperature)
            first.lerp_(gradient, 0.1)
            second.mul_(memory).addcmul_(gradient, gradient, value=1.0 - memory)
            fade = min(1.0, 2.0 * (1.0 - share) + 0.02) / (1.0 - 0.9 ** (step + 1))
            root = (second / (1.0 - memory ** (step + 1))).sqrt_().add_(1e-12)
            value.addcdiv_(first * self.rates, root, value=-fade)
        law, loc, scale, _, _ = self.read(value, temperature)
        return self._factors(law, loc, scale)

    def _capture(self, value: Tensor, temperature: Tensor) -> Any:
        """The gradient as a graph of plain operations, random draws included, run without autograd."""

        def total(parameters: Tensor, at: Tensor) -> Tensor:
            return self.loss(parameters, at).sum()

        with private_randomness(), pyro.validation_enabled(False):  # validation would branch on values
            graph = torch.fx.experimental.proxy_tensor.make_fx(torch.func.grad(total))(
                value.clone(), temperature.clone()
            )
        graph.graph.eliminate_dead_code()
        graph.recompile()
        return graph

    def read(self, parameters: Tensor, temperature: Tensor) -> tuple[GateLaw, Tensor, Tensor, Tensor, Tensor]:
        """Gate law, mean and scale of all coefficients, mean and scale of log σ².

        Args:
            parameters: As ``self.parameters``.
            temperature: Of the gates, a scalar.
        """
        gates, loc, log_scale, noise = parameters.split(self.sizes, 1)
        law = self.relaxation.law(gates, temperature)
        return law, self.start + self.unit * loc, log_scale.exp(), noise[:, 0], noise[:, 1].exp()

    def _factors(self, law: GateLaw, loc: Tensor, scale: Tensor) -> Factors:
        k = self.k
        return Factors(law.activity_logits, loc[:, k:], scale[:, k:], loc[:, :k], scale[:, :k])

    def loss(self, parameters: Tensor, temperature: Tensor) -> Tensor:
        """Negative relaxed ELBO of every restart, up to a constant, shape ``(R,)``.

        Args:
            parameters: As ``self.parameters``.
            temperature: Of the gates, a scalar.
        """
        problem, k, particles = self.problem, self.k, self.options.particles
        law, loc, scale, noise_loc, noise_scale = self.read(parameters, temperature)
        noise = self.response.noise(noise_loc, noise_scale)
        factors = self._factors(law, loc, scale)
        if law.has_rsample:
            z = law.rsample((particles,))[..., problem.groups]
            theta = loc + scale * torch.randn(particles, *loc.shape, dtype=loc.dtype)
            beta = torch.cat([theta[..., :k], z * theta[..., k:]], -1)
            likelihood = self.response.log_likelihood(beta, noise).mean(0)
        else:
            likelihood = self.response.expected_log_likelihood(factors, noise, particles)
        active = torch.sigmoid(factors.logits)[:, problem.groups]
        square = loc.square() + scale.square()
        slab = square[:, k:] / problem.slab_scale.square()
        cost = -scale[:, k:].log()
        if self.response.slab_scaled_by_noise:
            slab = slab * noise.precision[:, None]
            cost = cost + 0.5 * noise.log_variance[:, None]
        cost = active * (cost + problem.slab_scale.log() - 0.5 + 0.5 * slab)
        fixed = 0.5 * square[:, :k] / problem.unpenalised_scale.square() - scale[:, :k].log()
        return gate_kl(problem.prior, factors.logits) + cost.sum(1) + fixed.sum(1) + noise.kl - likelihood
