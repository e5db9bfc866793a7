r"""One optimisation step's loss and gradients as a single captured graph."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
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
    why, once: no C++ compiler, or a model whose control flow depends on values.

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
            data: Positional arguments of the model.

        Returns:
            Three scalars in nats: the loss, the log likelihood at the draw, the unweighted KL.
        """
        if self.mode == "eager":
            return self._eager(data)
        parameters = {name: p for name, p in self._module.named_parameters() if p.requires_grad}
        leaves, structure = pytree.tree_flatten(tuple(data))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        key = (structure, *(_signature(leaf) for leaf in leaves))
        run = self._graphs.get(key)
        if run is None:
            if len(self._graphs) >= _MAX_GRAPHS:
                self._downgrade("eager", f"batches came in more than {_MAX_GRAPHS} shapes")
                return self._eager(data)
            try:
                run = self._capture(parameters, leaves, structure)
            except Exception as error:
                self._downgrade("eager", f"capturing the model failed ({type(error).__name__}: {error})")
                return self._eager(data)
            self._graphs[key] = run
        with torch.no_grad():
            gradients, terms = run([p.detach() for p in parameters.values()], tensors)
        for parameter, gradient in zip(parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        return terms  # type: ignore[no-any-return]

    def _eager(self, data: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor]:
        self._module.zero_grad(set_to_none=True)
        loss, likelihood, kl = self._module(*data)
        loss.backward()
        return loss.detach(), likelihood.detach(), kl.detach()

    def _capture(self, parameters: Mapping[str, Tensor], leaves: list[Any], structure: Any) -> Any:
        names = list(parameters)

        def losses(values: list[Tensor], tensors: list[Tensor]) -> Any:
            filled = iter(tensors)
            inputs = [next(filled) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            args = pytree.tree_unflatten(inputs, structure)
            loss, likelihood, kl = torch.func.functional_call(
                self._module, dict(zip(names, values, strict=True)), tuple(args)
            )
            return loss, (loss, likelihood, kl)

        def step(values: list[Tensor], tensors: list[Tensor]) -> Any:
            gradients, terms = torch.func.grad(losses, has_aux=True)(values, tensors)
            return gradients, terms

        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        values = [p.detach() for p in parameters.values()]
        generator_state = torch.get_rng_state()
        # Capturing runs the model once, on real values; validation would branch on them.
        with pyro.validation_enabled(False):
            graph = torch.fx.experimental.proxy_tensor.make_fx(step)(values, tensors)
        torch.set_rng_state(generator_state)
        if self.mode == "graph":
            return graph
        return torch.compile(graph, fullgraph=True, dynamic=False)

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
    return leaf


def _has_cpp_compiler(objective: nn.Module) -> bool:
    on_cpu = all(p.device.type == "cpu" for p in objective.parameters())
    names = [os.environ.get("CXX"), "g++", "clang++", "c++"]
    return not on_cpu or any(name and shutil.which(name) for name in names)
