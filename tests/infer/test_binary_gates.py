"""Binary gates inside the mean-field ELBO: value, gradient, and where it has to say no."""

from __future__ import annotations

import itertools
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import l0bayes
from l0bayes.distributions import BernoulliGate, Gate
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete
from l0bayes.infer import GATE_GRADIENT, RLOO, DisARM, GradientStep, MeanFieldELBO, describe_objective

torch.manual_seed(0)
X = torch.randn(30, 4, dtype=torch.float64)
Y = X @ torch.tensor([1.0, 0.0, -0.7, 0.3], dtype=torch.float64) + 0.5 * torch.randn(30, dtype=torch.float64)
DATA = (X, Y)


def regression(x: Tensor, y: Tensor) -> None:
    prior = dist.Normal(x.new_zeros(4), 1.0).to_event(1)
    w = l0bayes.spike_and_slab("w", inclusion=0.3, slab=prior)
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal((x * w).sum(-1), 0.5), obs=y)


def logistic(x: Tensor, y: Tensor) -> None:
    """Curved in the gates, in a plate that draws its own subsample."""
    prior = dist.Normal(x.new_zeros(4), 1.0).to_event(1)
    w = l0bayes.spike_and_slab("w", inclusion=0.3, slab=prior)
    with pyro.plate("rows", len(x), subsample_size=10) as rows:
        pyro.sample("y", dist.Bernoulli(logits=3.0 * x[rows] @ w), obs=(y[rows] > 0).double())


def guide_of(model: Any, **options: Any) -> AutoBernoulliGates:
    guide = AutoBernoulliGates(model, DATA, slab="delta", **options).double()
    with torch.no_grad():
        getattr(guide.logits, "w/gate").copy_(torch.tensor([0.8, -0.5, 0.0, -1.5]))
        getattr(guide.loc, "w/slab").copy_(torch.tensor([0.9, 0.4, -0.6, 0.5]))
    return guide


def exact_loss(logits: Tensor, slab: Tensor) -> Tensor:
    """The expected loss of ``regression`` for point slabs, gates enumerated."""
    gates = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)
    law = BernoulliGate(logits)
    weights = law.log_prob(gates).sum(-1).exp()
    mean = (gates * slab) @ X.T
    likelihood = (weights * dist.Normal(mean, 0.5).log_prob(Y).sum(-1)).sum()
    kl = torch.distributions.kl_divergence(law, Gate(torch.tensor(0.3, dtype=torch.float64))).sum()
    slab_kl = -(law.prob_active * dist.Normal(0.0, 1.0).log_prob(slab)).sum()
    return kl + slab_kl - likelihood


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"estimator": "rloo"}, {"estimator": "rloo", "num_evaluations": 4}], ids=str
)
def test_the_gradient_is_that_of_the_enumerated_objective(options: dict[str, Any]) -> None:
    """Gates and slabs alike, within 4.5 standard errors in each coordinate."""
    guide = guide_of(regression, **options)
    logits = getattr(guide.logits, "w/gate").detach().clone().requires_grad_()
    slab = getattr(guide.loc, "w/slab").detach().clone().requires_grad_()
    loss = exact_loss(logits, slab)
    wanted = dict(zip(("logits", "loc"), torch.autograd.grad(loss, (logits, slab)), strict=True))
    step = GradientStep(MeanFieldELBO()(regression, guide), "graph")
    torch.manual_seed(3)
    found: dict[str, list[Tensor]] = {"logits": [], "loc": [], "loss": []}
    for _ in range(3000):
        found["loss"].append(step(DATA)[0].clone())
        for name in ("logits", "loc"):
            (parameter,) = getattr(guide, name).parameters()
            assert parameter.grad is not None
            found[name].append(parameter.grad.clone())
    for name, target in {**wanted, "loss": loss.detach()}.items():
        values = torch.stack(found[name])
        error = (values.mean(0) - target).abs() / (values.std(0) / len(values) ** 0.5)
        assert (error < 4.5).all(), (name, error)


def expected_loss(logits: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """The expected loss of ``regression`` for Normal slabs: gates enumerated, slabs integrated."""
    gates = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)
    law = BernoulliGate(logits)
    weights = law.log_prob(gates).sum(-1).exp()
    fit = dist.Normal((gates * loc) @ X.T, 0.5).log_prob(Y).sum(-1)
    spread = gates @ (scale.square() * X.square().sum(0)) / (2 * 0.5**2)
    kl = torch.distributions.kl_divergence(law, Gate(torch.tensor(0.3, dtype=torch.float64))).sum()
    slab_kl = torch.distributions.kl_divergence(dist.Normal(loc, scale), dist.Normal(0.0 * loc, 1.0))
    return kl + (law.prob_active * slab_kl).sum() - (weights * (fit - spread)).sum()


def finite_differences(function: Any, values: list[Tensor], step: float = 1e-5) -> list[Tensor]:
    found = []
    for index, value in enumerate(values):
        gradient = torch.zeros_like(value)
        for j in range(value.numel()):
            ends = []
            for shift in (-step, step):
                moved = [one.clone() for one in values]
                moved[index][j] += shift
                ends.append(function(*moved))
            gradient[j] = (ends[1] - ends[0]) / (2 * step)
        found.append(gradient)
    return found


def averaged_gradients(objective: Any, parameters: list[Any], data: Any, count: int, seed: int) -> Any:
    """Mean gradients and their standard errors."""
    step, found = GradientStep(objective, "graph"), []
    torch.manual_seed(seed)
    for _ in range(count):
        step(data)
        found.append([p.grad.clone() for p in parameters])
    stacked = [torch.stack(one) for one in zip(*found, strict=True)]
    return [(one.mean(0), one.std(0) / count**0.5) for one in stacked]


@pytest.mark.parametrize("options", [{}, {"estimator": "rloo", "num_evaluations": 3}], ids=str)
def test_with_normal_slabs_it_is_the_finite_difference_of_the_expected_objective(
    options: dict[str, Any],
) -> None:
    """Gates, means and scales, within 4.5 standard errors in each coordinate."""
    guide = AutoBernoulliGates(regression, DATA, init_scale=0.2, **options).double()
    with torch.no_grad():
        getattr(guide.logits, "w/gate").copy_(torch.tensor([0.8, -0.5, 0.0, -1.5]))
        getattr(guide.loc, "w/slab").copy_(torch.tensor([0.9, 0.4, -0.6, 0.5]))
    named = dict(guide.named_parameters())
    parameters = [named[f"{name}_unconstrained"] for name in ("logits.w/gate", "loc.w/slab", "scale.w/slab")]
    wanted = finite_differences(
        lambda logits, loc, log_scale: expected_loss(logits, loc, log_scale.exp()),
        [p.detach() for p in parameters],
    )
    objective = MeanFieldELBO()(regression, guide)
    means = averaged_gradients(objective, parameters, DATA, 1000, seed=4)
    for (mean, error), target in zip(means, wanted, strict=True):
        assert ((mean - target).abs() < 4.5 * error).all()


def interaction(y: Tensor) -> None:
    """Heredity: the gate of the interaction, and a scale, have priors that depend on other gates."""
    parents = l0bayes.gate("parents", 0.3, [2])
    child = l0bayes.gate("child", 0.05 + 0.6 * parents.value.prod())
    tau = pyro.sample("tau", dist.Normal(2.0 * child.value, torch.tensor(1.0, dtype=torch.float64)))
    mean = parents.value.sum() + child.value + tau
    pyro.sample("y", dist.Normal(mean, 0.7), obs=y)


def expected_interaction(logits: Tensor, child: Tensor, loc: Tensor, kl_weight: float, y: Tensor) -> Tensor:
    laws = BernoulliGate(torch.cat([logits, child.reshape(1)]))
    total = torch.zeros((), dtype=torch.float64)
    for values in itertools.product([0.0, 1.0], repeat=3):
        z = torch.tensor(values, dtype=torch.float64)
        prior = Gate(torch.cat([z.new_tensor([0.3, 0.3]), (0.05 + 0.6 * z[:2].prod()).reshape(1)]))
        kl = torch.distributions.kl_divergence(laws, prior).sum()
        tau = dist.Normal(loc, 0.5)
        kl = kl + torch.distributions.kl_divergence(tau, dist.Normal(2.0 * z[2], 1.0 + 0.0 * loc))
        fit = dist.Normal(z.sum() + loc, 0.7).log_prob(y) - 0.5**2 / (2 * 0.7**2)
        total = total + laws.log_prob(z).sum().exp() * (kl_weight * kl - fit)
    return total


@pytest.mark.parametrize(
    ("options", "kl_weight"), [({}, 0.5), ({"estimator": "rloo", "num_evaluations": 3}, 1.0)], ids=str
)
def test_priors_that_depend_on_gates_are_part_of_what_a_gate_is_worth(
    options: dict[str, Any], kl_weight: float
) -> None:
    y = torch.tensor(1.3, dtype=torch.float64)
    guide = AutoBernoulliGates(interaction, (y,), init_scale=0.5, **options).double()
    with torch.no_grad():
        guide.logits.parents.copy_(torch.tensor([0.8, -0.3]))
        guide.logits.child.fill_(0.2)
        guide.loc.tau.fill_(0.4)
    named = dict(guide.named_parameters())
    parameters = [named[f"{name}_unconstrained"] for name in ("logits.parents", "logits.child", "loc.tau")]
    copies = [p.detach().clone().requires_grad_() for p in parameters]
    wanted = torch.autograd.grad(expected_interaction(*copies, kl_weight, y), copies)
    objective = MeanFieldELBO(kl_weight=kl_weight)(interaction, guide)
    means = averaged_gradients(objective, parameters, (y,), 1000, seed=6)
    for (mean, error), target in zip(means, wanted, strict=True):
        assert ((mean - target).abs() < 4.5 * error + 1e-12).all()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["graph", "inductor"])
def test_the_captured_step_is_the_eager_one(mode: Any) -> None:
    guide = guide_of(regression)
    results = {}
    for how in ("eager", mode):
        step = GradientStep(MeanFieldELBO()(regression, guide), how)
        if how == "inductor":
            step(DATA)
        torch.manual_seed(5)
        terms = step(DATA)
        assert step.mode == how
        results[how] = [*terms, *(p.grad.clone() for p in guide.parameters())]
    for eager, captured in zip(results["eager"], results[mode], strict=True):
        torch.testing.assert_close(captured, eager)


def test_all_evaluations_see_the_same_subsample() -> None:
    """Otherwise the difference between two sets of rows would drown what the gates do."""
    seen: list[Tensor] = []

    def model(x: Tensor, y: Tensor) -> None:
        w = l0bayes.spike_and_slab("w", inclusion=0.3, slab=dist.Normal(x.new_zeros(4), 1.0).to_event(1))
        with pyro.plate("rows", len(x), subsample_size=10) as rows:
            seen.append(rows)
            pyro.sample("y", dist.Normal(x[rows] @ w, 0.5), obs=y[rows])

    guide = AutoBernoulliGates(model, DATA, estimator="rloo", num_evaluations=3).double()
    objective = MeanFieldELBO()(model, guide)
    seen.clear()
    objective(*DATA)
    assert len(seen) == 3
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    objective(*DATA)
    assert not torch.equal(seen[0], seen[3])


def test_the_value_alone_takes_one_evaluation() -> None:
    count = 0

    def model(x: Tensor, y: Tensor) -> None:
        nonlocal count
        count += 1
        regression(x, y)

    guide = guide_of(model)
    objective = MeanFieldELBO()(model, guide)
    count = 0
    with torch.no_grad():
        objective(*DATA)
    assert count == 1
    objective(*DATA)
    assert count == 3


@pytest.mark.slow
def test_training_finds_the_maximum_of_the_strict_bound() -> None:
    """Against direct ascent of the enumerated objective."""
    guide = guide_of(regression)
    l0bayes.fit(
        regression, guide, DATA, steps=2000, lr=0.02, gate_lr=0.1, seed=1, progress=False, compile="graph"
    )
    logits, slab = (torch.zeros(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([logits, slab], lr=0.05)
    for _ in range(800):
        optimizer.zero_grad()
        exact_loss(logits, slab).backward()
        optimizer.step()
    best = exact_loss(logits, slab)
    found = exact_loss(getattr(guide.logits, "w/gate"), getattr(guide.loc, "w/slab"))
    assert float((found - best).detach()) < 0.02


def test_a_hardened_guide_of_any_family_can_be_trained_on() -> None:
    guide = AutoHardConcrete(regression, DATA, slab="normal").double()
    l0bayes.fit(regression, guide, DATA, steps=300, progress=False, compile="graph")
    hard = guide.harden()
    before = l0bayes.hardened_elbo(regression, hard, DATA)
    fit = l0bayes.fit(regression, hard, DATA, steps=800, lr=0.01, progress=False, compile="graph")
    assert fit.objective.name == "ELBO of the strict spike and slab"
    after = l0bayes.hardened_elbo(regression, hard, DATA)
    assert after.value > before.value - 3 * (before.standard_error + after.standard_error)
    assert any(law.logits.requires_grad for law in hard.gates().values())


def test_straight_through_says_that_its_gradient_is_biased() -> None:
    guide = guide_of(regression, estimator="straight_through")
    described = describe_objective(regression, guide, DATA)
    assert "straight-through" in described.name
    assert "biased" in described.note


# ---- gates of each example ------------------------------------------------------------------------


class PerExample:
    """Rows of x with gates of their own where the gates have rows."""

    supports_per_example_gates = True

    def __call__(self, x: Tensor, y: Tensor) -> None:
        w = l0bayes.spike_and_slab("w", inclusion=0.3, slab=dist.Normal(x.new_zeros(4), 1.0).to_event(1))
        with pyro.plate("rows", len(x)):
            pyro.sample("y", dist.Normal((x * w).sum(-1), 0.5), obs=y)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["disarm", "rloo"])
def test_gates_of_each_example_have_the_same_expected_gradient_and_less_noise(estimator: Any) -> None:
    guide = guide_of(PerExample(), estimator=estimator)
    (parameter,) = guide.gate_parameters()
    noise = {}
    means = {}
    for per_example in (False, True):
        step = GradientStep(MeanFieldELBO(per_example_gates=per_example)(PerExample(), guide), "graph")
        torch.manual_seed(2)
        gradients = []
        for _ in range(1500):
            step(DATA)
            assert parameter.grad is not None
            gradients.append(parameter.grad.clone())
        values = torch.stack(gradients)
        means[per_example], noise[per_example] = values.mean(0), values.std(0) / len(values) ** 0.5
    error = (means[True] - means[False]).abs() / (noise[True].square() + noise[False].square()).sqrt()
    # Not the same objective where the likelihood is curved across examples; here it is a sum over them.
    assert (error < 4.5).all()
    assert (noise[True] < 0.5 * noise[False]).all()


def test_a_likelihood_that_is_not_apart_by_example_is_refused() -> None:
    class Whole(PerExample):
        def __call__(self, x: Tensor, y: Tensor) -> None:
            w = l0bayes.spike_and_slab("w", inclusion=0.3, slab=dist.Normal(x.new_zeros(4), 1.0).to_event(1))
            pyro.sample("y", dist.Normal((x * w).sum(-1), 0.5).to_event(1), obs=y)

    objective = MeanFieldELBO(per_example_gates=True)(Whole(), guide_of(Whole()))
    with pytest.raises(ValueError, match="likelihood for each example"):
        objective(*DATA)


# ---- refusals -------------------------------------------------------------------------------------


def own_guide(**infer: Any) -> Any:
    class Own(pyro.nn.PyroModule):
        def __init__(self) -> None:
            super().__init__()
            self.gate_logits = torch.nn.Parameter(torch.zeros(4, dtype=torch.float64))

        def forward(self, x: Tensor, y: Tensor) -> None:
            pyro.sample("w.gate", BernoulliGate(self.gate_logits).to_event(1), infer=infer)
            pyro.sample("w.slab", dist.Delta(X.new_ones(4)).to_event(1))

    return Own()


def test_binary_gates_without_an_estimator_are_refused() -> None:
    with pytest.raises(ValueError, match=r"gate site 'w.gate' has binary gates.*DisARM"):
        MeanFieldELBO()(regression, own_guide())(*DATA)
    with torch.no_grad():
        assert torch.isfinite(MeanFieldELBO()(regression, own_guide())(*DATA))


def test_a_guide_of_ones_own_names_its_estimator() -> None:
    guide = own_guide(**{GATE_GRADIENT: RLOO(3)})
    MeanFieldELBO()(regression, guide)(*DATA).backward()
    assert (guide.gate_logits.grad != 0).any()


def test_two_estimators_in_one_guide_are_refused() -> None:
    def model(x: Tensor, y: Tensor) -> None:
        l0bayes.gate("other", 0.5)
        regression(x, y)

    class Two(pyro.nn.PyroModule):
        def __init__(self) -> None:
            super().__init__()
            self.logit = torch.nn.Parameter(torch.zeros(()))
            self.rest = own_guide(**{GATE_GRADIENT: DisARM()})

        def forward(self, x: Tensor, y: Tensor) -> None:
            pyro.sample("other", BernoulliGate(self.logit), infer={GATE_GRADIENT: RLOO()})
            self.rest(x, y)

    with pytest.raises(ValueError, match=r"one estimator serves all; got DisARM\(\), RLOO"):
        MeanFieldELBO()(model, Two())(*DATA)


def test_vectorized_particles_are_refused() -> None:
    elbo = MeanFieldELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1)
    with pytest.raises(ValueError, match="vectorize_particles=True does not go with binary gates"):
        elbo(regression, guide_of(regression))(*DATA)
