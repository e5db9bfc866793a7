"""Which slab hangs on which gate is found in any trace, whatever handlers made of names and values."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.contrib.autoname import name_count, scope
from pyro.infer.reparam import DiscreteCosineReparam, LocScaleReparam

import l0bayes
from l0bayes.guides import AutoHardConcrete, AutoJointGates
from l0bayes.infer import MeanFieldELBO
from l0bayes.posterior import importance_weighted
from l0bayes.sites import gate, slab, slab_links, spike_and_slab

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
Y = X[:, 0] + 0.5 * torch.randn(20, generator=torch.Generator().manual_seed(2))


def normal(*shape):
    return dist.Normal(0.0, 1.0).expand(shape).to_event(len(shape))


def block(x):
    return x @ spike_and_slab("beta", 0.3, normal(3))


def model_of(part):
    def model(x, y=None):
        tau = pyro.sample("tau", dist.LogNormal(0.0, 1.0))
        mean = part(x)
        with pyro.plate("data", len(x)):
            return pyro.sample("y", dist.Normal(mean, tau), obs=y)

    return model


def links_of(model):
    return slab_links(poutine.trace(model).get_trace(X, Y).nodes)


def twice(x):
    inner = scope(block, prefix="part")
    with name_count():
        return inner(x) + inner(x)


def shared_from_outside(x):
    """The gate is sampled outside the scope in which its slab stands."""
    unit = gate("unit", 0.5, [3])
    with scope(prefix="inside"):
        return x @ spike_and_slab("w", slab=normal(3), gate=unit)


def of_its_own(x):
    """A model that multiplies by itself, under a prefix."""
    with scope(prefix="layer"):
        unit = gate("unit", 0.5, [3])
        theta = slab("w", normal(3), unit)
        return x @ pyro.deterministic("w", unit.value * theta, event_dim=1)


SCOPED = {
    "plain": (block, {"beta.slab": ("beta", ["beta.gate"])}),
    "prefix": (scope(block, prefix="mean"), {"mean/beta.slab": ("mean/beta", ["mean/beta.gate"])}),
    "nested": (
        scope(scope(block, prefix="b"), prefix="a"),
        {"a/b/beta.slab": ("a/b/beta", ["a/b/beta.gate"])},
    ),
    "twice": (
        twice,
        {
            "part/beta.slab": ("part/beta", ["part/beta.gate"]),
            "part__1/beta.slab": ("part__1/beta", ["part__1/beta.gate"]),
        },
    ),
    "shared": (shared_from_outside, {"inside/w.slab": ("inside/w", ["unit"])}),
    "its own": (of_its_own, {"layer/w.slab": ("layer/w", ["layer/unit"])}),
}


@pytest.mark.parametrize("case", SCOPED)
def test_links_follow_the_names_that_a_scope_gives(case):
    part, expected = SCOPED[case]
    found = links_of(model_of(part))
    assert {
        name: (links.weight, [link.site for link in links.gates]) for name, links in found.items()
    } == expected


@pytest.mark.parametrize("case", ["prefix", "nested", "shared", "its own"])
def test_a_prefix_changes_names_only(case):
    """Equal parameters, equal terms, under names that only have a prefix."""
    model = model_of(SCOPED[case][0])
    guide = AutoHardConcrete(model, (X, Y)).perturb(2)
    terms = MeanFieldELBO().terms(model, guide, X, Y)
    ((slab_name, (_, gates)),) = SCOPED[case][1].items()
    laws = guide.laws()
    base = laws[slab_name].base
    kl = laws[gates[0]].prob_active * (-base.scale.log() + (base.scale**2 + base.loc**2 - 1.0) / 2.0)
    torch.testing.assert_close(terms.kl[slab_name], kl.sum())
    fit = l0bayes.Fit.of(model, guide, (X, Y))
    posterior = l0bayes.to_arviz(fit, num_draws=5)
    values = {str(name): value for name, value in posterior["posterior"].data_vars.items()}
    assert len(values) == 4
    assert l0bayes.gate_table(posterior).shape[0] == 3
    assert importance_weighted(fit, num_draws=50).pip[gates[0]].shape == (3,)
    assert l0bayes.trust(fit, num_draws=50).verdict


def test_the_columns_of_a_scoped_weight_are_recognised():
    def model(x, y):
        mean = scope(block, prefix="mean")(x)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(mean, 0.5), obs=y)

    guide = AutoHardConcrete(model, (X, Y))
    refined = l0bayes.refine(l0bayes.Fit.of(model, guide, (X, Y)), "exact")
    assert refined.pip("mean/beta")[0] > 0.9
    assert torch.equal(refined.pip("mean/beta"), refined.pip("mean/beta.gate"))


# ---- gates that are held -----------------------------------------------------------------------------

REGRESSION = model_of(block)
HELD = torch.tensor([1.0, 0.0, 1.0])


@pytest.mark.parametrize("hold", [poutine.condition, poutine.do], ids=["condition", "do"])
def test_a_gate_that_is_held_counts_by_its_value(hold):
    """A slab behind a gate that is held open is charged in full, and one behind a shut one nothing."""
    model = hold(REGRESSION, {"beta.gate": HELD})
    links = links_of(model)["beta.slab"]
    assert links.gates == ()
    assert torch.equal(links.fixed, HELD)
    for family in (AutoHardConcrete, AutoJointGates):
        guide = family(model, (X, Y))
        found = guide.laws()["beta.slab"]
        assert torch.equal(found.activity, HELD)
    guide = AutoHardConcrete(model, (X, Y)).perturb(1)
    base = guide.laws()["beta.slab"].base
    kl = (-base.scale.log() + (base.scale**2 + base.loc**2 - 1.0) / 2.0)[HELD > 0].sum()
    torch.testing.assert_close(MeanFieldELBO().terms(model, guide, X, Y).kl["beta.slab"], kl)


@pytest.mark.parametrize("hold", [poutine.condition, poutine.do], ids=["condition", "do"])
def test_the_densities_of_a_draw_have_the_slabs_that_are_held_open(hold):
    model = hold(REGRESSION, {"beta.gate": HELD})
    guide = AutoHardConcrete(model, (X, Y))
    posterior = l0bayes.to_arviz(l0bayes.Fit.of(model, guide, (X, Y)), num_draws=6)
    draws = {name: torch.as_tensor(v.values[0]) for name, v in posterior["posterior"].data_vars.items()}
    prior = dist.Normal(0.0, 1.0).log_prob(draws["beta.slab"])[:, HELD > 0].sum(-1)
    data = dist.Normal((draws["beta.slab"] * HELD) @ X.T, draws["tau"][:, None]).log_prob(Y).sum(-1)
    other = dist.LogNormal(0.0, 1.0).log_prob(draws["tau"])
    gates = torch.log(torch.tensor([0.3, 0.7, 0.3])).sum()
    if hold is poutine.do:  # the gate that was intervened upon is still there, and multiplies nothing
        gates = dist.Bernoulli(0.3).log_prob((draws["beta.gate"] > 0).float()).sum(-1)
    found = torch.as_tensor(posterior["sample_stats"]["log_p"].values[0])
    torch.testing.assert_close(found, prior + data + other + gates, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hold", [poutine.condition, poutine.do], ids=["condition", "do"])
@pytest.mark.parametrize("family", [AutoHardConcrete, AutoJointGates])
def test_a_guide_that_counts_on_a_gate_is_not_read_with_the_gate_held(hold, family):
    guide = family(REGRESSION, (X, Y))
    model = hold(REGRESSION, {"beta.gate": HELD})
    message = r"slab 'beta.slab' is weighted by the gate 'beta.gate' in the guide, but in the model"
    for read in (
        lambda: l0bayes.Fit.of(model, guide, (X, Y)),
        lambda: l0bayes.hardened_elbo(model, guide, (X, Y), num_draws=2),
        lambda: (
            guide.objective().loss(model, guide, X, Y)
            if family is AutoJointGates
            else MeanFieldELBO().loss(model, guide, X, Y)
        ),
    ):
        with pytest.raises(ValueError, match=message):
            read()


def test_a_gate_of_several_may_be_held():
    def model():
        rows, columns = gate("rows", 0.5, [2]), gate("columns", 0.5, [3])
        spike_and_slab("w", slab=normal(2, 3), gate=[rows.view(2, 1), columns])

    held = poutine.condition(model, {"rows": torch.tensor([0.0, 1.0])})
    links = slab_links(poutine.trace(held).get_trace().nodes)["w.slab"]
    assert [link.site for link in links.gates] == ["columns"]
    opened = links.opened({"columns": torch.tensor([1.0, 0.0, 1.0])}, torch.zeros(2, 3))
    assert opened.tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]
    laws = AutoHardConcrete(held).laws()
    assert (laws["w.slab"].activity[0] == 0).all()
    assert torch.equal(laws["w.slab"].activity[1], laws["columns"].prob_active)


# ---- links that are lost -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", [LocScaleReparam(0.0), DiscreteCosineReparam()], ids=["location and scale", "cosine"]
)
def test_a_reparameterised_slab_is_refused_by_name(how):
    model = poutine.reparam(REGRESSION, {"beta.slab": how})
    message = r"slab 'beta.slab' was reparameterised, .* the gate 'beta.gate'; leave it out"
    for family in (AutoHardConcrete, AutoJointGates):
        with pytest.raises(ValueError, match=message):
            family(model, (X, Y))
    with pytest.raises(ValueError, match=message):
        l0bayes.Fit.of(model, AutoHardConcrete(REGRESSION, (X, Y)), (X, Y))


def test_other_sites_may_be_reparameterised():
    def scaled(x, y=None):
        tau = pyro.sample("tau", dist.LogNormal(0.0, 1.0))
        beta = spike_and_slab("beta", 0.3, normal(3))
        shift = pyro.sample("shift", dist.Normal(0.0, tau))
        with pyro.plate("data", len(x)):
            return pyro.sample("y", dist.Normal(x @ beta + shift, 0.5), obs=y)

    model = poutine.reparam(scaled, {"shift": LocScaleReparam(0.0)})
    guide = AutoHardConcrete(model, (X, Y))
    posterior = l0bayes.to_arviz(l0bayes.Fit.of(model, guide, (X, Y)), num_draws=5)
    assert set(posterior["observed_data"].data_vars) == {"y"}  # the shift is no datum
    assert {"shift", "shift_decentered"} <= set(posterior["posterior"].data_vars)


def test_a_hidden_gate_is_said_to_be_hidden():
    links = links_of(poutine.block(REGRESSION, hide=["beta.gate"]))["beta.slab"]
    assert links.gates == ()
    assert links.hidden == ("beta.gate",)


# ---- names ---------------------------------------------------------------------------------------------


def test_no_two_names_share_a_parameter():
    names = ["level.a", "level/a", "level\\/a", "level\\.a", "level//a", "level..a", "level/.a", "level./a"]

    def model():
        for index, name in enumerate(names):
            pyro.sample(name, dist.Normal(float(index), 1.0))

    guide = AutoHardConcrete(model)
    assert len(list(guide.loc.parameters())) == len(names)
    for index, parameter in enumerate(guide.loc.parameters()):
        parameter.data.fill_(index)
    assert [guide.median()[name].item() for name in names] == list(range(len(names)))
    again = AutoHardConcrete(model)
    again.load_state_dict(guide.state_dict())
    assert again.median()["level./a"] == len(names) - 1
