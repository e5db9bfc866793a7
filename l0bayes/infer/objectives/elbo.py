r"""The mean-field ELBO: analytic KLs where they exist, an error where they do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from pyro.distributions import Delta
from pyro.infer.elbo import ELBO, ELBOModule
from torch import Tensor

from l0bayes import validate
from l0bayes.distributions import GateLaw
from l0bayes.infer.objectives.binary_gates import binary_sites, terms_with_score
from l0bayes.infer.objectives.pair_traces import PairTraces, check_cover, run_pair
from l0bayes.infer.objectives.per_example import num_examples
from l0bayes.infer.objectives.site_terms import MONTE_CARLO, ELBOTerms, kl_by_site, terms_at_draw
from l0bayes.infer.trained_parameters import TrainedParameters

__all__ = ["MONTE_CARLO", "BoundELBO", "ELBOTerms", "MeanFieldELBO", "RecaptureError"]


class RecaptureError(RuntimeError):
    """Raised while a graph is captured, by an objective that runs in another way from now on."""


class MeanFieldELBO(ELBO):
    r"""Evidence lower bound of a mean-field pair of model and guide.

    .. math:: \mathrm{ELBO} = E_q[\log p(D \mid z, \theta, \eta)]
        - w \sum_{\text{sites}} \mathrm{KL}(q(\cdot)\,\|\,p(\cdot))

    The likelihood is estimated with one draw a particle. The KL of a site is

    * the registered analytic KL where there is one: all gates, and slabs weighted by P(z != 0);
    * for a ``Delta`` site of the guide, :math:`\log q - \log p` at the point, *including* the
      ``log_density`` that holds the Jacobian of a transformed site, which Pyro's own
      ``TraceMeanField_ELBO`` leaves out;
    * :math:`\log q - \log p` at the draw, only where the guide asks for it with
      ``infer={l0bayes.infer.MONTE_CARLO: True}``, as the gate guides do for latents that are neither
      gate nor slab, and for slabs on a part of the line, whose ratio is weighted by P(z != 0).

    Anything else raises. Binary gates, whose draws carry no gradient, name an unbiased estimator
    (:class:`~l0bayes.infer.GateGradient`) with ``infer={l0bayes.infer.GATE_GRADIENT: DisARM()}``; the
    model is then evaluated at several draws of the gates, and the estimate of the gradient goes with
    likelihood and KL. No other log probability is computed, so that the estimate is cheap and can
    be captured as one graph. Whether the value is a bound depends on the priors: with
    :class:`~l0bayes.distributions.L0Penalty` it is the paper's objective and not a bound.

    It is a Pyro loss: ``SVI(model, guide, optim, MeanFieldELBO())`` works, and so does
    ``MeanFieldELBO()(model, guide)``, an ``nn.Module`` for plain torch optimisers that touches neither
    the parameter store nor ``pyro.settings``.

    Args:
        num_particles: Draws an estimate is averaged over.
        vectorize_particles: Draw them in one batched pass, in a plate to the left of all others; the
            model must broadcast.
        max_plate_nesting: Depth of the model's plates, of use with ``vectorize_particles`` alone; found
            by running the model once where it is not given.
        kl_weight: Weight w of the KL terms, 1 for the bound. It is kept in a tensor, ``kl_weight``,
            to be changed in place.
        per_example_gates: Draw every gate once for each example of the batch, the rows of the first
            tensor argument: the same expectation at a lower variance. For models with the attribute
            ``supports_per_example_gates = True``, whose gate sites then take a value with the examples
            as its first dimension.

    Raises:
        ValueError: If ``num_particles`` is not positive, ``kl_weight`` is negative, or
            ``per_example_gates`` and ``vectorize_particles`` are both asked for.
    """

    gate_laws: ClassVar[tuple[type, ...]] = (GateLaw, Delta)
    """The laws that a guide may put on a gate site."""

    independent_gates: ClassVar[bool] = True
    """Whether the gates of the guide have activities of their own, which a target can price."""

    def __init__(
        self,
        num_particles: int = 1,
        vectorize_particles: bool = False,
        max_plate_nesting: float = float("inf"),
        kl_weight: float = 1.0,
        per_example_gates: bool = False,
    ) -> None:
        if per_example_gates and vectorize_particles:
            raise ValueError(
                "per_example_gates=True does not go with vectorize_particles=True; give one of them"
            )
        validate.at_least(1, num_particles=num_particles)
        validate.not_negative(kl_weight=kl_weight)
        super().__init__(
            num_particles=num_particles,
            vectorize_particles=vectorize_particles,
            max_plate_nesting=max_plate_nesting,
        )
        self.kl_weight = torch.tensor(float(kl_weight))
        self.per_example_gates = per_example_gates
        # A captured graph cannot draw what may choose a branch: that a model enumerates is found before.
        self._first_enum_dims: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def __call__(
        self,
        model: Callable[..., Any],
        guide: Callable[..., Any],
        keywords: Mapping[str, Any] | None = None,
    ) -> BoundELBO:
        """Fix model and guide.

        Args:
            model: A Pyro model, possibly an ``nn.Module``.
            guide: A guide, an ``nn.Module``.
            keywords: Keyword arguments of both that are the same in every call.

        Returns:
            A module whose forward takes the model's arguments and returns the loss.
        """
        return BoundELBO(model, guide, self, keywords)

    def traces(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> PairTraces:
        """Run the guide, and the model at its draw, once each, and check that they fit one another.

        Args:
            model: A Pyro model.
            guide: A guide that covers the model's latent sites.
            *args: Positional arguments of both.
            **kwargs: Keyword arguments of both.

        Raises:
            ValueError: If a latent site has no guide, a guide site no model, or a gate no gate law.
        """
        known = self._first_enum_dims.get(model)
        traces = run_pair(model, guide, args, kwargs, self.per_example_gates, known)
        if traces.first_enum_dim is not None:
            self._first_enum_dims[model] = traces.first_enum_dim
        check_cover(traces, self.gate_laws, type(self).__name__)
        return traces

    def terms_at(self, traces: PairTraces) -> ELBOTerms:
        """Likelihood and KLs at one draw: their values, without the estimate of a gradient through gates.

        Args:
            traces: One run of guide and model.

        Raises:
            ValueError: If a site with an analytic KL has different scales in model and guide.
            NotImplementedError: If a site has no analytic KL and does not allow a sampled one.
        """
        return terms_at_draw(traces.model, traces.guide)

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Any:
        """What Pyro's base class asks for to batch particles."""
        traces = self.traces(model, guide, *args, **kwargs)
        return traces.model, traces.guide

    def terms(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> ELBOTerms:
        """Likelihood and KLs, averaged over the particles.

        Args:
            model: A Pyro model.
            guide: A guide that covers the model's latent sites.
            *args: Positional arguments of both.
            **kwargs: Keyword arguments of both.

        Raises:
            ValueError: If a latent site has no guide, a guide site no model, or a site with an analytic KL
                different scales in the two; or if binary gates that are trained name no estimator, or meet
                ``vectorize_particles``.
            NotImplementedError: If a site has no analytic KL and does not allow a sampled one.
        """
        total = ELBOTerms()
        for one in self._particles(model, guide, args, kwargs):
            total.log_likelihood = total.log_likelihood + one.log_likelihood / self.num_particles
            for name, value in one.kl.items():
                share = value / self.num_particles
                total.kl[name] = total.kl[name] + share if name in total.kl else share
        return total

    def _particles(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Iterator[ELBOTerms]:
        if self.vectorize_particles and self.num_particles > 1:
            if self.max_plate_nesting == math.inf:
                self._guess_max_plate_nesting(model, guide, args, kwargs)
            model_trace, guide_trace = self._get_vectorized_trace(model, guide, args, kwargs)
            if binary_sites(guide_trace):
                raise ValueError(
                    "vectorize_particles=True does not go with binary gates, which are drawn several times "
                    "for each particle; leave it out"
                )
            yield terms_at_draw(model_trace, guide_trace)
        else:
            for _ in range(self.num_particles):
                yield self._one_particle(model, guide, args, kwargs)

    def _one_particle(self, model: Any, guide: Any, args: Any, kwargs: Any) -> ELBOTerms:
        traces = self.traces(model, guide, *args, **kwargs)
        terms = self.terms_at(traces)
        sites = binary_sites(traces.guide)
        if not sites:
            return terms

        def run(gates: dict[str, Tensor]) -> Any:
            return traces.model_at(model, args, kwargs, gates)

        examples = num_examples(args) if self.per_example_gates else None

        def total_kl(trace: Any) -> Tensor | float:
            known = trace is traces.model
            return terms.total_kl if known else ELBOTerms(kl=kl_by_site(trace, traces.guide)).total_kl

        terms.log_likelihood, scores = terms_with_score(
            sites, traces.guide, traces.model, run, total_kl, examples
        )
        for name, score in scores.items():
            terms.kl[name] = terms.kl[name] + score
        return terms

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Negative ELBO with its graph, KLs weighted by ``kl_weight``; arguments as in :meth:`terms`."""
        terms = self.terms(model, guide, *args, **kwargs)
        loss = self.kl_weight * terms.total_kl - terms.log_likelihood
        return torch.as_tensor(loss)

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Negative ELBO as a number; arguments as in :meth:`terms`."""
        with torch.no_grad():
            return float(self.differentiable_loss(model, guide, *args, **kwargs))

    def loss_and_grads(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Negative ELBO as a number, its gradients added to the parameters; arguments as in :meth:`terms`.
        What ``pyro.infer.SVI`` calls.
        """
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward()
        return float(loss.detach())


class BoundELBO(ELBOModule):
    """An ELBO with its model and guide, as one module.

    Parameters of the guide, and of the model where it is a module, are its parameters. ``kl_weight``
    is a buffer of it, the same tensor that the ELBO holds.

    Args:
        model: A Pyro model.
        guide: A guide.
        elbo: The objective.
        keywords: Keyword arguments of model and guide that are the same in every call. A captured graph
            fixes them.
    """

    kl_weight: Tensor
    elbo: MeanFieldELBO
    model: Any
    guide: Any

    def __init__(
        self, model: Any, guide: Any, elbo: MeanFieldELBO, keywords: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(model, guide, elbo)
        self.keywords = dict(keywords or {})
        self.register_buffer("kl_weight", elbo.kl_weight, persistent=False)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The loss (negative ELBO) for the model's arguments."""
        return self.with_terms(*args, **kwargs)[0]

    def kl_by_site(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """The KL of every latent site, in nats, at one draw."""
        with self._store():
            return self.elbo.terms(self.model, self.guide, *args, **{**self.keywords, **kwargs}).kl

    def with_terms(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, log likelihood and KL (unweighted), each a scalar in nats."""
        with self._store():
            terms = self.elbo.terms(self.model, self.guide, *args, **{**self.keywords, **kwargs})
        likelihood, kl = torch.as_tensor(terms.log_likelihood), torch.as_tensor(terms.total_kl)
        return self.kl_weight * kl - likelihood, likelihood, kl

    def _store(self) -> AbstractContextManager[None]:
        """The parameter store without what the modules hold, for the time of a call: they keep their own
        parameters, also where torch.func puts others in their place, and the global store is left alone."""
        return TrainedParameters.in_store(self.model, self.guide).in_use()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        result = super()._apply(fn, recurse)
        self.elbo.kl_weight = self.kl_weight  # .to(device) replaces buffers: keep the two one tensor
        return result
