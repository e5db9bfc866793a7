r"""Which units of a network are the same: one run on an example, with every unit followed by its label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.infer.randomness import private_randomness
from l0bayes.network.counting import longer_run
from l0bayes.network.kinds import layers_of, left_alone, no_layers
from l0bayes.network.structure import arguments_of, tensors_in
from l0bayes.network.tracker import Tracker
from l0bayes.network.units import OtherModule, TracedBlock, TracedLayer, UnitTrace, one_row_more, rows_of

__all__ = ["trace_units"]


@torch.no_grad()
def trace_units(net: nn.Module, example: tuple[Any, ...], blocks: tuple[str, ...] = ()) -> UnitTrace:
    r"""Run a network once, in evaluation mode, and follow its units.

    Every layer gives its outputs fresh labels, one a unit. A companion tensor of labels goes with every
    activation: elementwise operations hand it on, operations on shapes are applied to it, pooling keeps a
    map's label, and where two labelled tensors are added or multiplied the labels become one *class* of
    units, which live and die together, as residual connections demand. A depthwise convolution's and a
    batch normalisation's outputs are the same units as their inputs. Where attention is computed of layers'
    outputs, all queries, keys and values of a head are one unit. Anything else (softmax over units, a
    product of two activations, layer normalisation) *mixes* the units it reads.

    Args:
        net: The network. Its mode and its buffers are left as they were.
        example: Its positional arguments, one or two examples.
        blocks: Modules to report on as a whole.

    Returns:
        The trace; labels are those of classes.

    Raises:
        ValueError: If the network cannot be run on the example.
    """
    alone: dict[str, str] = {}
    while True:
        trace, used = _trace(net, example, blocks, alone)
        if not used:
            return trace
        alone |= {name: f"its parameters are used outside of it too, by {by}" for name, by in used.items()}


def _trace(
    net: nn.Module, example: tuple[Any, ...], blocks: tuple[str, ...], alone: Mapping[str, str]
) -> tuple[UnitTrace, dict[str, str]]:
    """The trace, with some layers left alone, and layers whose parameters are used outside of them."""
    kinds = {name: kind for name, kind in layers_of(net).items() if name not in alone}
    reasons = {**left_alone(net), **alone}
    others = [*no_layers(net), *alone]
    noted: dict[str, tuple[int, ...]] = {}
    try:
        with ExitStack() as stack:
            for name in (*kinds, *blocks):
                module = net.get_submodule(name)
                hook = _noting(noted, name)
                stack.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
            longer = longer_run(net, example, [*others, *kinds], kinds)
        tracker = Tracker(rows_of(example), longer if rows_of(example) > 1 else None)
        with ExitStack() as stack:
            stack.enter_context(evaluating(net))
            for name, kind in kinds.items():
                module = net.get_submodule(name)
                stack.enter_context(_hooked(module, *tracker.around_layer(name, module, kind)))
            tracker.tally.watch(stack, net, others, {})
            for name in blocks:
                stack.enter_context(_hooked(net.get_submodule(name), *tracker.around_block(name)))
            stack.enter_context(tracker)
            args, named = arguments_of(example)
            output = net(*args, **named)
            if kinds.keys() - tracker.trace.layers.keys():
                _follow_training(net, tracker, example)
    except Exception as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in tensors_in(example))
        said = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"net could not be run on an example of shape {shapes} ({type(error).__name__}: {said[:200]}); "
            "give one or two rows of your data as example=: the input as a tensor, several inputs as a tuple "
            f"in the order of forward, or as a dictionary by their names{_hint(example, error)}"
        ) from error
    trace = tracker.finish(output)
    for name in others:
        if (other := _other_module(net, name, tracker, reasons)) is not None:
            trace.others[name] = other
    if longer is not None:
        _find_batch(trace, noted)
    elif rows_of(one_row_more(example)) == rows_of(example):  # nobody knows where examples are counted
        _find_batch(trace, {name: one.shape for name, one in trace.layers.items()})
    return trace, tracker.used_outside


def _hint(example: tuple[Any, ...], error: Exception) -> str:
    """What is the likely fault of an example that a network does not take."""
    args, named = arguments_of(example)
    if isinstance(error, TypeError) and len(args) > 1 and "positional argument" in str(error):
        return f"; labels are no input: not (x, y), which are {len(args)} inputs, but x[:2]"
    shape = tuple(args[0].shape) if args and isinstance(args[0], Tensor) else ()
    if len(shape) == 4 and shape[-1] <= 4 < shape[1] and not named:
        return "; images must be (N, C, H, W), with channels second: x.permute(0, 3, 1, 2)"
    if len(shape) in (1, 3) and not named:
        return "; a single row needs a first dimension of examples: x[None]"
    return ""


def _follow_training(net: nn.Module, tracker: Tracker, example: tuple[Any, ...]) -> None:
    """Follow the units to layers that run in training mode alone, such as auxiliary heads."""
    modes = {module: module.training for module in net.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    tracker.tally.paused = True
    args, named = arguments_of(example)
    try:
        with private_randomness(0):
            for module in modes:
                module.training = True
            tracker.also(net(*args, **named))
    except Exception:  # it may want more rows, or targets: then nothing of it is known
        pass
    finally:
        for module, mode in modes.items():
            module.training = mode
        for buffer, value in buffers:
            buffer.copy_(value)


def _other_module(
    net: nn.Module, name: str, tracker: Tracker, reasons: Mapping[str, str]
) -> OtherModule | None:
    """A module of no kind, if it has parameters of its own, or work."""
    module, tally = net.get_submodule(name), tracker.tally
    macs, unknown = tally.macs.get(name, 0.0), tuple(sorted(tally.uncounted.get(name, ())))
    recomputed = tuple(key for key, value in vars(module).items() if isinstance(value, Tensor))
    if not (macs or unknown or name in reasons or module._parameters or recomputed):
        return None
    reason = reasons.get(name, f"{type(module).__name__} is of no registered kind")
    return OtherModule(
        *(name, module, reason, macs, unknown, name in reasons, recomputed),
        blocks=tracker.trace.blocks_of_others.get(name, frozenset()),
    )


def _noting(shapes: dict[str, tuple[int, ...]], name: str) -> Callable[..., None]:
    """A hook that notes the shape of what a module is first called with."""

    def hook(_: nn.Module, args: Any, kwargs: Any) -> None:
        x = next((x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)), None)
        if x is not None:
            shapes.setdefault(name, tuple(x.shape))

    return hook


def _find_batch(trace: UnitTrace, longer: Mapping[str, tuple[int, ...]]) -> None:
    """Which dimension counts examples: the one that grows when there is one more of them."""
    found: list[tuple[str, TracedLayer | TracedBlock]] = [*trace.layers.items(), *trace.blocks.items()]
    for name, one in found:
        if name in longer and len(one.shape) == len(longer[name]):
            pairs = zip(one.shape, longer[name], strict=True)
            grown = [dim for dim, (before, after) in enumerate(pairs) if after == before + 1]
            one.batch_dim = grown[0] if grown else -1


@contextmanager
def _hooked(module: nn.Module, before: Callable[..., None], after: Callable[..., None]) -> Iterator[None]:
    handles = [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
