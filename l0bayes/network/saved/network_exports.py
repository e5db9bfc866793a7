r"""A network as a program for others: one that torch alone runs, and one in ONNX."""

from __future__ import annotations

import inspect
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.infer.evaluation_mode import evaluating
from l0bayes.network.saved.fresh_rows import fresh_rows, largest_difference, run
from l0bayes.network.structure import arguments_of, map_tensors, tensors_in
from l0bayes.network.units import rows_of
from l0bayes.optional_packages import need

__all__ = ["export_program", "have_onnx", "write_onnx", "write_program"]

_ONNX = ("onnx", "onnxscript")
# A number of rows that is hardly a size of anything else, and two more to compare results on.
_ROWS, _OTHER_ROWS = 3, (1, 7)
_CLOSE = 1e-3


def export_program(net: nn.Module, example: tuple[Any, ...]) -> tuple[Any, bool]:
    """The operations of a network, by ``torch.export``.

    Args:
        net: The network.
        example: Its arguments.

    Returns:
        The program, and whether it takes any number of rows.

    Raises:
        ValueError: If the network cannot be exported, or the program computes something else.
    """
    problem: Exception | None = None
    for dynamic, count in ((True, _ROWS), (False, rows_of(example))):
        inputs = fresh_rows(example, count)
        args, named = arguments_of(inputs)
        shapes = _shapes(net, inputs) if dynamic else None
        try:
            with _quiet(), evaluating(net):
                program = torch.export.export(net, args, named, dynamic_shapes=shapes)
        except Exception as error:
            problem = problem or error
            continue
        runnable = program.module()
        for rows in (_ROWS, *_OTHER_ROWS) if dynamic else (count,):
            fresh = fresh_rows(example, rows, seed=1)
            args, named = arguments_of(fresh)
            with torch.no_grad():
                found = runnable(*args, **named)
            _compare(found, run(net, fresh), "the exported program")
        return program, dynamic
    raise ValueError(f"the network cannot be exported by torch.export: {_first_line(problem)}") from problem


def write_program(program: Any, file: Path) -> None:
    """Write a program for ``torch.export.load``, without anything in it that would be unpickled.

    Args:
        program: From :func:`export_program`; its example inputs, which torch would pickle, are dropped.
        file: The file.
    """
    kept, program.example_inputs = program.example_inputs, None
    try:
        with _quiet():
            torch.export.save(program, file)
    finally:
        program.example_inputs = kept


def have_onnx() -> bool:
    """Whether ONNX files can be written."""
    return all(find_spec(name) is not None for name in _ONNX)


def write_onnx(
    program: Any, net: nn.Module, example: tuple[Any, ...], dynamic: bool, file: Path
) -> dict[str, Any]:
    """Write a program as ONNX, and compare it with the network in onnxruntime where that is installed.

    Args:
        program: From :func:`export_program`.
        net: The network.
        example: Its arguments.
        dynamic: Whether the program takes any number of rows.
        file: The file.

    Returns:
        What was checked.

    Raises:
        ModuleNotFoundError: If a package that this takes is missing; says how to install it.
        ValueError: If the network runs an operation that ONNX cannot hold; names it and the layer.
    """
    need("ONNX", *_ONNX)
    try:
        with _quiet():
            converted: Any = torch.onnx.export(program, dynamo=True, verbose=False, external_data=False)
            converted.save(str(file), external_data=False)
    except Exception as error:
        raise ValueError(_names_the_layer(program, error)) from error
    return {"dynamic_batch": dynamic, **_checked(net, example, dynamic, file)}


def _checked(net: nn.Module, example: tuple[Any, ...], dynamic: bool, file: Path) -> dict[str, Any]:
    try:
        import onnxruntime
    except ImportError:
        return {"checked_with": None, "largest_difference": None}
    largest = 0.0
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        names = [one.name for one in session.get_inputs()]
        for rows in (_ROWS, *_OTHER_ROWS) if dynamic else (rows_of(example),):
            fresh = fresh_rows(example, rows, seed=2)
            values = [x.detach().cpu().numpy() for x in tensors_in(fresh)]
            found = session.run(None, dict(zip(names, values, strict=False)))
            ours = [torch.from_numpy(one) for one in found]
            largest = max(largest, _compare(ours, run(net, fresh), "the network in onnxruntime"))
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"onnxruntime does not run the network: {_first_line(error)}") from error
    return {"checked_with": f"onnxruntime {onnxruntime.__version__}", "largest_difference": largest}


def _compare(found: Any, wanted: Any, what: str) -> float:
    wanted = [x.detach().cpu() for x in tensors_in(wanted)]
    gap = largest_difference(tensors_in(found), wanted)
    size = max((float(x.double().abs().max()) for x in wanted if x.numel()), default=0.0)
    if not gap <= _CLOSE * size + 1e-6:
        raise ValueError(
            f"{what} returns other values than the network: |Δ| is {gap:.3g}, outputs {size:.3g}"
        )
    return gap


def _shapes(net: nn.Module, inputs: tuple[Any, ...]) -> Any:
    """Which dimensions may be of any size: the first of every tensor that holds examples."""
    rows = rows_of(inputs)
    free = torch.export.Dim.DYNAMIC

    def of(x: Tensor) -> Any:
        return {0: free} if x.dim() and len(x) == rows else None

    args, named = arguments_of(inputs)
    if not named:
        return _only_shapes(map_tensors(args, of))
    names = list(inspect.signature(net.forward).parameters)
    return _only_shapes(map_tensors({**dict(zip(names, args, strict=False)), **named}, of))


def _only_shapes(value: Any) -> Any:
    """Arguments that are no tensors have no shape."""
    if isinstance(value, dict):
        if list(value) == [0]:
            return value
        return {key: _only_shapes(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_only_shapes(one) for one in value)
    return None


def _names_the_layer(program: Any, error: Exception) -> str:
    """Which operation of which layer it was."""
    step: BaseException | None = error
    while step is not None:
        found = re.search(r"op='(?:\w+(?:::|\.))?([\w.]+)'", str(step)) or re.search(
            r"target=torch\.ops\.\w+\.(\w+)", str(step)
        )
        if found:
            word = found[1].split(".")[-1]
            layers = _layers_running(program, word)
            where = f" in layer {', '.join(map(repr, layers))}" if layers else ""
            return f"ONNX cannot hold the operation {word!r}{where}; leave it out with onnx=False"
        step = step.__cause__ or step.__context__
    return f"the network cannot be written as ONNX: {_first_line(error)}"


def _layers_running(program: Any, word: str) -> list[str]:
    layers: dict[str, None] = {}
    graphs = [program.graph]
    try:
        with _quiet():
            graphs.append(program.run_decompositions().graph)
    except Exception:
        pass  # the graph as it was exported is searched alone
    for graph in graphs:
        for node in graph.nodes:
            if node.op == "call_function" and word.rstrip("_") in str(node.target):
                owners = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
                layers[owners[-1] if owners else ""] = None
    return [name or "the network itself" for name in layers]


def _first_line(error: Exception | None) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's remarks on packages that are not needed here, and without its fused attention.

    That one is an operation for which neither ONNX nor other backends have a word.
    """
    loggers = [
        logging.getLogger(name)
        for name in ("torch.onnx", "torch.export", "torch._export", "onnxscript", "onnx_ir")
    ]
    levels = [one.level for one in loggers]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        torch.backends.mha.set_fastpath_enabled(False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
