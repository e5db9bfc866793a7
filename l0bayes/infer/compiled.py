r"""One optimisation step's loss and gradients as a single captured graph."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

import pyro
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from l0bayes.infer.elbo import BoundELBO

__all__ = ["CompilationWarning", "CompileMode", "GradientStep"]

CompileMode = Literal["inductor", "graph", "eager"]

_MAX_GRAPHS = 8


class CompilationWarning(UserWarning):
    """The objective runs in a slower form than was asked for; results are the same."""


class _WithTerms(nn.Module):
    def __init__(self, objective: BoundELBO) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
        return self.objective.with_terms(*args)


class GradientStep:
    r"""Compute loss and gradients of an ELBO for changing data of the same shape.

    ====================  =========================================================================
    mode                  how
    ====================  =========================================================================
    ``"inductor"``        loss, backward pass and random draws captured once a batch shape
                          (``make_fx`` over ``torch.func.grad_and_value``), then ``torch.compile``
    ``"graph"``           the captured graph, run operation by operation: no compiler, no Pyro overhead
    ``"eager"``           Pyro and autograd at every step
    ====================  =========================================================================

    All three give the same value and gradients for equal noise; the compiled graph draws from a
    stream of its own unless ``torch._inductor.config.fallback_random`` is set. Buffers (temperature,
    KL weight) are read at every step, so changing them in place acts at once. What the model reads
    otherwise, Python numbers and tensors it closes over, is fixed when the graph is captured.

    Where a form is not available, the next slower one is used and a :class:`CompilationWarning` says
    why, once: no C++ compiler or one that fails, or a model whose control flow depends on values.

    Args:
        objective: The ELBO of a model and guide.
        mode: The form to use.

    Raises:
        ValueError: If the mode is unknown.
    """

    def __init__(self, objective: BoundELBO, mode: CompileMode = "inductor") -> None:
        if mode not in get_args(CompileMode):
            raise ValueError(f"mode must be one of {', '.join(get_args(CompileMode))}; got {mode!r}")
        self.objective = objective
        self.mode: CompileMode = mode
        self._module = _WithTerms(objective)
        self._graphs: dict[Any, Callable[..., Any]] = {}
        if mode == "inductor" and not _has_cpp_compiler(objective):
            self._downgrade("graph", "no C++ compiler was found (set CXX to name one)")

    def __call__(self, data: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Set the gradients of all parameters and return loss, log likelihood and KL.

        Args:
            data: Positional arguments of the model. Tensors may change from step to step; any other
                value is fixed in the graph, and a new one captures anew.

        Returns:
            Three scalars in nats: the loss, the log likelihood at the draw, the unweighted KL.

        Raises:
            TypeError: If the data hold a value that is neither a tensor nor hashable.
        """
        if self.mode == "eager":
            return self._eager(data)
        parameters = {name: p for name, p in self._module.named_parameters() if p.requires_grad}
        buffers = dict(self._module.named_buffers())
        leaves, structure = pytree.tree_flatten(tuple(data))
        inputs = (
            [p.detach() for p in parameters.values()],
            list(buffers.values()),
            [leaf for leaf in leaves if isinstance(leaf, Tensor)],
        )
        # Parameters may be frozen, and modules converted, between two steps.
        state = tuple((name, t.dtype, t.device) for name, t in (*parameters.items(), *buffers.items()))
        key = (structure, state, *(_signature(leaf) for leaf in leaves))
        run = self._graphs.get(key)
        if run is None:
            run = self._new_graph([*parameters], [*buffers], leaves, structure, inputs)
            if run is None:
                return self._eager(data)
            self._graphs[key] = run
        with torch.no_grad():
            gradients, terms = run(*inputs)
        for parameter, gradient in zip(parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        return terms  # type: ignore[no-any-return]

    def _eager(self, data: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor]:
        self._module.zero_grad(set_to_none=True)
        loss, likelihood, kl = self._module(*data)
        loss.backward()
        return loss.detach(), likelihood.detach(), kl.detach()

    def _new_graph(
        self, parameters: list[str], buffers: list[str], leaves: list[Any], structure: Any, inputs: Any
    ) -> Callable[..., Any] | None:
        """A graph for a new signature, in the fastest form there is; ``None`` where only eager works."""
        if len(self._graphs) >= _MAX_GRAPHS:
            self._downgrade("eager", f"batches came in more than {_MAX_GRAPHS} shapes")
            return None
        try:
            graph = self._capture(parameters, buffers, leaves, structure, inputs)
        except Exception as error:
            self._downgrade("eager", f"capturing the model failed ({type(error).__name__}: {error})")
            return None
        return graph if self.mode == "graph" else self._compile(graph, inputs)

    def _capture(
        self, parameters: list[str], buffers: list[str], leaves: list[Any], structure: Any, inputs: Any
    ) -> Callable[..., Any]:
        def losses(values: list[Tensor], state: list[Tensor], tensors: list[Tensor]) -> Any:
            filled = iter(tensors)
            args = [next(filled) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            named = dict(zip((*parameters, *buffers), (*values, *state), strict=True))
            loss, likelihood, kl = torch.func.functional_call(
                self._module, named, tuple(pytree.tree_unflatten(args, structure))
            )
            return loss, (loss, likelihood, kl)

        def step(values: list[Tensor], state: list[Tensor], tensors: list[Tensor]) -> Any:
            return torch.func.grad(losses, has_aux=True)(values, state, tensors)

        # Capturing runs the model once, on real values; validation would branch on them.
        with _same_random_stream(inputs), pyro.validation_enabled(False):
            graph: Callable[..., Any] = torch.fx.experimental.proxy_tensor.make_fx(step)(*inputs)
        return graph

    def _compile(self, graph: Callable[..., Any], inputs: Any) -> Callable[..., Any]:
        """The compiled graph, tried once, since it is compiled when it first runs."""
        compiled: Callable[..., Any] = torch.compile(graph, fullgraph=True, dynamic=False)
        # A copy of the state, for the trial must not act on buffers that the model updates.
        parameters, buffers, tensors = inputs
        trial = parameters, [buffer.clone() for buffer in buffers], tensors
        try:
            with _same_random_stream(inputs), torch.no_grad(), warnings.catch_warnings():
                # torch deprecates parts of itself that its compiler imports.
                warnings.simplefilter("ignore", DeprecationWarning)
                compiled(*trial)
        except Exception as error:
            self._downgrade("graph", f"compiling the graph failed ({type(error).__name__}: {error})")
            return graph
        return compiled

    def _downgrade(self, mode: CompileMode, reason: str) -> None:
        warnings.warn(
            f"the objective runs in mode {mode!r} instead of {self.mode!r}: {reason}",
            CompilationWarning,
            stacklevel=3,
        )
        self.mode = mode
        self._graphs.clear()


def _signature(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return (leaf.shape, leaf.dtype, leaf.device)
    if not isinstance(leaf, Hashable):
        raise TypeError(f"data must hold tensors or hashable values, got {type(leaf).__name__}")
    return leaf


def _same_random_stream(tensors: Any) -> AbstractContextManager[None]:
    """Give all generators back as they were."""
    devices = {leaf.device for leaf in pytree.tree_leaves(tensors) if leaf.is_cuda}
    return torch.random.fork_rng(devices=list(devices))


def _has_cpp_compiler(objective: nn.Module) -> bool:
    on_cpu = all(p.device.type == "cpu" for p in objective.parameters())
    names = [os.environ.get("CXX"), "g++", "clang++", "c++"]
    return not on_cpu or any(name and shutil.which(name) for name in names)
