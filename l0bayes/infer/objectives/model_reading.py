"""A model and its guide at all data, ready to be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pyro
import torch
from pyro import poutine
from pyro.infer import infer_discrete
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor

from l0bayes.infer.model_arguments import ModelArguments
from l0bayes.infer.objectives.enumerated_latents import (
    BatchedEnumeration,
    enumerated_in,
    first_free_dim,
    row_likelihoods,
)
from l0bayes.infer.objectives.latent_draws import Given
from l0bayes.infer.objectives.observed_shapes import check_observed_shapes
from l0bayes.infer.objectives.pair_traces import run_model
from l0bayes.infer.objectives.reading_mode import reading_mode
from l0bayes.infer.randomness import private_randomness
from l0bayes.infer.trained_parameters import TrainedParameters
from l0bayes.infer.whole_plates import parts_of_plates
from l0bayes.sites import refuse_hidden

__all__ = ["ModelReading"]


@dataclass(frozen=True)
class ModelReading:
    """A model and its guide as they are read after training.

    Attributes:
        model: The Pyro model.
        guide: Its guide.
        arguments: What both are called with: all data.
        parameters: The values of ``pyro.param`` that they were trained to.
        enumerated: Names of the latents of the model that are summed over, which the guide does not draw.
        first_enum_dim: The first dimension along which they are; ``None`` where there are none.
    """

    model: Any
    guide: Any
    arguments: ModelArguments
    parameters: TrainedParameters = field(default_factory=TrainedParameters)
    enumerated: tuple[str, ...] = ()
    first_enum_dim: int | None = None

    @classmethod
    def of(
        cls,
        model: Any,
        guide: Any,
        arguments: ModelArguments,
        parameters: TrainedParameters | None = None,
        *,
        whole: bool = True,
    ) -> Self:
        """A reading on all data.

        Args:
            model: The Pyro model.
            guide: Its guide.
            arguments: What both are called with.
            parameters: The trained values of ``pyro.param``; by default those in Pyro's store.
            whole: Whether a plate must hold all its rows.

        Raises:
            ValueError: If a plate is given a part of its rows, or draws it and the model does not run with
                all of them, the model hides a gate or a slab, or an observed value does not have the shape
                of its law.
        """
        if parameters is None:
            parameters = TrainedParameters.in_store(model, guide)
        found = cls(model, guide, arguments, parameters)
        model_trace, guide_trace = found._check_plates(whole)
        refuse_hidden(model_trace.nodes)
        check_observed_shapes(model_trace.nodes)
        enumerated = enumerated_in(model_trace, guide_trace.nodes)
        if not enumerated:
            return found
        return replace(
            found, enumerated=tuple(enumerated), first_enum_dim=first_free_dim(model_trace, guide_trace)
        )

    @contextmanager
    def open(self) -> Iterator[None]:
        """Run model and guide as they are to be read."""
        with reading_mode(self.model, self.guide, parameters=self.parameters):
            yield

    @torch.no_grad()
    def traces(self) -> tuple[Any, Any]:
        """Model and guide at one draw, without the subsamples of plates."""
        with private_randomness(), self.open():
            model, guide = self._run()
            return prune_subsample_sites(model), prune_subsample_sites(guide)

    def model_at(self, values: dict[str, Tensor]) -> Any:
        """A trace of the model at given values of its latents, to be called while it is open.

        Args:
            values: Value by name of the latent. Enumerated ones that are not given are summed over.
        """
        args, kwargs = self.arguments.args, dict(self.arguments.kwargs)
        return run_model(self.model, args, kwargs, values, self.first_enum_dim)

    def enumerated_at(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """A draw of the enumerated latents from their law given the data and all others.

        Args:
            values: Value by name of the other latents.
        """
        if self.first_enum_dim is None:
            return {}
        # Not Given: Pyro's enumeration misses values that are given in a Markov chain.
        given = poutine.condition(self.model, data=values)
        model = infer_discrete(given, first_available_dim=self.first_enum_dim)
        nodes: Any = self.arguments.call(poutine.trace(model).get_trace).nodes
        return {name: nodes[name]["value"] for name in self.enumerated}

    def row_likelihoods(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Log likelihoods of rows whose enumerated latents are their own, summed over these.

        Args:
            values: Value by name of the other latents.
        """
        if self.first_enum_dim is None:
            return {}
        with BatchedEnumeration(first_available_dim=self.first_enum_dim):
            trace = self.arguments.call(poutine.trace(self._given(values)).get_trace)
        return row_likelihoods(prune_subsample_sites(trace))

    def _given(self, values: dict[str, Tensor]) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            with Given(values):
                return self.model(*args, **kwargs)

        return run

    def guide_at(self, values: dict[str, Tensor]) -> Any:
        """A trace of the guide at given values of its sites, to be called while it is open.

        Args:
            values: Value by name of the site.
        """
        with Given(values):
            return prune_subsample_sites(self.arguments.call(poutine.trace(self.guide).get_trace))

    def _run(self) -> tuple[Any, Any]:
        guide = self.arguments.call(poutine.trace(self.guide).get_trace)
        with Given.sampled_in(guide):
            return self.arguments.call(poutine.trace(self.model).get_trace), guide

    @torch.no_grad()
    def _check_plates(self, whole: bool) -> tuple[Any, Any]:
        with pyro.validation_enabled(False), private_randomness():
            try:
                with self.open():
                    traces = self._run()
                    given = parts_of_plates(traces)
            except (ValueError, RuntimeError, IndexError) as error:
                with reading_mode(self.model, self.guide, parameters=self.parameters, whole=False):
                    parts = parts_of_plates(self._run())
                if not parts:
                    raise
                raise ValueError(
                    f"{parts[0]}, and the model does not run with all of them ({error}). Give all data as "
                    "data=(...), or read the guide with a model whose plate has no subsample, "
                    "Fit.of(model, guide, data)"
                ) from error
        if given and whole:
            raise ValueError(f"{given[0]}; what is read here is of all data: give them as data=(...)")
        return traces
