"""Problems small enough for the truth, and the truth by other means than the library's."""

import math

import pyro
import pyro.distributions as dist
import torch

from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.gradients import GateProblem
from l0bayes.gradients.candidates import Candidate, draws_of
from l0bayes.sites import spike_and_slab
from tests.infer.exact import all_models
from tests.infer.problems import NOISE, X, Y, bernoulli_kl, regression

PI = 0.2


def delta_guide(model=None, seed=3, gate_law="hard_concrete", gates=1.0, **options):
    """A guide with points for slabs, in double precision and away from its start."""
    made = GATE_FAMILIES[gate_law].guide_class(model or regression(), (X, Y), **{"slab": "delta", **options})
    return made.double().perturb(seed, gates=gates, locs=0.7)


def slabs_of(guide):
    return guide.median()["beta.slab"].detach()


def logits_of(guide):
    return guide.gates()["beta.gate"].activity_logits.detach().clone()


def closed_form(logits, slabs, x=X, y=Y):
    """F of the linear Gaussian regression: f is quadratic in z, so its mean needs two moments only."""
    p = torch.sigmoid(logits)
    misfit = (y - x @ (p * slabs)).square().sum() + (p * (1 - p) * slabs.square() * x.square().sum(0)).sum()
    return -misfit / (2 * NOISE**2) - regularisation(logits, slabs)


def regularisation(logits, slabs):
    """KL of the gates against PI, and the code cost of points under N(0, 1) while their gates are open."""
    p = torch.sigmoid(logits)
    cost = 0.5 * slabs.square() + 0.5 * math.log(2 * math.pi)
    return (bernoulli_kl(p, PI) + p * cost).sum()


def enumerated_objective(logits, slabs, log_likelihood):
    """F by a sum over all binary vectors."""
    models = all_models(len(logits))
    log_p, log_q = torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits)
    weights = (models @ log_p + (1 - models) @ log_q).exp()
    values = torch.stack([log_likelihood(z * slabs) for z in models])
    return weights @ values - regularisation(logits, slabs)


def classification(x, y):
    """A smooth likelihood that is no polynomial of the gates."""
    beta = spike_and_slab("beta", PI, dist.Normal(0.0, 1.0).expand([x.shape[-1]]).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Bernoulli(logits=(x * beta).sum(-1)), obs=y)


def factor_model(log_likelihood, gates):
    """A model whose likelihood is a function of the effective weights."""

    def model(*_):
        beta = spike_and_slab("beta", PI, dist.Normal(0.0, 1.0).expand([gates]).to_event(1))
        pyro.factor("likelihood", log_likelihood(beta.double()))

    return model


def one_draw(model, guide, data, candidate="guide", seed=11):
    """One draw of the gradient, from a seed."""
    problem = GateProblem.of(model, guide, data)
    draws = draws_of(candidate if isinstance(candidate, Candidate) else Candidate(candidate), problem, guide)
    torch.manual_seed(seed)
    return draws.draw(1)[0]
