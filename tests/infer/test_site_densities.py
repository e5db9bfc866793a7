"""What the model masks counts nowhere: each masked model equals the one without what is masked."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoGuideList, AutoNormal

import l0bayes
from l0bayes.guides import AutoBernoulliGates, AutoHardConcrete, AutoJointGates
from l0bayes.infer import MeanFieldELBO
from l0bayes.infer.objectives.site_densities import counted_entries, counted_rows
from l0bayes.sites import spike_and_slab

pytestmark = pytest.mark.usefixtures("float64")

KEEP = torch.tensor([True, False, True, True, False, True])
DATA = torch.linspace(-1.0, 2.0, 6)


def weights(handler, count):
    """Local gates, slabs and shifts of a plate under a handler."""

    def model():
        with pyro.plate("units", count), handler:
            spike_and_slab("w", 0.2, dist.Normal(0.0, 1.0))
            pyro.sample("shift", dist.LogNormal(0.5, 2.0))

    return model


def masked_by_law(event):
    def model():
        prior = dist.Normal(0.0, 1.0).expand([6])
        prior = prior.mask(KEEP).to_event(1) if event else prior.mask(KEEP)
        with pyro.plate("units", 6) if not event else poutine.mask(mask=True):
            spike_and_slab("w", 0.2, prior, gate_shape=(1,) if event else None)

    return model


def kl_of(model, guide):
    torch.manual_seed(4)
    return {name: value.item() for name, value in MeanFieldELBO().terms(model, guide).kl.items()}


def test_a_mask_that_only_the_model_knows_holds_for_its_guide():
    """Guides are made by themselves and cannot repeat what the model masks; the KL is of what is left."""
    whole, masked = weights(poutine.mask(mask=True), 6), weights(poutine.mask(mask=KEEP), 6)
    guide = AutoHardConcrete(whole).perturb(1)
    kept = AutoHardConcrete(weights(poutine.mask(mask=True), 4))
    with torch.no_grad():
        for (_, value), (_, part) in zip(guide.named_parameters(), kept.named_parameters(), strict=True):
            part.copy_(value[KEEP])
    expected = MeanFieldELBO().terms(weights(poutine.mask(mask=True), 4), kept).kl
    found = MeanFieldELBO().terms(masked, guide).kl
    for name in ("w.gate", "w.slab", "shift"):
        torch.testing.assert_close(found[name], expected[name])


@pytest.mark.parametrize("event", [True, False])
def test_a_mask_inside_the_prior_s_law_holds_too(event):
    masked = masked_by_law(event)
    guide = AutoHardConcrete(masked)
    with torch.no_grad():
        for parameter in guide.loc.parameters():
            parameter.copy_(torch.arange(6.0))
    found = kl_of(masked, guide)["w.slab"]
    each = -torch.log(torch.tensor(0.1)) + (0.01 + torch.arange(6.0) ** 2 - 1.0) / 2.0
    assert found == pytest.approx((0.5 * each)[KEEP].sum().item())


def imputed(x, seen):
    mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
    jump = spike_and_slab("jump", 0.5, dist.Normal(0.0, 1.0))
    with pyro.plate("n", 6):
        pyro.sample("x", dist.Normal(mu + jump, 1.0), obs=x, obs_mask=seen)


@pytest.mark.parametrize("rest", ["own", "pyro"])
def test_the_latent_half_of_a_partly_observed_site_has_no_term_for_what_was_seen(rest):
    guide = AutoHardConcrete(imputed, (DATA, KEEP))
    if rest == "pyro":
        sparse = ["jump.gate", "jump.slab"]
        guide = AutoGuideList(imputed)
        guide.append(AutoHardConcrete(poutine.block(imputed, expose=sparse), (DATA, KEEP)))
        guide.append(AutoNormal(poutine.block(imputed, hide=sparse)))
        guide(DATA, KEEP)
    elbo = MeanFieldELBO()(imputed, guide)
    elbo(DATA, KEEP).backward()
    halves = [p.grad for name, p in guide.named_parameters() if "x_unobserved" in name]
    assert len(halves) == 2
    for gradient in halves:
        assert (gradient[KEEP] == 0).all()
        assert (gradient[~KEEP] != 0).all()


# ---- observations ------------------------------------------------------------------------------------


def hurdle(law):
    """Whether there is an amount, and the amount, which has no value where there is none."""

    def model(x, amount):
        beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        with pyro.plate("n", len(x)), poutine.mask(mask=~torch.isnan(amount)):
            pyro.sample("amount", law(x @ beta), obs=amount)

    return model


def by_normal(mean):
    return dist.Normal(mean, 0.5)


def by_log_normal(mean):
    return dist.LogNormal(mean, 0.5)


def by_poisson(mean):
    return dist.Poisson(mean.exp())


X = torch.randn(6, 2, generator=torch.Generator().manual_seed(2)).double()
AMOUNT = torch.where(KEEP, torch.tensor([2.0, 0.0, 1.0, 4.0, 0.0, 3.0]), torch.nan)


@pytest.mark.parametrize("law", [by_normal, by_log_normal, by_poisson])
@pytest.mark.parametrize("family", [AutoHardConcrete, AutoBernoulliGates, AutoJointGates])
def test_nothing_comes_back_from_a_masked_placeholder(law, family):
    """Value and gradient are those of the rows that are there, though the others are not numbers."""
    model = hurdle(law)
    guide = family(model, (X, AMOUNT))
    found = []
    for rows in (slice(None), KEEP):
        guide.zero_grad()
        torch.manual_seed(5)
        loss = guide.objective()(model, guide) if family is AutoJointGates else MeanFieldELBO()(model, guide)
        value = loss(X[rows], AMOUNT[rows])
        value.backward()
        found.append((value.detach(), [p.grad.clone() for p in guide.parameters() if p.grad is not None]))
    torch.testing.assert_close(found[0], found[1])


def vectors(x):
    with pyro.plate("n", 6), poutine.mask(mask=KEEP):
        mean = spike_and_slab("w", 0.5)
        pyro.sample("x", dist.Normal(mean[..., None], 1.0).expand([6, 2]).to_event(1), obs=x)


def test_rows_and_entries_that_count():
    value = torch.randn(6, 2)
    value[3, 1] = torch.nan
    trace = poutine.trace(vectors).get_trace(value)
    site = trace.nodes["x"]
    expected = KEEP[:, None].expand(6, 2).clone()
    expected[3, 1] = False
    assert torch.equal(counted_entries(site), expected)
    assert torch.equal(counted_rows(site), KEEP)


# ---- what is read after training -----------------------------------------------------------------------


def two_parts(rows, scale=1.0):
    """A masked amount beside a response that is always there, or the same without the masked rows."""

    def model(x, y):
        slab = poutine.scale(scale=scale)
        with slab:
            beta = spike_and_slab("beta", 0.3, dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        with pyro.plate("all", 6):
            pyro.sample("any", dist.Bernoulli(logits=x @ beta), obs=KEEP.double())
        if rows == "masked":
            with pyro.plate("n", 6), poutine.mask(mask=KEEP):
                pyro.sample("amount", dist.Normal(x @ beta, 0.5), obs=y)
        else:
            with pyro.plate("n", 4):
                pyro.sample("amount", dist.Normal(x[KEEP] @ beta, 0.5), obs=y[KEEP])

    return model


@pytest.mark.parametrize("family", [AutoHardConcrete, AutoJointGates])
def test_draws_have_the_densities_of_the_model_without_its_masked_rows(family):
    y = torch.where(KEEP, DATA, 0.0)
    guide = family(two_parts("masked"), (X, y))
    read = {}
    for rows in ("masked", "left out"):
        model = two_parts(rows)
        fit = l0bayes.Fit.of(model, guide, (X, y))
        posterior = l0bayes.to_arviz(fit, num_draws=20)
        found = {name: posterior["sample_stats"][name].values for name in ("log_p", "log_q")}
        found["amount"] = posterior["log_likelihood"]["amount"].sum("chain").values.sum(-1)
        read[rows] = {name: torch.as_tensor(value) for name, value in found.items()}
    for name, value in read["masked"].items():
        torch.testing.assert_close(value, read["left out"][name])


def test_the_scale_of_a_slab_reaches_the_density_of_a_draw():
    guide = AutoHardConcrete(two_parts("masked"), (X, DATA), init_active=0.9)
    stats = {}
    for scale in (1.0, 3.0):
        fit = l0bayes.Fit.of(two_parts("masked", scale), guide, (X, DATA))
        stats[scale] = l0bayes.to_arviz(fit, num_draws=20)
    gates = torch.as_tensor(stats[1.0]["posterior"]["beta.gate"].values[0] > 0).double()
    slabs = torch.as_tensor(stats[1.0]["posterior"]["beta.slab"].values[0])
    prior = (gates * dist.Normal(0.0, 1.0).log_prob(slabs) + dist.Bernoulli(0.3).log_prob(gates)).sum(-1)
    change = stats[3.0]["sample_stats"]["log_p"].values[0] - stats[1.0]["sample_stats"]["log_p"].values[0]
    torch.testing.assert_close(torch.as_tensor(change), 2.0 * prior)
