"""What holds for the guide of every gate family."""

import copy
import io
import math
import pickle

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from pyro.infer.autoguide import AutoGuideList, AutoNormal

from l0bayes.distributions import BernoulliGate, deployed_gates
from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.guides import gate_guide
from l0bayes.infer import GradientStep, MeanFieldELBO
from l0bayes.sites import spike_and_slab
from tests.guides.families import ALL, RELAXED, TIED, WITH_TEMPERATURE, guide_of
from tests.guides.test_guide_plates import N, batch_of, data_plate, nested, outliers
from tests.guides.toy_models import X, Y, regression, same_state, state_of, train, two_layers

DATA = (X, Y)
GATE, SPARSE = "beta.gate", ["beta.gate", "beta.slab"]
every = pytest.mark.parametrize("case", ALL)


def parameters_of(law):
    return {name: getattr(law, name).detach() for name in law.parameter_names}


def assert_same_gates(one, other):
    for name, law in one.gates().items():
        twin = other.gates()[name]
        assert type(twin) is type(law)
        for parameter, value in parameters_of(law).items():
            assert torch.equal(value, getattr(twin, parameter)), (name, parameter)


def moved(case, model=regression, args=DATA, **options):
    return guide_of(case, model, args, **options).perturb(9, gates=1.5, locs=0.5)


# ---- parameters --------------------------------------------------------------------------------------


@every
def test_parameters_exist_after_the_constructor_and_are_trained(case):
    guide = guide_of(case, regression, DATA)
    before = state_of(guide)
    gates = {name for name, p in guide.named_parameters() if any(p is one for one in guide.gate_parameters())}
    assert gates == {f"{name}.beta/gate_unconstrained" for name in guide.gate_parameter_names}
    assert all(before[name].shape == (() if case in TIED else (4,)) for name in gates)
    train(guide, regression)
    after = state_of(guide)
    assert after.keys() == before.keys()
    assert all(not torch.equal(before[name], after[name]) for name in gates)


@every
def test_a_state_loads_into_a_fresh_guide_of_another_temperature(case):
    options = {"temperature": 0.4} if case in WITH_TEMPERATURE else {}
    guide = guide_of(case, regression, DATA, **options)
    train(guide, regression)
    fresh = guide_of(case, regression, DATA)
    fresh.load_state_dict(guide.state_dict())
    assert_same_gates(guide, fresh)
    fresh.perturb(1)
    buffer = io.BytesIO()
    torch.save(guide.state_dict(), buffer)
    buffer.seek(0)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    assert_same_gates(guide, fresh)


@every
def test_copies_are_equal_and_apart(case):
    guide = moved(case)
    guide(X, Y)
    buffer = io.BytesIO()
    torch.save(guide, buffer)
    buffer.seek(0)
    before = state_of(guide)
    twins = [
        copy.deepcopy(guide),
        pickle.loads(pickle.dumps(guide)),
        torch.load(buffer, weights_only=False),
    ]
    train(guide, regression)
    for twin in twins:
        assert same_state(before, state_of(twin))
        assert twin.tied == guide.tied
        assert twin.gate_gradient == guide.gate_gradient
        train(twin, regression)
        assert not same_state(before, state_of(twin))


@every
def test_two_guides_on_one_model_keep_their_parameters(case):
    first, second = guide_of(case, regression, DATA), moved(case)
    states = state_of(first), state_of(second)
    for guide in (first, second, first):
        guide(X, Y)
        Predictive(regression, guide=guide, num_samples=2)(X)
    assert same_state(states[0], state_of(first))
    assert same_state(states[1], state_of(second))


@every
def test_double_precision(case):
    guide = guide_of(case, regression, DATA).double()
    assert {value.dtype for value in guide.state_dict().values()} == {torch.float64}
    loss = MeanFieldELBO()(regression, guide)(X.double(), Y.double())
    loss.backward()
    assert loss.dtype == torch.float64
    assert all(p.grad.dtype == torch.float64 and p.grad.isfinite().all() for p in guide.parameters())
    assert all(value.dtype == torch.float64 for value in guide.median().values())


@every
def test_perturb_is_reproducible_and_moves_every_gate_parameter(case):
    first, again, other = (guide_of(case, regression, DATA).perturb(seed, locs=0.0) for seed in (1, 1, 2))
    assert same_state(state_of(first), state_of(again))
    start = state_of(guide_of(case, regression, DATA))
    moved_names = {name for name, value in state_of(first).items() if not torch.equal(value, start[name])}
    assert moved_names == {f"{name}.beta/gate_unconstrained" for name in first.gate_parameter_names}
    assert not same_state(state_of(first), state_of(other))


# ---- the start ---------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("active", [0.02, 0.5, 0.9, 0.999])
def test_the_start_has_the_activity_asked_for(case, active):
    temperatures = [0.05, 2 / 3, 2.0] if case in WITH_TEMPERATURE else [None]
    for temperature in temperatures:
        options = {} if temperature is None else {"temperature": temperature}
        guide = guide_of(case, regression, DATA, init_active=active, **options)
        found = guide.gates()[GATE].activity_logits
        wanted = torch.full((4,), math.log(active / (1.0 - active)))
        torch.testing.assert_close(found, wanted, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("active", [0.02, 0.9])
def test_hard_kumaraswamy_starts_with_the_atoms_of_the_hard_concrete(temperature, active):
    ours = gate_guide(
        regression, DATA, gate_law="hard_kumaraswamy", init_temperature=temperature, init_active=active
    )
    alike = gate_guide(regression, DATA, temperature=temperature, init_active=active)
    for name in ("activity_logits", "saturation_logits"):
        one, other = (getattr(guide.gates()[GATE], name) for guide in (ours, alike))
        torch.testing.assert_close(one, other, rtol=0.0, atol=2e-4)


@pytest.mark.parametrize("case", WITH_TEMPERATURE)
def test_a_temperature_changed_in_place_acts_on_the_captured_step(case):
    guide = moved(case)
    step = GradientStep(MeanFieldELBO()(regression, guide), "graph")
    step(DATA)
    guide.temperature.fill_(0.2)
    torch.manual_seed(3)
    found = step(DATA)
    assert step.mode == "graph"
    torch.manual_seed(3)
    expected = MeanFieldELBO()(regression, guide).with_terms(*DATA)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other.detach())
    name = "scale" if case == "rectified_normal" else "temperature"
    torch.testing.assert_close(getattr(guide.gates()[GATE], name), torch.full((4,), 0.2))


@pytest.mark.parametrize("case", ["hard_kumaraswamy", "rloo", "straight_through", "disarm, tied"])
def test_the_captured_step_is_the_eager_one(case):
    guide, results = moved(case), []
    for mode in ("eager", "graph"):
        step = GradientStep(MeanFieldELBO()(regression, guide), mode)
        torch.manual_seed(1)
        results.append([*step(DATA), *(p.grad.clone() for p in guide.parameters())])
        assert step.mode == mode
    for eager, captured in zip(*results, strict=True):
        torch.testing.assert_close(captured, eager)


# ---- laws, draws, medians ----------------------------------------------------------------------------


@every
def test_laws_gates_and_the_sites_of_a_run_agree(case):
    for model in (regression, two_layers):
        guide = moved(case, model)
        laws, gates = guide.laws(), guide.gates()
        trace = poutine.trace(guide).get_trace(*DATA)
        for name, law in gates.items():
            site = trace.nodes[name]["fn"].base_dist
            for one in (site, laws[name]):
                assert type(one) is type(law)
                assert one.batch_shape == law.batch_shape
                for parameter, value in parameters_of(law).items():
                    assert torch.equal(value, getattr(one, parameter))
        for name, law in laws.items():
            if name.endswith(".slab"):
                torch.testing.assert_close(trace.nodes[name]["fn"].base_dist.activity, law.activity)


@every
def test_predictive_draws_follow_the_laws(case):
    guide = moved(case)
    torch.manual_seed(0)
    draws = Predictive(regression, guide=guide, num_samples=2000, parallel=True)(X)
    gates, law = draws[GATE].reshape(2000, 4), guide.gates()[GATE]
    active = law.prob_active
    events = [(gates > law.activity_threshold, active), (gates == 1, law.prob_one)]
    for happened, expected in events:
        error = (happened.float().mean(0) - expected).abs()
        assert (error <= 4.5 * (expected * (1 - expected) / 2000).sqrt()).all()
    if law.has_atom_at_zero:
        assert torch.equal(draws["beta"].reshape(2000, 4), gates * draws["beta.slab"].reshape(2000, 4))


@every
def test_medians_and_quantiles_are_those_of_the_laws(case):
    guide = moved(case)
    law, levels = guide.gates()[GATE], [0.0, 0.02, 0.25, 0.5, 0.75, 0.98, 1.0]
    quantiles = guide.quantiles(levels)[GATE]
    assert quantiles.shape == (7, 4)
    assert torch.equal(quantiles[3], guide.median()[GATE])
    assert (quantiles.diff(dim=0) >= 0).all()
    assert ((quantiles >= 0) & (quantiles <= 1)).all()
    for level, row in zip(levels[1:-1], quantiles[1:-1], strict=True):
        assert torch.equal(row > law.activity_threshold, law.prob_active > 1 - level)
    opened = deployed_gates(law, "median")
    assert torch.equal(opened != 0, law.prob_active > 0.5)
    if law.has_atom_at_zero:
        assert torch.equal(opened, guide.median()[GATE])


@every
def test_hardening_keeps_the_activity(case):
    guide = moved(case)
    before = state_of(guide)
    hard = guide.harden()
    law = hard.gates()[GATE]
    assert type(law) is BernoulliGate
    assert torch.equal(law.activity_logits, guide.gates()[GATE].activity_logits)
    assert set(torch.stack([hard(X, Y)[GATE] for _ in range(20)]).unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(hard.harden().gates()[GATE].logits, law.logits)
    soft_kl = MeanFieldELBO().terms(two_layers, moved(case, two_layers), X, Y).kl
    hard_kl = MeanFieldELBO().terms(two_layers, moved(case, two_layers).harden(), X, Y).kl
    for name in soft_kl:  # they depend on P(z != 0) alone
        torch.testing.assert_close(hard_kl[name], soft_kl[name])
    train(hard, regression)
    assert same_state(before, state_of(guide))


@every
def test_a_combination_with_another_guide(case):
    guide = AutoGuideList(regression)
    guide.append(guide_of(case, poutine.block(regression, expose=SPARSE), DATA))
    guide.append(AutoNormal(poutine.block(regression, hide=SPARSE)))
    assert set(guide(X, Y)) == {*SPARSE, "pi", "sigma", "intercept", "mix"}
    objective = MeanFieldELBO()(regression, guide)
    objective(X, Y).backward()
    assert all(p.grad.isfinite().all() for p in objective.parameters())
    assert any((p.grad != 0).any() for p in guide[0].gate_parameters())


# ---- plates ------------------------------------------------------------------------------------------


@every
def test_laws_and_draws_have_the_full_shape_of_their_plates(case):
    guide = guide_of(case, nested).perturb(2, gates=1.0)
    shapes = {"shared": (4, 1, 2), "own.gate": (4, 5), "own.slab": (4, 5), "both.slab": (4, 5, 2)}
    assert {name: tuple(law.batch_shape) for name, law in guide.laws().items()} == shapes
    assert {name: tuple(value.shape) for name, value in guide().items()} == shapes
    assert {name: tuple(value.shape) for name, value in guide.median().items()} == shapes
    terms, laws = MeanFieldELBO().terms(nested, guide), guide.laws()
    for slab, gate in (("own.slab", "own.gate"), ("both.slab", "shared")):
        each = (
            torch.distributions.kl_divergence(
                dist.Normal(laws[slab].base.mean, laws[slab].base.stddev), dist.Normal(0.0, 1.0)
            )
            if guide.slab == "normal"
            else -dist.Normal(0.0, 1.0).log_prob(laws[slab].base.v)
        )
        torch.testing.assert_close(terms.kl[slab], (guide.gates()[gate].prob_active * each).sum())
        prior = torch.tensor(0.2 if gate == "own.gate" else 0.5)
        q = guide.gates()[gate].prob_active
        bernoulli = torch.distributions.kl_divergence(
            dist.Bernoulli(q), dist.Bernoulli(prior.expand(q.shape))
        )
        torch.testing.assert_close(terms.kl[gate], bernoulli.sum())


@every
def test_minibatches_of_local_gates_are_unbiased(case):
    """The mean over a partition into equal batches is the KL of the whole plate, exactly; tied or not."""
    guide = guide_of(case, outliers, (batch_of([0, 1, 2]),), create_plates=data_plate)
    guide.perturb(4, gates=1.5, locs=1.0)
    assert guide.gates()["shift.gate"].batch_shape == (N,)
    elbo = MeanFieldELBO()
    whole = elbo.terms(outliers, guide, batch_of(list(range(N)))).kl
    parts = [elbo.terms(outliers, guide, batch_of(rows)).kl for rows in torch.arange(N).reshape(3, 4)]
    for site in ("shift.gate", "shift.slab"):
        torch.testing.assert_close(torch.stack([part[site] for part in parts]).mean(), whole[site])
    objective = elbo(outliers, guide)
    rows = [7, 2, 11, 3]
    assert guide(batch_of(rows))["shift.gate"].shape == (4,)
    objective(batch_of(rows)).backward()
    others = [row for row in range(N) if row not in rows]
    for name in guide.gate_parameter_names:
        grad = dict(guide.named_parameters())[f"{name}.shift/gate_unconstrained"].grad
        assert grad.isfinite().all()
        if case in TIED:
            assert grad.shape == ()
        else:
            assert (grad[others] == 0).all()


# ---- reopening ---------------------------------------------------------------------------------------


def shut(guide, site):
    """All gates of a site, by the first parameter, with which gates open."""
    name = guide.gate_parameter_names[0]
    with torch.no_grad():
        dict(guide.named_parameters())[f"{name}.{site.replace('.', '/')}_unconstrained"].fill_(-6.0)
    assert (guide.gates()[site].activity_logits < 0).all()


@every
@pytest.mark.parametrize("active", [0.2, 0.8])
def test_a_gate_that_is_reopened_is_open_by_the_median_rule(case, active):
    guide = guide_of(case, nested, init_active=active)
    for site, index in (("own.gate", (1, 2)), ("shared", (3, 0, 1))):
        shut(guide, site)
        guide.reopen(site, index)
        logits = guide.gates()[site].activity_logits
        assert logits[index] > 0
        if active == 0.8:
            assert logits[index].item() == pytest.approx(torch.tensor(0.8).logit().item(), abs=1e-4)
        assert int((logits > 0).sum()) == (logits.numel() if case in TIED else 1)
    with pytest.raises(ValueError, match=r"site must be one of the gate sites \['own.gate', 'shared'\]"):
        guide.reopen("both.slab", 0)


@every
def test_one_gate_of_a_vector_is_reopened_by_a_number(case):
    guide = guide_of(case, regression, DATA)
    shut(guide, GATE)
    guide.reopen(GATE, 2)
    assert guide.gates()[GATE].activity_logits[2] > 0


# ---- tied gates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TIED)
def test_tied_gates_share_one_probability_and_are_drawn_each_for_itself(case):
    guide = guide_of(case, two_layers, DATA, init_active=0.5).perturb(3)
    for name in guide.gate_parameter_names:
        shapes = {key: tuple(p.shape) for key, p in getattr(guide, name).named_parameters()}
        assert shapes == {"rows_unconstrained": (), "columns_unconstrained": ()}
    gates = guide.gates()
    assert gates["rows"].batch_shape == (2,)
    assert gates["columns"].batch_shape == (4,)
    for law in gates.values():
        assert law.prob_active.unique().numel() == 1
    assert gates["rows"].prob_active[0] != gates["columns"].prob_active[0]
    torch.manual_seed(0)
    draws = torch.stack([guide(*DATA)["columns"] for _ in range(200)])
    is_open = (draws > gates["columns"].activity_threshold).double()
    assert is_open.T.corrcoef().triu(1).abs().max() < 4.5 / 200**0.5


@pytest.mark.parametrize("case", TIED)
def test_the_gradient_of_a_tied_parameter_is_the_sum_over_its_gates(case):
    tied, free = (guide_of(case, two_layers, DATA, tied=tied, slab="delta") for tied in (True, False))
    gradients = []
    for guide in (tied, free):
        torch.manual_seed(2)
        MeanFieldELBO()(two_layers, guide)(*DATA).backward()
        gradients.append([p.grad.sum() for p in guide.gate_parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


# ---- choosing by name --------------------------------------------------------------------------------


@pytest.mark.parametrize("gate_law", GATE_FAMILIES)
def test_the_guide_of_a_name(gate_law):
    assert type(gate_guide(regression, DATA, gate_law=gate_law)) is GATE_FAMILIES[gate_law].guide_class


def test_an_unknown_family_names_those_there_are():
    with pytest.raises(ValueError, match=r"gate_law must be one of hard_concrete, .*; got 'gumbel'"):
        gate_guide(regression, DATA, gate_law="gumbel")


@pytest.mark.parametrize(
    ("gate_law", "wrong"),
    [
        ("bernoulli", {"temperature": 0.5}),
        ("hard_kumaraswamy", {"temperature": 0.5}),
        ("concrete", {"stretch": (-0.1, 1.1)}),
        ("rectified_normal", {"sigma": 0.5}),
        ("hard_concrete", {"estimator": "disarm"}),
        ("concrete_dropout", {"gate_start": {}}),
    ],
)
def test_an_option_of_another_family_names_those_it_takes(gate_law, wrong):
    (name,) = wrong
    with pytest.raises(
        TypeError, match=rf"gate law '{gate_law}' takes the options .*init_active.*; got {name}"
    ):
        gate_guide(regression, DATA, gate_law=gate_law, **wrong)


@every
@pytest.mark.parametrize("given", [0.0, 1.0, -0.1, float("nan")])
def test_starts_out_of_range(case, given):
    with pytest.raises(ValueError, match=f"init_active must lie strictly between 0 and 1, got {given}"):
        guide_of(case, regression, DATA, init_active=given)


@pytest.mark.parametrize("case", WITH_TEMPERATURE)
@pytest.mark.parametrize("given", [0.0, -0.5, float("nan")])
def test_temperatures_out_of_range(case, given):
    with pytest.raises(ValueError, match=f"temperature must be positive, got {given}"):
        guide_of(case, regression, DATA, temperature=given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "arm"}, "estimator must be one of disarm, rloo, straight_through; got 'arm'"),
        ({"num_evaluations": 3}, "num_evaluations is for the estimator 'rloo'; got it with 'disarm'"),
        ({"estimator": "rloo", "num_evaluations": 1}, "num_evaluations must be at least 2, got 1"),
    ],
)
def test_options_of_binary_gates(options, message):
    with pytest.raises(ValueError, match=message):
        gate_guide(regression, DATA, gate_law="bernoulli", **options)


@pytest.mark.parametrize("case", RELAXED)
def test_a_gate_hidden_from_the_guide_leaves_its_slab_unweighted(case):
    def model():
        w = spike_and_slab("w", 0.3, dist.Normal(0.0, 2.0))
        pyro.sample("y", dist.Normal(w, 1.0), obs=torch.tensor(2.0))

    guide = guide_of(case, poutine.block(model, hide=["w.gate"]))
    assert torch.equal(guide.laws()["w.slab"].activity, torch.tensor(1.0))
