r"""Finding the linear predictor, and what surrounds it, in a Pyro model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor
from torch.distributions import Independent

from l0bayes.distributions import GatePrior
from l0bayes.infer.draws import Given
from l0bayes.infer.modes import evaluating
from l0bayes.infer.randomness import private_randomness
from l0bayes.selection.glm_problem import GLMProblem
from l0bayes.selection.likelihoods import Bernoulli, Binomial, Likelihood, NegativeBinomial, Poisson
from l0bayes.selection.problem import InclusionPrior, InverseGamma, LinearProblem
from l0bayes.sites import gate_record, slab_record

__all__ = ["LinearModel", "NotLinearError", "read_linear_model"]

_CHUNK = 256


class NotLinearError(ValueError):
    """The model is not one that the engines of variable selection know; the message says why."""


@dataclass(frozen=True)
class LinearModel:
    """A Pyro model as a problem, with the way back to its sites.

    Attributes:
        problem: The problem.
        weights: Name of every effective weight, with its columns of the problem in the shape of its site.
        gates: Name of every gate site, with its groups of the problem in the shape of the site.
        always: Name of every ungated site in the predictor, with its columns of ``problem.always``.
        always_mean: Prior mean of those columns, which the problem's offset holds, shape ``(k,)``.
    """

    problem: LinearProblem
    weights: dict[str, Tensor]
    gates: dict[str, Tensor]
    always: dict[str, Tensor]
    always_mean: Tensor


@torch.no_grad()
def read_linear_model(model: Callable[..., Any], data: tuple[Any, ...], seed: int = 0) -> LinearModel:
    r"""Run a Pyro model at several points, and recover the regression that it is.

    .. math:: \eta = o + U\alpha + X(z \odot \theta)

    X and U are the derivatives of the likelihood's parameter in slabs and ungated Normal latents; that it is
    linear in them, and that nothing else moves it, is checked at random points.

    Args:
        model: The model.
        data: Its arguments: all data.
        seed: Seed of the points.

    Raises:
        NotLinearError: If the predictor is not linear, or likelihood, slab prior, gate prior or noise prior
            are not among those the engines know.
    """
    quiet = pyro.validation_enabled(False)  # which would branch on values
    with quiet, private_randomness(seed), poutine.block(), pyro.get_param_store().scope(), evaluating(model):
        return _Reader(model, data).read()


class _Reader:
    def __init__(self, model: Callable[..., Any], data: tuple[Any, ...]) -> None:
        self.model, self.data = model, data
        first, second = self.trace({}), self.trace({})
        self.nodes: dict[str, Any] = {
            name: site for name, site in first.nodes.items() if site["type"] == "sample"
        }
        latent = [name for name, site in self.nodes.items() if not site["is_observed"]]
        self.gates = [name for name in latent if gate_record(self.nodes[name]) is not None]
        self.slabs = [
            name for name in latent if (record := slab_record(self.nodes[name])) is not None and record.gates
        ]
        if not self.slabs:
            raise NotLinearError("the model has no gated weights, so that there is nothing to refine")
        self.response = self._only_response()
        self.base = {name: self.nodes[name]["value"] for name in latent}
        self.base |= {name: torch.ones_like(self.base[name]) for name in self.gates}
        others = [name for name in latent if name not in (*self.gates, *self.slabs)]
        self.normal = [name for name in others if isinstance(_base(self.nodes[name]["fn"]), dist.Normal)]
        self.moved = {name: second.nodes[name]["value"] for name in others}
        self.others = others

    def trace(self, values: dict[str, Tensor]) -> Any:
        with Given(values):
            return prune_subsample_sites(poutine.trace(self.model).get_trace(*self.data))

    def at(self, **changes: Tensor) -> Any:
        return self.trace(self.base | changes)

    def _only_response(self) -> str:
        observed = [
            name
            for name, site in self.nodes.items()
            if site["is_observed"] and not site["infer"].get("_deterministic")
        ]
        if len(observed) != 1:
            raise NotLinearError(f"refinement takes a model with one observed site; this one has {observed}")
        site = self.nodes[observed[0]]
        for frame in site["cond_indep_stack"]:
            if frame.full_size is not None and frame.full_size != frame.size:
                raise NotLinearError(
                    f"plate {frame.name!r} holds {frame.size} of {frame.full_size} rows; refinement needs "
                    "all data at once: give it data=(...)"
                )
        return observed[0]

    # ---- the predictor ---------------------------------------------------------------------------

    def read(self) -> LinearModel:
        names = [*self.slabs, *self.normal]
        sizes = [self.base[name].numel() for name in names]

        def unpack(vector: Tensor) -> dict[str, Tensor]:
            parts = vector.split(sizes)
            return {n: part.reshape(self.base[n].shape) for n, part in zip(names, parts, strict=True)}

        def predictor(vector: Tensor) -> Tensor:
            return self.predictor(self.at(**unpack(vector)))

        zero = torch.cat([torch.zeros_like(self.base[name]).flatten() for name in names])
        offset = predictor(zero)
        design = _jacobian(predictor, zero, len(offset))
        self._check_linear(unpack, offset, design, zero)
        gated = sum(sizes[: len(self.slabs)])
        columns = dict(zip(names, torch.arange(len(zero)).split(sizes), strict=True))
        always = [name for name in self.normal if bool((design[:, columns[name]] != 0).any())]
        self._check_moved(always)
        groups, gate_index = self._groups()
        k_columns = [columns[name] for name in always]
        chosen = torch.cat(k_columns) if k_columns else torch.empty(0, dtype=torch.long)
        u = design[:, chosen].double()
        prior = self.nodes
        means, scales = [], []
        for name in always:
            law, shape = _base(prior[name]["fn"]), self.base[name].shape
            means.append(law.loc.expand(shape).flatten().double())
            scales.append(law.scale.expand(shape).flatten().double())
        empty = torch.empty(0, dtype=torch.float64)
        always_mean = torch.cat(means) if means else empty
        noise_of, noise, scaled, slab_scale = self._noise_and_slabs()
        settings: dict[str, Any] = {
            "x": design[:, :gated].double(),
            "y": prior[self.response]["value"].flatten().double(),
            "prior": self._inclusion(),
            "slab_scale": slab_scale,
            "groups": groups,
            "always": u,
            "always_scale": torch.cat(scales) if scales else empty,
            "offset": offset.double() + u @ always_mean,
            "weights": self._row_weights(noise_of),
        }
        likelihood = self._likelihood()
        problem: LinearProblem
        if likelihood is None:
            problem = LinearProblem(**settings, noise=noise, slab_scaled_by_noise=scaled)
        else:
            problem = GLMProblem(**settings, likelihood=likelihood)
        weights = {}
        for name in self.slabs:
            record = slab_record(prior[name])
            assert record is not None
            weights[record.weight] = columns[name].reshape(self.base[name].shape)
        place = (
            torch.arange(len(chosen)).split([self.base[name].numel() for name in always]) if always else ()
        )
        where = {name: i.reshape(self.base[name].shape) for name, i in zip(always, place, strict=True)}
        return LinearModel(problem, weights, gate_index, where, always_mean)

    def predictor(self, trace: Any) -> Tensor:
        """The likelihood's parameter that is linear in the weights, one entry a row."""
        law = _base(trace.nodes[self.response]["fn"])
        if isinstance(law, dist.Normal):
            eta: Any = law.loc
        elif isinstance(law, dist.Bernoulli | dist.Binomial):
            eta = law.logits
        elif isinstance(law, dist.NegativeBinomial):
            eta = law.logits + torch.log(law.total_count)
        elif isinstance(law, dist.Poisson):
            eta = getattr(law, "log_rate", None)
            eta = law.rate.log() if eta is None else eta
        else:
            raise NotLinearError(
                f"the likelihood {type(law).__name__} of site {self.response!r} has no refinement; there is "
                "one for Normal, Bernoulli, Binomial, Poisson and NegativeBinomial"
            )
        flat: Tensor = eta.expand(trace.nodes[self.response]["value"].shape).flatten()
        return flat

    def _check_linear(
        self, unpack: Callable[[Tensor], dict[str, Tensor]], offset: Tensor, design: Tensor, zero: Tensor
    ) -> None:
        tolerance = 1e-8 if offset.dtype == torch.float64 else 1e-3
        for _ in range(3):
            vector = torch.randn_like(zero)
            changes = unpack(vector)
            for name in self.gates:
                changes[name] = torch.randint(0, 2, self.base[name].shape).to(self.base[name])
            parts = [(self._open(name, changes) * changes[name]).flatten() for name in self.slabs]
            parts += [changes[name].flatten() for name in self.normal]
            wanted = offset + design @ torch.cat(parts)
            found = self.predictor(self.at(**changes))
            if not torch.allclose(
                found, wanted, rtol=tolerance, atol=tolerance * float(1 + wanted.abs().max())
            ):
                raise NotLinearError(
                    f"the predictor of site {self.response!r} is not linear in the gated weights "
                    f"{[self._weight(name) for name in self.slabs]} and the Normal latents {self.normal}, or "
                    "gates enter it other than by multiplying slabs"
                )

    def _open(self, slab: str, values: dict[str, Tensor]) -> Tensor:
        record = slab_record(self.nodes[slab])
        assert record is not None
        product = torch.ones(())
        for link in record.gates:
            product = product * link.spread(values[link.site])
        return product.expand(self.base[slab].shape)

    def _check_moved(self, always: list[str]) -> None:
        """Nothing but slabs and ``always`` moves the predictor."""
        still = [name for name in self.others if name not in always]
        there = self.predictor(self.at())
        for name in still:
            if not torch.allclose(
                self.predictor(self.at(**{name: self.moved[name]})), there, rtol=1e-4, atol=1e-5
            ):
                raise NotLinearError(
                    f"the predictor of site {self.response!r} depends on the latent {name!r}, whose prior is "
                    f"{type(_base(self.nodes[name]['fn'])).__name__} and not Normal"
                )
        for name in always:
            self._fixed(name, "prior of the ungated latent", lambda law: [law.loc, law.scale])

    def _fixed(
        self, site: str, what: str, of: Callable[[Any], list[Tensor]], skip: tuple[str, ...] = ()
    ) -> None:
        """Refuse parameters of a law that depend on another latent."""
        there = of(_base(self.at().nodes[site]["fn"]))
        for name in self.others:
            if name in (site, *skip):
                continue
            moved = of(_base(self.at(**{name: self.moved[name]}).nodes[site]["fn"]))
            if not all(torch.allclose(*pair) for pair in zip(there, moved, strict=True)):
                raise NotLinearError(
                    f"the {what} {site!r} depends on the latent {name!r}, which has no refinement"
                )

    # ---- likelihood and noise --------------------------------------------------------------------

    def _likelihood(self) -> Likelihood | None:
        law = _base(self.nodes[self.response]["fn"])
        shape = self.nodes[self.response]["value"].shape
        if isinstance(law, dist.Normal):
            return None
        if isinstance(law, dist.Bernoulli):
            return Bernoulli()
        if isinstance(law, dist.Binomial):
            return Binomial(law.total_count.expand(shape).flatten().double())
        if isinstance(law, dist.Poisson):
            return Poisson()
        self._fixed(self.response, "dispersion of site", lambda law: [law.total_count], tuple(self.normal))
        count = law.total_count.flatten()
        if not torch.allclose(count, count[0]):
            raise NotLinearError(f"the dispersion of site {self.response!r} differs between rows")
        return NegativeBinomial(1.0 / float(count[0]))

    def _scale(self, **changes: Tensor) -> Tensor:
        law = _base(self.at(**changes).nodes[self.response]["fn"])
        scale: Tensor = law.scale.expand(self.nodes[self.response]["value"].shape).flatten().double()
        return scale

    def _noise_and_slabs(self) -> tuple[Tensor, float | InverseGamma, bool, Tensor]:
        """σ of each row in units of the noise, the noise, whether it scales the slabs, and their scales."""
        if not isinstance(_base(self.nodes[self.response]["fn"]), dist.Normal):
            return torch.empty(0), 1.0, False, self._slab_scales(None, 1.0)[0]
        there = self._scale()
        for name in (*self.slabs, *self.gates):
            other = self.base[name] * 0.5 + 0.7
            if not torch.allclose(self._scale(**{name: other}), there):
                raise NotLinearError(f"the noise of site {self.response!r} depends on the weights")
        moving = [
            name
            for name in self.others
            if not torch.allclose(self._scale(**{name: self.moved[name]}), there, rtol=1e-6)
        ]
        if not moving:
            sigma = float(there[0])
            return there / sigma, sigma, False, self._slab_scales(None, 1.0)[0]
        if len(moving) > 1:
            raise NotLinearError(f"the noise of site {self.response!r} depends on several latents, {moving}")
        name, law = moving[0], _base(self.nodes[moving[0]]["fn"])
        one = torch.ones_like(self.base[name])
        unit, four = self._scale(**{name: one}), self._scale(**{name: 4.0 * one})
        power = 2.0 if isinstance(law, dist.InverseGamma) else 0.5 if type(law) is dist.Gamma else math.nan
        if self.base[name].numel() != 1 or not torch.allclose(four, power * unit, rtol=1e-5):
            raise NotLinearError(
                f"the noise latent {name!r} has the prior {type(law).__name__}; refinement takes a known "
                "noise, an InverseGamma prior on the variance, or a Gamma prior on the precision"
            )
        self._fixed(name, "prior of the noise latent", lambda law: [law.concentration, law.rate])
        noise = InverseGamma(float(law.concentration), float(law.rate))
        scales, scaled = self._slab_scales(name, power)
        return unit, noise, scaled, scales

    def _slab_scales(self, noise: str | None, power: float) -> tuple[Tensor, bool]:
        """Scales of all slabs, and whether they are in units of the noise."""
        scales, scaled = [], set()
        for name in self.slabs:
            law = _base(self.nodes[name]["fn"])
            if not isinstance(law, dist.Normal):
                raise NotLinearError(
                    f"the slab of {self._weight(name)!r} has the prior {type(law).__name__}; refinement "
                    "takes Normal slabs"
                )
            if bool((law.loc != 0).any()):
                raise NotLinearError(f"the slab of {self._weight(name)!r} has a prior mean that is not 0")
            self._fixed(
                name, "slab scale of site", lambda law: [law.scale], () if noise is None else (noise,)
            )
            shape = self.base[name].shape
            if noise is None:
                scales.append(law.scale.expand(shape).flatten().double())
                continue
            one = torch.ones_like(self.base[noise])
            unit, four = (
                _base(self.at(**{noise: factor * one}).nodes[name]["fn"]).scale for factor in (1.0, 4.0)
            )
            in_units = torch.allclose(four, power * unit)
            if not in_units and not torch.allclose(four, unit):
                raise NotLinearError(
                    f"the slab scale of {self._weight(name)!r} depends on the noise {noise!r}, but is not "
                    "proportional to its σ"
                )
            scaled.add(in_units)
            scales.append(unit.expand(shape).flatten().double())
        if len(scaled) > 1:
            raise NotLinearError("the noise scales some slabs and not others")
        return torch.cat(scales), scaled == {True}

    def _row_weights(self, noise_of: Tensor) -> Tensor:
        site = self.nodes[self.response]
        shape = site["value"].shape
        if site["mask"] is not None and not bool(torch.as_tensor(site["mask"]).all()):
            raise NotLinearError(f"site {self.response!r} is masked; leave those rows out of the data")
        scale = torch.as_tensor(site["scale"], dtype=torch.float64).expand(shape).flatten()
        gaussian = isinstance(_base(site["fn"]), dist.Normal)
        if not gaussian:
            return scale
        if not torch.allclose(scale, torch.ones_like(scale)):
            raise NotLinearError(
                f"the log likelihood of site {self.response!r} is scaled; give weights of rows by the "
                "Normal's scale, σ/√w"
            )
        return noise_of.square().reciprocal()

    # ---- gates -----------------------------------------------------------------------------------

    def _groups(self) -> tuple[Tensor, dict[str, Tensor]]:
        index, start = {}, 0
        for name in self.gates:
            size = self.base[name].numel()
            index[name] = torch.arange(start, start + size).reshape(self.base[name].shape)
            start += size
        parts = []
        for name in self.slabs:
            record = slab_record(self.nodes[name])
            assert record is not None
            if len(record.gates) != 1 or record.gates[0].partial:
                raise NotLinearError(
                    f"{self._weight(name)!r} is multiplied by {len(record.gates)} gates; refinement takes "
                    "weights with one gate each"
                )
            link = record.gates[0]
            parts.append(link.spread(index[link.site]).expand(self.base[name].shape).flatten())
        groups = torch.cat(parts)
        if len(torch.unique(groups)) < start:
            raise NotLinearError("some gates multiply no weight of the predictor")
        return groups, index

    def _inclusion(self) -> InclusionPrior:
        def log_odds(**changes: Tensor) -> Tensor:
            trace = self.at(**changes)
            parts = []
            for name in self.gates:
                law = _base(trace.nodes[name]["fn"])
                if not isinstance(law, GatePrior):
                    raise NotLinearError(
                        f"gate site {name!r} has the prior {type(law).__name__}; refinement takes "
                        "Gate and L0Penalty"
                    )
                parts.append(law.inclusion_logits.expand(self.base[name].shape).flatten().double())
            return torch.cat(parts)

        there = log_odds()
        moving = [n for n in self.others if not torch.allclose(log_odds(**{n: self.moved[n]}), there)]
        if not moving:
            return InclusionPrior(log_odds=there)
        name, law = moving[0], _base(self.nodes[moving[0]]["fn"])
        value = torch.full_like(self.base[name], 0.3)
        direct = torch.full_like(there, math.log(0.3 / 0.7))
        if (
            len(moving) > 1
            or not isinstance(law, dist.Beta)
            or value.numel() != 1
            or not torch.allclose(log_odds(**{name: value}), direct, atol=1e-5)
        ):
            raise NotLinearError(
                f"the inclusion probability depends on the latents {moving}; refinement takes fixed ones, or "
                "one latent of prior Beta for all gates"
            )
        self._fixed(name, "prior of the inclusion", lambda law: [law.concentration1, law.concentration0])
        return InclusionPrior(beta=(float(law.concentration1), float(law.concentration0)))

    def _weight(self, slab: str) -> str:
        record = slab_record(self.nodes[slab])
        assert record is not None
        return record.weight


def _base(fn: Any) -> Any:
    while isinstance(fn, Independent) or type(fn).__name__ == "MaskedDistribution":
        fn = fn.base_dist
    return fn


def _jacobian(function: Callable[[Tensor], Tensor], at: Tensor, rows: int) -> Tensor:
    """Derivative of a function from vectors to vectors, shape ``(rows, len(at))``.

    By columns, which are fewer, through the transpose of the transpose: torch's forward mode imports what it
    deprecates.
    """
    found: Tensor
    try:
        back = torch.func.vjp(function, at)[1]
        if len(at) > rows:
            units = torch.eye(rows, dtype=at.dtype, device=at.device)
            found = torch.vmap(lambda unit: back(unit)[0], chunk_size=_CHUNK)(units)
            return found.detach()
        forth = torch.func.vjp(lambda rows: back(rows)[0], at.new_zeros(rows))[1]
        units = torch.eye(len(at), dtype=at.dtype, device=at.device)
        found = torch.vmap(lambda unit: forth(unit)[0], out_dims=1, chunk_size=_CHUNK)(units)
    except (RuntimeError, NotImplementedError):  # a model that cannot be batched: column by column
        base = function(at)
        found = torch.stack([function(at + unit) - base for unit in torch.eye(len(at)).to(at)], 1)
    return found.detach()
