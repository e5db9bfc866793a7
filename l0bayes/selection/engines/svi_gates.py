r"""Gates and slabs by stochastic variational inference, all restarts in one batch."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import pyro
import torch
import torch.fx.experimental.proxy_tensor
from torch import Tensor

from l0bayes.distributions import GateLaw
from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.kernels.gram import Gram
from l0bayes.selection.kernels.mean_field import Factors, expected_squares, gate_kl, hardened_elbos
from l0bayes.selection.kernels.mixture import mixture_of_modes
from l0bayes.selection.kernels.relaxations import RELAXATIONS, Relaxation, binary_log_likelihood
from l0bayes.selection.kernels.ridge_expansion import expand_at_ridge
from l0bayes.selection.problem.glm_problem import GLMProblem
from l0bayes.selection.problem.linear_problem import InverseGamma, LinearProblem
from l0bayes.selection.problem.selection_posterior import SelectionPosterior

__all__ = ["SVIOptions", "fit_gates"]


@dataclass(frozen=True)
class SVIOptions:
    """How long and how wide the optimisation runs.

    Args:
        restarts: Number of runs, optimised in one batch; the first starts dense, the others from random
            subsets of the gates.
        steps: Steps of Adam.
        particles: Draws a step, of every run.
        lr: Learning rate of slabs, in units in which the response has the size of one.
        gate_lr: Learning rate of gates, in logits, and of scales and noise, in logarithms.
        temperature: Temperature of the gates at the start and at the end, between which it falls
            geometrically.

    Raises:
        ValueError: If a number is out of range.
    """

    restarts: int = 16
    steps: int = 600
    particles: int = 2
    lr: float = 0.02
    gate_lr: float = 0.1
    temperature: tuple[float, float] = (2.0 / 3.0, 0.1)

    def __post_init__(self) -> None:
        for name in ("restarts", "steps", "particles"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        for name in ("lr", "gate_lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}")
        if not (len(self.temperature) == 2 and min(self.temperature) > 0):
            raise ValueError(f"temperature must be two positive numbers, got {self.temperature!r}")


@torch.no_grad()
def fit_gates(
    problem: LinearProblem,
    *,
    family: str = "hard_concrete",
    options: SVIOptions | None = None,
    num_draws: int = 4000,
    seed: int = 0,
) -> SelectionPosterior:
    r"""Mean-field posteriors of several runs, averaged by what their hardened ELBO says they are worth.

    Every run maximises the ELBO with relaxed gates,

    .. math:: E_q[\log p(y \mid z \odot \theta, \alpha)] - \mathrm{KL}(q(z \ne 0)\,\|\,p)
        - \sum_j q(z_{g(j)} \ne 0)\,\mathrm{KL}(q(\theta_j)\,\|\,p(\theta_j)) - \dots,

    over gates of a family, Normal slabs, Normal coefficients without a gate and a log-normal noise variance;
    gates and coefficients are drawn, each run its own. Gates of the family ``"bernoulli"`` are not relaxed:
    the objective is the ELBO itself, for a Gaussian problem in closed form, otherwise estimated without bias
    by :func:`~l0bayes.selection.kernels.relaxations.binary_log_likelihood`. π ~ Beta(a, b) is integrated out
    under its optimal law. Afterwards gates count as Bernoulli with the same activity, each mode found counts
    once, and modes k are mixed with weights :math:`\propto e^{\mathrm{ELBO}_k}`.

    Args:
        problem: The problem, Gaussian or generalised.
        family: ``"hard_concrete"``, ``"concrete"``, ``"hard_kumaraswamy"``, ``"rectified_normal"`` or
            ``"bernoulli"``.
        options: Length and width.
        num_draws: Size of the sample of models that is handed on.
        seed: Seed.

    Returns:
        The posterior of the engine ``"svi"``. There is no evidence; ``diagnostics`` hold its lower bound
        ``elbo``, and of every run ``restart_elbo`` and ``restart_pip``, the mode it belongs to (``mode``),
        the modes' ``mode_weights`` and ``mode_factors``, and Pareto's ``k_hat`` of their mixture (see
        :func:`~l0bayes.selection.kernels.mixture.mixture_of_modes`).

    Raises:
        ValueError: If the family is unknown, or has no probability of its own for each gate.
    """
    options = options or SVIOptions()
    if family not in RELAXATIONS:
        raise ValueError(
            f"family must be one of {', '.join(RELAXATIONS)} for the engine 'svi'; got {family!r}"
        )
    started = time.perf_counter()
    with private_randomness(seed):
        run = _Run(problem, RELAXATIONS[family], options)
        factors = run.optimise()
        elbos = hardened_elbos(problem, run.gram, factors)
        posterior = mixture_of_modes(problem, run.gram, factors, elbos, num_draws)
    posterior.diagnostics.update(
        family=family,
        steps=options.steps,
        restarts=options.restarts,
        seconds=time.perf_counter() - started,
    )
    return posterior


class _Run:
    """Parameters of all restarts and their objective; rows are restarts."""

    def __init__(self, problem: LinearProblem, relaxation: Relaxation, options: SVIOptions) -> None:
        self.problem, self.relaxation, self.options = problem, relaxation, options
        self.rows = problem.num_observations  # a number before anything is traced
        self.glm = problem if isinstance(problem, GLMProblem) else None
        working = Gram.of(problem) if self.glm is None else expand_at_ridge(self.glm, problem.slab_scale)
        self.gram = working
        self.k = problem.always.shape[1]
        self.groups = problem.groups
        self.by_rows = self.glm is not None or problem.num_rows < self.k + problem.num_columns
        self.columns = torch.cat([problem.always, problem.x], 1)
        slab = problem.slab_scale
        if problem.slab_scaled_by_noise:
            slab = slab * math.sqrt(self._first_noise())
        self.prior_scale = torch.cat([problem.always_scale, slab])
        variance = 1.0 if self.glm is not None else self._first_noise()
        gates, means, alone = self._starts(variance)
        # A step of Adam is to move every coefficient by about as much of the response.
        size = 1.0 if self.glm is not None else float(working.square)
        rows = float(working.problem.weights.sum()) if self.glm is not None else 1.0
        self.unit = torch.sqrt(size * rows / working.matrix.diagonal().clamp(min=1e-300))
        self.unit = torch.minimum(self.unit, 3.0 * self.prior_scale)
        count = options.restarts
        self.start = means
        parts = {
            "gates": relaxation.start(gates),
            "loc": torch.zeros_like(means),
            "log_scale": alone.log().expand(count, -1),
            "noise": torch.tensor(
                [[math.log(variance), 0.5 * math.log(2.0 / problem.num_observations)]], dtype=torch.float64
            ).expand(count, -1),
        }
        self.sizes = {name: value.shape[1] for name, value in parts.items()}
        self.parameters = torch.cat(list(parts.values()), 1).clone()
        rates = {
            "gates": options.gate_lr,
            "loc": options.lr,
            "log_scale": options.gate_lr,
            "noise": options.gate_lr,
        }
        self.rates = torch.cat(
            [torch.full((n,), rates[name], dtype=torch.float64) for name, n in self.sizes.items()]
        )

    def _first_noise(self) -> float:
        """With half of the response unexplained; what the ridge leaves unexplained is nothing where p > n."""
        noise = self.problem.noise
        if not isinstance(noise, InverseGamma):
            return float(noise) ** 2
        left = float(Gram.of(self.problem).square)
        return (noise.rate + 0.25 * left) / (noise.shape + 0.5 * self.rows)

    def _starts(self, variance: float) -> tuple[Tensor, Tensor, Tensor]:
        """Gate logits, ridge means under them, spread of each coefficient alone."""
        problem, gram, count = self.problem, self.gram, self.options.restarts
        logits = 2.0 * torch.randn(count, problem.num_groups, dtype=torch.float64)
        logits[0] = 0.0
        share = torch.sigmoid(logits)[:, self.groups]
        share = torch.cat([share.new_ones(count, self.k), share], 1)
        far = math.sqrt(float(gram.square)) + 1.0
        prior = share * self.prior_scale.clamp(max=1e3 * far).square()
        if self.by_rows:
            working = gram.problem
            root = working.weights.sqrt()
            rows = torch.cat([working.always, working.x], 1) * root[:, None]
            response = (working.y - working.offset) * root
            inner = (rows * prior[:, None, :]) @ rows.T
            inner = inner + variance * torch.eye(len(rows), dtype=torch.float64)
            solved = torch.linalg.solve(inner, response.expand(count, -1)[..., None])[..., 0]
            means = prior * (solved @ rows)
        else:
            matrix = gram.matrix / variance + torch.diag_embed(prior.reciprocal())
            factor = torch.linalg.cholesky(matrix)
            means = torch.cholesky_solve((gram.vector / variance).expand(count, -1)[..., None], factor)[
                ..., 0
            ]
        diagonal = gram.matrix.diagonal() / variance
        alone = (diagonal + self.prior_scale.square().reciprocal()).rsqrt()
        return logits, means, alone

    def optimise(self) -> Factors:
        """Adam with the learning rate falling over the second half."""
        options = self.options
        # Where rows say much, as large counts do, gates that are nearly sure have slopes that fall
        # exponentially; a longer memory of what they were would hold them where they are.
        memory = 0.99 if self.glm is None else 0.95
        value = self.parameters
        first, second = torch.zeros_like(value), torch.zeros_like(value)
        hot, cold = options.temperature
        temperature = value.new_tensor(hot)
        gradient_of = self._capture(value, temperature)
        for step in range(options.steps):
            progress = step / options.steps
            temperature.fill_(hot * (cold / hot) ** min(1.0, 1.5 * progress))
            gradient = gradient_of(value, temperature)
            first.lerp_(gradient, 0.1)
            second.mul_(memory).addcmul_(gradient, gradient, value=1.0 - memory)
            fade = min(1.0, 2.0 * (1.0 - progress) + 0.02) / (1.0 - 0.9 ** (step + 1))
            root = (second / (1.0 - memory ** (step + 1))).sqrt_().add_(1e-12)
            value.addcdiv_(first * self.rates, root, value=-fade)
        law, loc, scale, _, _ = self._read(value, temperature)
        k = self.k
        return Factors(law.activity_logits, loc[:, k:], scale[:, k:], loc[:, :k], scale[:, :k])

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

    def _read(
        self, parameters: Tensor, temperature: Tensor
    ) -> tuple[GateLaw, Tensor, Tensor, Tensor, Tensor]:
        """Gate law, mean and spread of all coefficients, mean and spread of log σ²."""
        gates, loc, log_scale, noise = parameters.split(list(self.sizes.values()), 1)
        law = self.relaxation.law(gates, temperature)
        return law, self.start + self.unit * loc, log_scale.exp(), noise[:, 0], noise[:, 1].exp()

    def loss(self, parameters: Tensor, temperature: Tensor) -> Tensor:
        """Negative relaxed ELBO of every restart, without what is constant."""
        problem, k, particles = self.problem, self.k, self.options.particles
        law, loc, scale, noise_loc, noise_scale = self._read(parameters, temperature)
        precision, log_variance, penalty = self._noise(noise_loc, noise_scale)
        logits = law.activity_logits
        factors = Factors(logits, loc[:, k:], scale[:, k:], loc[:, :k], scale[:, :k])
        if law.has_rsample:
            z = law.rsample((particles,))[..., self.groups]
            theta = loc + scale * torch.randn(particles, *loc.shape, dtype=loc.dtype)
            beta = torch.cat([theta[..., :k], z * theta[..., k:]], -1)
            likelihood = self._log_likelihood(beta, precision, log_variance).mean(0)
        elif self.glm is None:
            squares = expected_squares(problem, self.gram, factors)
            likelihood = -0.5 * precision * squares - 0.5 * self.rows * log_variance
        else:
            likelihood = binary_log_likelihood(self.glm, factors, particles)
        active = torch.sigmoid(logits)[:, self.groups]
        square = loc.square() + scale.square()
        slab = square[:, k:] / problem.slab_scale.square()
        cost = -scale[:, k:].log()
        if problem.slab_scaled_by_noise:
            slab = slab * precision[:, None]
            cost = cost + 0.5 * log_variance[:, None]
        cost = active * (cost + problem.slab_scale.log() - 0.5 + 0.5 * slab)
        fixed = 0.5 * square[:, :k] / problem.always_scale.square() - scale[:, :k].log()
        return gate_kl(problem.prior, logits) + cost.sum(1) + fixed.sum(1) + penalty - likelihood

    def _noise(self, loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """E[1/σ²], E[log σ²] and the KL of the noise."""
        noise = self.problem.noise
        if not isinstance(noise, InverseGamma):
            variance = loc.new_tensor(float(noise) ** 2).expand(loc.shape)
            return variance.reciprocal(), variance.log(), loc.new_zeros(loc.shape)
        precision = torch.exp(-loc + 0.5 * scale.square())
        # In t = log σ²: a t + b e^-t, less the entropy.
        return precision, loc, noise.shape * loc + noise.rate * precision - scale.log()

    def _log_likelihood(self, beta: Tensor, precision: Tensor, log_variance: Tensor) -> Tensor:
        problem, gram = self.problem, self.gram
        if self.glm is not None:
            eta = problem.offset + beta @ self.columns.T
            value, slope = self.glm.likelihood.derivatives(problem.y, eta.detach(), 1)
            linear = slope * (eta - eta.detach())
            return (value + linear) @ problem.weights
        if self.by_rows:
            left = problem.y - problem.offset - beta @ self.columns.T
            squares = left.square() @ problem.weights
        else:
            squares = gram.square - 2.0 * beta @ gram.vector + ((beta @ gram.matrix) * beta).sum(-1)
        return -0.5 * precision * squares - 0.5 * self.rows * log_variance
