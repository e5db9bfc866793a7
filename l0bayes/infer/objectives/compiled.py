r"""One optimisation step's loss and gradients as a single captured graph."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyro
import torch
from torch import Tensor, nn
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from l0bayes import validate
from l0bayes.infer.graphs import LONG, refuse_free_shapes, simplified
from l0bayes.infer.objectives.elbo import BoundELBO, RecaptureError
from l0bayes.infer.objectives.functional_state import call_with
from l0bayes.infer.objectives.state_places import StatePlaces
from l0bayes.infer.randomness import private_randomness
from l0bayes.user_warnings import warn_user

__all__ = ["CompilationWarning", "CompileMode", "GradientStep"]

CompileMode = Literal["inductor", "graph", "eager"]

_MAX_GRAPHS = 8

_INDUCTOR_OPTIONS = {
    # Draws of torch's own generators: the numbers of eager mode, and on a CPU a sixth of the time of the
    # generator that Inductor would compile in.
    "fallback_random": True,
    # A graph is only run on the shapes and strides it was captured for.
    "size_asserts": False,
}


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
                          (``make_fx`` over ``torch.func.grad``) and compiled by TorchInductor
    ``"graph"``           the captured graph, simplified (:mod:`l0bayes.infer.graphs`) and run operation
                          by operation: no compiler, no Pyro overhead
    ``"eager"``           Pyro and autograd at every step
    ====================  =========================================================================

    All three draw the same noise at equal seeds and give the same value and gradients. Parameters and
    buffers (temperature, KL weight) are read at every step, so changing them in place acts at once. What
    the model reads otherwise, Python numbers and tensors it closes over, is fixed when the graph is
    captured.

    Where a form is not available, the next slower one is used and a :class:`CompilationWarning` gives
    the reason, once: no C++ compiler or one that fails, or a model whose control flow, or the shape of
    something in it, depends on values.

    Args:
        objective: The ELBO of a model and guide.
        mode: The form to use.

    Raises:
        ValueError: If the mode is unknown.
    """

    def __init__(self, objective: BoundELBO, mode: CompileMode = "inductor") -> None:
        validate.one_of(get_args(CompileMode), mode=mode)
        self.objective = objective
        self.mode: CompileMode = mode
        self._module = _WithTerms(objective)
        self._places = StatePlaces(self._module)
        self._graphs: dict[Any, Callable[..., Any]] = {}
        self._parameters: list[Tensor] | None = None
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
        parameters, buffers = self._places.current()
        trained = [name for name, parameter in parameters.items() if parameter.requires_grad]
        state = {name: parameter.detach() for name, parameter in parameters.items()}
        state.update(buffers)
        # Most data are a tuple of tensors, which says its own structure.
        plain = all(type(leaf) is Tensor for leaf in data)
        leaves, structure = (list(data), len(data)) if plain else pytree.tree_flatten(tuple(data))
        inputs = [*state.values(), *(leaf for leaf in leaves if isinstance(leaf, Tensor))]
        # Parameters may be frozen, modules converted or set to evaluation, between two steps.
        key = (
            structure,
            self._places.training,
            *trained,
            *map(_signature, state.values()),
            *map(_signature, leaves),
        )
        run = self._graphs.get(key)
        if run is None:
            nesting = pytree.tree_structure(tuple(data))
            run = self._new_graph(_Layout(trained, [*state], leaves, nesting), inputs)
            if run is None:
                return self._eager(data)
            self._graphs[key] = run
        for parameter in parameters.values():
            # The new gradients take the place of the old in memory; one that was frozen has none.
            parameter.grad = None
        with torch.no_grad():
            loss, likelihood, kl, *gradients = run(*inputs)
        for name, gradient in zip(trained, gradients, strict=True):
            parameters[name].grad = gradient
        return loss, likelihood, kl

    def forget(self) -> None:
        """Capture anew at the next step: the model computes something else, not only other values."""
        self._graphs.clear()
        self._parameters = None

    def _eager(self, data: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor]:
        loss, likelihood, kl = self._module(*data)
        if self._parameters is None:  # guides may make theirs in their first run
            self._parameters = [*self._module.parameters()]
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()
        return loss.detach(), likelihood.detach(), kl.detach()

    def _new_graph(self, layout: _Layout, inputs: list[Tensor]) -> Callable[..., Any] | None:
        """A graph for a new signature, in the fastest form there is; ``None`` where only eager works."""
        if len(self._graphs) >= _MAX_GRAPHS:
            self._downgrade("eager", f"batches came in more than {_MAX_GRAPHS} shapes")
            return None
        try:
            try:
                graph = self._capture(layout, inputs)
            except RecaptureError:
                graph = self._capture(layout, inputs)
        except Exception as error:
            self._downgrade("eager", f"capturing the model failed ({type(error).__name__}: {error})")
            return None
        if self.mode == "graph":
            return _plainly(simplified(graph, inputs))
        try:
            return _compile(graph, inputs)
        except Exception as error:
            self._downgrade("graph", f"compiling the graph failed ({type(error).__name__}: {error})")
            # The compiler owns the one it was given.
            return _plainly(simplified(self._capture(layout, inputs), inputs))

    def _capture(self, layout: _Layout, inputs: list[Tensor]) -> torch.fx.GraphModule:
        def losses(values: dict[str, Tensor], fixed: dict[str, Tensor], data: Sequence[Tensor]) -> Any:
            filled = iter(data)
            leaves = [next(filled) if isinstance(leaf, Tensor) else leaf for leaf in layout.leaves]
            args = tuple(pytree.tree_unflatten(leaves, layout.structure))
            terms = call_with(self._module, values | fixed, args)
            return terms[0], terms

        def step(*tensors: Tensor) -> tuple[Tensor, ...]:
            fixed, data = dict(zip(layout.state, tensors, strict=False)), tensors[len(layout.state) :]
            values = {name: fixed.pop(name) for name in layout.trained}
            gradients, terms = torch.func.grad(losses, has_aux=True)(values, fixed, data)
            return (*terms, *(_laid_out_as(values[name], gradients[name]) for name in layout.trained))

        decompositions = {torch.ops.aten.normal_.default: _normal_} if self.mode == "inductor" else None
        # Capturing runs the model once, on copies, since it may update its buffers; validation would
        # branch on values.
        with private_randomness(), pyro.validation_enabled(False):
            graph = _without_values(step, decompositions, inputs)
            if graph is None:
                with _one_fake_mode():
                    graph = make_fx(step, decompositions)(*(tensor.clone() for tensor in inputs))
        refuse_free_shapes(graph)
        graph.graph.eliminate_dead_code()  # checks of constants, which may not be compilable, among it
        graph.recompile()
        return graph

    def _downgrade(self, mode: CompileMode, reason: str) -> None:
        warn_user(
            f"the objective runs in mode {mode!r} instead of {self.mode!r}: {reason}", CompilationWarning
        )
        self.mode = mode
        self._graphs.clear()


@dataclass(frozen=True)
class _Layout:
    """What the flat inputs of a graph are.

    Attributes:
        trained: Names of the parameters to take gradients of.
        state: Names of all parameters and buffers, the first inputs.
        leaves: The data, flat; the tensors among them are the other inputs.
        structure: How the data were nested.
    """

    trained: list[str]
    state: list[str]
    leaves: list[Any]
    structure: Any


def _compile(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
    # Not torch.compile, which would check at every step, at length, conditions that the key has settled.
    with private_randomness(), torch.no_grad(), warnings.catch_warnings():
        # torch deprecates parts of itself that its compiler imports.
        warnings.simplefilter("ignore", DeprecationWarning)
        compiled: Callable[..., Any] = torch._inductor.compile(graph, inputs, _INDUCTOR_OPTIONS)
    return compiled


def _plainly(graph: torch.fx.GraphModule) -> Callable[..., Any]:
    """What a graph computes, without the hooks of a module."""
    run: Callable[..., Any] = graph.forward
    return run


def _one_fake_mode() -> AbstractContextManager[Any]:
    """One place for torch to describe tensors in, where it would make one for each operation: that takes
    nearly half of the time of a capture."""
    if TracingContext.try_get() is not None:
        return nullcontext()
    context: AbstractContextManager[Any] = tracing(
        TracingContext(FakeTensorMode(allow_fallback_kernels=True))
    )
    return context


def _without_values(step: Any, decompositions: Any, inputs: list[Tensor]) -> torch.fx.GraphModule | None:
    """The graph from forms of tensors alone, where tensors are long: autograd keeps dozens as long as the
    parameters. ``None`` where they are short, or the model asks for values while it runs."""
    if max((tensor.numel() for tensor in inputs), default=0) < LONG or TracingContext.try_get() is not None:
        return None
    mode = FakeTensorMode(allow_fallback_kernels=False, allow_non_fake_inputs=True)
    try:
        with tracing(TracingContext(mode)), mode:
            return make_fx(step, decompositions)(*(mode.from_tensor(tensor) for tensor in inputs))
    except Exception:  # whatever is wrong with the model shows when it runs on values
        return None


def _laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with the strides of its parameter: fused optimisers walk through both in memory order."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def _normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """``Tensor.normal_`` for a compiler that would first copy values that are about to be overwritten."""
    return self.copy_(torch.randn_like(self) * std + mean)


def _signature(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return (leaf.shape, leaf.stride(), leaf.dtype, leaf.device)
    if not isinstance(leaf, Hashable):
        raise TypeError(f"data must hold tensors or hashable values, got {type(leaf).__name__}")
    return leaf


def _has_cpp_compiler(objective: nn.Module) -> bool:
    on_cpu = all(p.device.type == "cpu" for p in objective.parameters())
    names = [os.environ.get("CXX"), "g++", "clang++", "c++"]
    return not on_cpu or any(name and shutil.which(name) for name in names)
