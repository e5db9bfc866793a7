"""The captured and the compiled step give the eager step's numbers, and say so when they cannot."""

import shutil

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from l0bayes.distributions import L0Penalty, L2Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import CompilationWarning, GradientStep, MeanFieldELBO
from l0bayes.models import SparseNetwork
from l0bayes.sites import spike_and_slab

GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(12, 4, generator=GENERATOR)
Y = X @ torch.tensor([1.5, 0.0, -1.0, 0.0]) + 0.5 * torch.randn(12, generator=GENERATOR)
LABELS = (Y > 0).long()
GROUPS = torch.tensor([0, 1, 1, 0])


def hyper(x, y):
    """Every kind of latent the guides know."""
    pi = pyro.sample("pi", dist.Beta(1.0, 3.0))
    tau = pyro.sample("tau", dist.HalfCauchy(1.0))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    mix = pyro.sample("mix", dist.Dirichlet(torch.ones(3)))
    shift = pyro.sample("shift", dist.Normal(0.0, 1.0))
    slab = dist.Normal(0.0, tau[..., None].expand(*tau.shape, 4)).to_event(1)
    beta = spike_and_slab("beta", pi[..., None], slab)
    mean = (x * beta[..., None, :]).sum(-1) + shift[..., None] + mix[..., :1]
    pyro.sample("y", dist.Normal(mean, sigma[..., None]).to_event(1), obs=y)


def grouped(x, y):
    beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([4]).to_event(1), groups=GROUPS)
    pyro.sample("y", dist.Normal((x * beta).sum(-1), 0.5).to_event(1), obs=y)


def penalised(x, y):
    beta = spike_and_slab("beta", L0Penalty(0.5), L2Penalty(0.1).expand([4]).to_event(1))
    with pyro.plate("data", 40, subsample=torch.arange(len(x))):
        pyro.sample("y", dist.Normal((x * beta).sum(-1), 0.5), obs=y)


def local(x, y):
    """Gates of the data, in a plate that draws its own batch."""
    with pyro.plate("data", 12, subsample_size=5) as rows:
        shift = spike_and_slab("shift", 0.3, dist.Normal(0.0, 2.0))
        pyro.sample("y", dist.Normal(shift, 1.0), obs=y[rows])


def network(slab):
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    prior = L2Penalty(0.0) if slab == "delta" else None
    inclusion = L0Penalty(0.3) if slab == "delta" else 0.3
    return SparseNetwork(net, gates="input", inclusion=inclusion, slab=prior, num_data=50)


CASES = {
    "hyper-normal": (lambda: hyper, "normal", (X, Y), {}),
    "hyper-delta": (lambda: hyper, "delta", (X, Y), {}),
    "hyper-particles": (lambda: hyper, "normal", (X, Y), {"num_particles": 3}),
    "hyper-batch": (
        lambda: hyper,
        "normal",
        (X, Y),
        {"num_particles": 3, "vectorize_particles": True, "max_plate_nesting": 0},
    ),
    "grouped": (lambda: grouped, "normal", (X, Y), {}),
    "penalised": (lambda: penalised, "delta", (X, Y), {}),
    "local": (lambda: local, "normal", (X, Y), {}),
    "network-normal": (lambda: network("normal"), "normal", (X, LABELS), {}),
    "network-delta": (lambda: network("delta"), "delta", (X, LABELS), {}),
}


def objective_of(model, slab, data, **options):
    guide = AutoHardConcrete(model, data, slab=slab).perturb(2, gates=0.5, locs=0.3)
    return MeanFieldELBO(**options)(model, guide)


def run(step, data, seed):
    """Loss, likelihood, KL and every gradient at a seed."""
    torch.manual_seed(seed)
    terms = [term.clone() for term in step(data)]
    gradients = {name: p.grad.clone() for name, p in step.objective.named_parameters() if p.grad is not None}
    return terms, gradients


def assert_equal_runs(one, other, seeds, data):
    values = []
    for seed in seeds:
        (terms, gradients), (wanted, wanted_gradients) = run(one, data, seed), run(other, data, seed)
        assert gradients.keys() == wanted_gradients.keys()
        for found, exact in zip(terms, wanted, strict=True):
            torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-5)
        for name, exact in wanted_gradients.items():
            torch.testing.assert_close(gradients[name], exact, rtol=1e-5, atol=1e-5)
        assert any(g.abs().max() > 0.01 for g in gradients.values())
        values.append(terms[0].item())
    assert len(set(values)) == len(seeds)  # the noise is drawn anew and not kept in the graph


@pytest.mark.parametrize("case", CASES)
def test_the_graph_equals_eager(case):
    build, slab, data, options = CASES[case]
    objective = objective_of(build(), slab, data, **options)
    graph = GradientStep(objective, "graph")
    assert_equal_runs(graph, GradientStep(objective, "eager"), range(4), data)
    assert graph.mode == "graph"


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_the_eager_step_is_autograd(mode):
    objective = objective_of(hyper, "normal", (X, Y))
    terms, gradients = run(GradientStep(objective, mode), (X, Y), 3)
    objective.zero_grad()
    torch.manual_seed(3)
    loss = objective(X, Y)
    loss.backward()
    torch.testing.assert_close(terms[0], loss.detach())
    for name, parameter in objective.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(terms[0], terms[2] - terms[1])


@pytest.fixture
def inductor():
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")


@pytest.mark.slow
@pytest.mark.parametrize("case", ["hyper-normal", "network-normal", "network-delta"])
def test_the_compiled_step_equals_eager_and_sees_buffers(inductor, case):
    build, slab, data, options = CASES[case]
    objective = objective_of(build(), slab, data, **options)
    compiled, eager = GradientStep(objective, "inductor"), GradientStep(objective, "eager")
    assert_equal_runs(compiled, eager, range(3), data)
    assert_buffers_act(compiled, eager, data)
    assert compiled.mode == "inductor"


def assert_buffers_act(step, eager, data):
    """Changes of temperature and KL weight, in place, after the capture."""
    guide, objective = step.objective.guide, step.objective
    before = run(step, data, 1)[0][0]
    for weight, temperature in [(1.0, 0.3), (0.2, 0.3), (0.2, 1.0)]:
        objective.kl_weight.fill_(weight)
        guide.temperature.fill_(temperature)
        assert_equal_runs(step, eager, [1], data)
        after = run(step, data, 1)[0][0]
        assert after != before
        before = after


def test_the_graph_sees_buffers_changed_in_place():
    objective = objective_of(hyper, "normal", (X, Y))
    step, eager = GradientStep(objective, "graph"), GradientStep(objective, "eager")
    run(step, (X, Y), 0)
    assert_buffers_act(step, eager, (X, Y))
    objective.guide.temperature = torch.tensor(0.45)  # replaced, not changed in place
    assert_equal_runs(step, eager, [1], (X, Y))


def test_the_graph_sees_parameters_and_data_change():
    objective = objective_of(hyper, "normal", (X, Y))
    step, eager = GradientStep(objective, "graph"), GradientStep(objective, "eager")
    optimiser = torch.optim.Adam(objective.parameters(), lr=0.05)
    for seed in range(4):
        assert_equal_runs(step, eager, [seed], (X.roll(seed, 0), Y + seed))
        optimiser.step()


@pytest.mark.parametrize("mode", ["graph", "inductor"])
def test_gradients_are_laid_out_as_their_parameters(inductor, mode):
    """Fused optimisers walk through both in memory order."""

    def model(x, y):
        beta = spike_and_slab("beta", 0.3, L2Penalty(0.0).expand([3, 4]).to_event(2))
        mean = (x[:, :, None] * beta.mT.contiguous()).sum((1, 2))
        pyro.sample("y", dist.Normal(mean, 0.5).to_event(1), obs=y)

    objective = objective_of(model, "delta", (X, Y))
    step = GradientStep(objective, mode)
    assert_equal_runs(step, GradientStep(objective, "eager"), [1], (X, Y))
    run(step, (X, Y), 1)
    for parameter in objective.parameters():
        assert parameter.grad.stride() == parameter.stride()


def test_training_is_the_same_in_both_forms():
    results = {}
    for mode in ("graph", "eager"):
        objective = objective_of(hyper, "normal", (X, Y))
        step = GradientStep(objective, mode)
        optimiser = torch.optim.Adam(objective.parameters(), lr=0.02)
        torch.manual_seed(1)
        for _ in range(25):
            step((X, Y))
            optimiser.step()
        results[mode] = {name: p.detach().clone() for name, p in objective.named_parameters()}
    for name, value in results["eager"].items():
        torch.testing.assert_close(results["graph"][name], value, rtol=1e-4, atol=1e-4)


def test_a_new_batch_shape_is_captured_anew():
    model = network("normal")
    objective = objective_of(model, "normal", (X, LABELS))
    step, eager = GradientStep(objective, "graph"), GradientStep(objective, "eager")
    for size in (12, 5, 12, 7):
        assert_equal_runs(step, eager, [size], (X[:size], LABELS[:size]))
    assert step.mode == "graph"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["graph", "inductor"])
def test_data_in_another_order_in_memory(inductor, mode):
    objective = objective_of(grouped, "normal", (X, Y))
    step, eager = GradientStep(objective, mode), GradientStep(objective, "eager")
    for data in [(X, Y), (X.mT.clone().mT, Y), (X, X[:, 0]), (X, Y)]:
        assert_equal_runs(step, eager, [1], data)
    assert step.mode == mode


def test_a_tensor_that_is_given_twice_is_no_matter_later(inductor):
    def model(x, y):
        shift = spike_and_slab("shift", 0.3, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        pyro.sample("y", dist.Normal(x + shift, 0.5).to_event(2), obs=y)

    objective = objective_of(model, "normal", (X, X))
    step, eager = GradientStep(objective, "inductor"), GradientStep(objective, "eager")
    for data in [(X, X), (X, X + 1.0), (X - 1.0, X)]:
        assert_equal_runs(step, eager, [1], data)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["graph", "inductor"])
def test_another_dtype_is_captured_anew(inductor, mode):
    objective = objective_of(grouped, "normal", (X, Y))
    step, eager = GradientStep(objective, mode), GradientStep(objective, "eager")
    run(step, (X, Y), 0)
    objective.double()
    data = (X.double(), Y.double())
    assert_equal_runs(step, eager, [1, 2], data)
    assert step(data)[0].dtype == torch.float64
    objective.guide.temperature.fill_(0.3)
    assert_equal_runs(step, eager, [3], data)


@pytest.mark.parametrize("mode", ["graph", "inductor"])
def test_freezing_parameters_after_the_capture(inductor, mode):
    objective = objective_of(grouped, "normal", (X, Y))
    step, eager = GradientStep(objective, mode), GradientStep(objective, "eager")
    run(step, (X, Y), 0)
    for parameter in objective.guide.gate_parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    assert_equal_runs(step, eager, [1], (X, Y))
    for parameter in objective.guide.gate_parameters():
        assert parameter.grad is None
        parameter.data.add_(1.0)  # still read at every step
    assert_equal_runs(step, eager, [2], (X, Y))


def test_an_argument_that_is_no_tensor_is_part_of_the_capture():
    def model(x, y, noise):
        beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        pyro.sample("y", dist.Normal((x * beta).sum(-1), noise).to_event(1), obs=y)

    objective = objective_of(model, "normal", (X, Y, 0.5))
    step, eager = GradientStep(objective, "graph"), GradientStep(objective, "eager")
    for noise in (0.5, 2.0, 0.5):
        assert_equal_runs(step, eager, [1], (X, Y, noise))


def test_an_argument_that_cannot_be_told_apart_is_refused():
    step = GradientStep(objective_of(hyper, "normal", (X, Y)), "graph")
    with pytest.raises(TypeError, match=r"tensors or hashable values, got ndarray"):
        step((X, Y.numpy()))


# ---- falling back ------------------------------------------------------------------------------------


def branching(x, y):
    """Control flow that depends on a value."""
    beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([4]).to_event(1))
    noise = 0.5 if beta.sum().item() > 0 else 1.0
    pyro.sample("y", dist.Normal((x * beta).sum(-1), noise).to_event(1), obs=y)


@pytest.mark.parametrize("mode", ["graph", "inductor"])
def test_a_model_that_branches_on_values_runs_eagerly_and_says_so(mode):
    objective = objective_of(branching, "normal", (X, Y))
    step = GradientStep(objective, mode)
    with pytest.warns(
        CompilationWarning, match=f"mode 'eager' instead of '{mode}': capturing the model failed"
    ):
        first = run(step, (X, Y), 0)
    assert step.mode == "eager"
    expected = run(GradientStep(objective, "eager"), (X, Y), 0)
    torch.testing.assert_close(first[0], expected[0])  # the failed capture took no noise away
    assert_equal_runs(step, GradientStep(objective, "eager"), [1, 2], (X, Y))  # and no second warning


def test_without_a_compiler_the_graph_is_used_and_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    objective = objective_of(hyper, "normal", (X, Y))
    with pytest.warns(CompilationWarning, match=r"mode 'graph' instead of 'inductor': no C\+\+ compiler"):
        step = GradientStep(objective)
    assert step.mode == "graph"
    assert_equal_runs(step, GradientStep(objective, "eager"), [1, 2], (X, Y))


def test_a_compiler_that_fails_leaves_the_graph(monkeypatch):
    def broken(graph, inputs, options):
        torch.rand(7)
        raise RuntimeError("the compiler is broken")

    monkeypatch.setattr(torch._inductor, "compile", broken)
    objective = objective_of(hyper, "normal", (X, Y))
    step = GradientStep(objective, "inductor")
    with pytest.warns(
        CompilationWarning, match=r"mode 'graph' instead of 'inductor': .*the compiler is broken"
    ):
        first = run(step, (X, Y), 0)
    assert step.mode == "graph"
    torch.testing.assert_close(
        first[0], run(GradientStep(objective, "eager"), (X, Y), 0)[0], rtol=1e-5, atol=1e-5
    )
    assert_equal_runs(step, GradientStep(objective, "eager"), [1, 2], (X, Y))


@pytest.mark.slow
def test_too_many_shapes_run_eagerly_and_say_so():
    model = network("normal")
    objective = objective_of(model, "normal", (X, LABELS))
    step = GradientStep(objective, "graph")
    for size in range(1, 9):
        step((X[:size], LABELS[:size]))
    with pytest.warns(CompilationWarning, match="more than 8 shapes"):
        step((X[:9], LABELS[:9]))
    assert step.mode == "eager"


def test_an_unknown_mode_is_refused():
    objective = objective_of(hyper, "normal", (X, Y))
    with pytest.raises(ValueError, match="mode must be one of inductor, graph, eager; got 'fast'"):
        GradientStep(objective, "fast")


# ---- state -------------------------------------------------------------------------------------------


def test_capturing_takes_nothing_from_the_random_stream():
    objective = objective_of(hyper, "normal", (X, Y))
    states = []
    for mode in ("eager", "graph", "graph"):
        step = GradientStep(objective, mode)
        torch.manual_seed(4)
        step((X, Y))
        states.append(torch.get_rng_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_the_parameter_store_settings_and_validation_are_left_alone():
    pyro.param("mine", torch.tensor(2.0))
    settings = pyro.settings.get()
    step = GradientStep(objective_of(hyper, "normal", (X, Y)), "graph")
    step((X, Y))
    step((X, Y))
    assert list(pyro.get_param_store().keys()) == ["mine"]
    assert pyro.settings.get() == settings


def test_a_capture_takes_no_graph_of_autograd_along():
    objective = objective_of(hyper, "normal", (X, Y))
    step = GradientStep(objective, "graph")
    terms = step((X, Y))
    assert not any(term.requires_grad for term in terms)
    assert all(p.grad is not None and not p.grad.requires_grad for p in objective.parameters())
