"""The verdict on fits: quiet on independent columns, loud on columns that say the same."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import l0bayes
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Minibatches
from l0bayes.models import SparseNetwork, SparseRegression
from l0bayes.selection import TrustWarning
from l0bayes.selection.kernels.rao_blackwell import rao_blackwell
from tests.guides.correlated import NOISE, exact, exact_slabs, joint_guide, model


def data(kind: str, likelihood: str = "gaussian") -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(200, 5, generator=generator)
    if kind == "duplicates":
        x[:, 1] = x[:, 0] + 0.05 * x[:, 1]
    y = x[:, 0] - x[:, 3] + torch.randn(200, generator=generator)
    return (x, (y > 0).float()) if likelihood == "bernoulli" else (x, y)


def fitted(kind: str, likelihood: str = "gaussian", slab: str = "normal", restarts: int = 1) -> l0bayes.Fit:
    arguments = data(kind, likelihood)
    model = SparseRegression(5, likelihood, inclusion=0.3)  # type: ignore[arg-type]
    guide = AutoHardConcrete(model, arguments, temperature=0.1, slab=slab)
    return l0bayes.fit(
        model, guide, arguments, steps=1500, restarts=restarts, progress=False, compile="graph"
    )


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_columns_that_say_the_same_are_found_out(likelihood: str) -> None:
    verdict = l0bayes.trust(fitted("duplicates", likelihood))
    assert not verdict
    assert verdict.residual is not None
    assert verdict.residual > 0.05
    assert verdict.worst["gate"] in (0, 1)
    with pytest.warns(TrustWarning, match=r"l0bayes\.refine\(fit\)"):
        verdict.warn()


def test_independent_columns_leave_no_residual() -> None:
    """What is left comes from the relaxed gates: the exact PIPs are within 0.03 of the fit's."""
    fit = fitted("independent")
    verdict = l0bayes.trust(fit)
    exact = l0bayes.refine(fit).changes()["beta.gate"]
    assert verdict.residual == pytest.approx(exact, abs=0.02)
    assert verdict.residual is not None
    assert verdict.residual < 0.05


def test_dependent_gates_that_are_right_are_left_alone() -> None:
    """Four columns of one block: independent draws at the exact PIPs would give 0.17."""
    generator = torch.Generator().manual_seed(4)
    shared, own = (torch.randn(40, k, generator=generator, dtype=torch.float64) for k in (1, 4))
    x = 0.9**0.5 * shared + 0.1**0.5 * own
    noise = torch.randn(40, generator=generator, dtype=torch.float64)
    y = 0.5 * x[:, 0] + 0.3 * x[:, 2] + NOISE * noise
    posterior = exact(x, y)
    guide = exact_slabs(joint_guide(x, y), x, y)
    drawn = posterior.draws
    _match_gates(guide, drawn.gates.double(), drawn.weights)
    assert (guide.gates()["beta.gate"].prob_active - posterior.pip).abs().max() < 0.02
    independent = rao_blackwell(posterior.problem, posterior.pip, num_draws=4000)
    assert (independent - posterior.pip).abs().max() > 0.1
    verdict = l0bayes.trust(l0bayes.Fit.of(model, guide, (x, y)))
    assert verdict.residual is not None
    assert verdict.residual < 0.025, str(verdict)
    with torch.no_grad():  # and gates that are not, are found out
        guide.coupling.get_parameter("beta/gate_unconstrained").zero_()
    verdict = l0bayes.trust(l0bayes.Fit.of(model, guide, (x, y)))
    assert verdict.verdict == "wrong"


@torch.no_grad()
def _match_gates(guide: Any, gates: Tensor, weights: Tensor) -> None:
    """The autoregressive gates nearest to weighted models: a logistic regression on those before, each."""
    for j in range(gates.shape[1]):
        before = torch.cat([torch.ones_like(gates[:, :1]), gates[:, :j]], 1)
        found = torch.zeros(j + 1, dtype=gates.dtype)
        for _ in range(30):
            q = torch.sigmoid(before @ found)
            curvature = (before * (weights * q * (1 - q))[:, None]).T @ before
            slope = before.T @ (weights * (gates[:, j] - q))
            found += torch.linalg.solve(curvature + 1e-9 * torch.eye(j + 1), slope)
        guide.logits.get_parameter("beta/gate_unconstrained")[j] = found[0]
        guide.coupling.get_parameter("beta/gate_unconstrained")[j, :j] = found[1:]


@pytest.mark.slow
def test_restarts_are_compared_and_points_have_no_k_hat() -> None:
    verdict = l0bayes.trust(fitted("duplicates", slab="delta", restarts=2))
    assert verdict.k_hat is None
    assert verdict.disagreement is not None
    single = l0bayes.trust(fitted("duplicates"))
    assert single.disagreement is None
    assert single.k_hat is not None


def test_a_network_has_no_residual() -> None:
    x, y = data("independent")
    net = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    model = SparseNetwork(net, num_data=200, example=x[:2], gates="input")
    labels = (y > 0).long()
    guide = AutoHardConcrete(model, (x[:2], labels[:2]), slab="normal")
    fit = l0bayes.fit(
        model, guide, (x, labels), steps=5, guard_collapse=False, progress=False, compile="eager"
    )
    verdict = l0bayes.trust(fit, num_draws=100)
    assert verdict.residual is None
    assert verdict.k_hat is not None


def test_minibatches_need_the_data() -> None:
    arguments = data("independent")
    model = SparseRegression(5, inclusion=0.3, noise_scale=1.0, num_data=200)
    guide = AutoHardConcrete(model, arguments)
    batches = Minibatches(*arguments, batch_size=50)
    fit = l0bayes.fit(model, guide, batches, steps=20, progress=False, compile="eager")
    with pytest.raises(TypeError, match="data must be a tuple of all the model's arguments; got Minibatches"):
        l0bayes.trust(fit)
    assert l0bayes.trust(fit, data=arguments).residual is not None


def curved(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Weights that enter through a tanh, so that no conditional is known."""
    slab = dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1)
    beta = l0bayes.spike_and_slab("beta", 0.3, slab)
    with pyro.plate("rows", len(x)):
        drawn: Tensor = pyro.sample("y", dist.Normal(torch.tanh(x @ beta), 0.5), obs=y)
    return drawn


@pytest.mark.parametrize("restarts", [1, 2])
def test_what_could_not_be_checked_is_not_called_plausible(restarts: int) -> None:
    """Restarts that agree are no evidence: all may have gone wrong in the same way."""
    guide = AutoHardConcrete(curved, data("independent"), slab="delta", temperature=0.1)
    fit = l0bayes.fit(
        curved, guide, data("independent"), steps=1000, restarts=restarts, progress=False, compile="eager"
    )
    verdict = l0bayes.trust(fit)
    assert verdict.verdict == ("unchecked" if restarts == 1 or verdict.disagreement <= 0.1 else "doubtful")  # type: ignore[operator]
    assert not verdict
    assert "exact conditionals" in str(verdict)
    assert "points" in str(verdict)
    with pytest.warns(TrustWarning):
        verdict.warn()


def test_importance_ratios_alone_are_evidence() -> None:
    guide = AutoHardConcrete(curved, data("independent"), temperature=0.1)
    fit = l0bayes.fit(curved, guide, data("independent"), steps=1000, progress=False, compile="eager")
    verdict = l0bayes.trust(fit)
    assert verdict.residual is None
    assert verdict.verdict in ("plausible", "doubtful")


def test_a_model_or_guide_in_the_place_of_a_fit_is_refused():
    for judge in (l0bayes.trust, l0bayes.refine):
        with pytest.raises(TypeError, match=r"fit must be what l0bayes.fit returned, .* got function"):
            judge(model)
