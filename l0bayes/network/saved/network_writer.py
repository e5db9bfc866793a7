r"""From a deployed network to a folder: weights, architecture, programs and a certificate."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l0bayes.files.tensor_files import write_tensors
from l0bayes.infer.model_abilities import ModelAbilities
from l0bayes.infer.randomness import private_randomness
from l0bayes.network.batch_inputs import inputs_of
from l0bayes.network.saved.architecture_records import needs_code, record_network
from l0bayes.network.saved.certificates import certify
from l0bayes.network.saved.deployment_origin import origin_of
from l0bayes.network.saved.folder_contents import ARCHITECTURE, WEIGHTS, replaced_folder, write_index
from l0bayes.network.saved.fresh_rows import fresh_rows, largest_difference, rows_that_fit, run
from l0bayes.network.saved.network_exports import export_program, have_onnx, write_onnx, write_program
from l0bayes.network.saved.network_reader import CERTIFICATE, load_deployed
from l0bayes.network.saved.saved_errors import ExportWarning
from l0bayes.network.structure import map_tensors, tensors_in
from l0bayes.user_warnings import warn_user

__all__ = ["SavedNetwork", "save_deployed"]

_CLOSE = 1e-5
PROGRAM, ONNX = "program.pt2", "network.onnx"


@dataclass(frozen=True)
class SavedNetwork:
    """A network that was saved.

    Attributes:
        folder: Where it is.
        certificate: What was measured of it; also in ``certificate.json``.
        needs_code: Modules that cannot be built from a file, by name, and why: ``load_deployed`` takes a
            dense network where there are any.
    """

    folder: Path
    certificate: dict[str, Any]
    needs_code: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """The files of the folder."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


def save_deployed(
    net: nn.Module,
    folder: str | Path,
    *,
    example: Any = None,
    dense: nn.Module | None = None,
    program: bool | None = None,
    onnx: bool | None = None,
) -> SavedNetwork:
    """Save a deployed network so that it can be taken away: nothing that is written needs pickle to be read.

    The folder holds ``weights.safetensors``, ``architecture.json`` (classes, sizes, selections and checksums
    of all files), ``program.pt2`` for ``torch.export.load`` where l0bayes is not installed, ``network.onnx``,
    and ``certificate.json``: how far the network is from the gated one, entries that are not 0, parameters,
    multiply-accumulates, bytes, and the time of a run at batch sizes 1 and 100, all beside the dense network.
    It is written beside and takes its place when it is whole.

    Args:
        net: The network, from :meth:`SparseNetwork.deploy <l0bayes.models.SparseNetwork.deploy>`; any other
            network can be saved too.
        folder: The folder; a saved network in it is replaced.
        example: Inputs of the network, for programs, counts and times: a tensor, a tuple of arguments or
            a dictionary of them by name. ``None`` for those that it was deployed with.
        dense: The dense network to compare with. ``None`` for the one that it was deployed from.
        program: Whether to write ``program.pt2``: ``True`` raises where it cannot be, ``None`` warns.
        onnx: Whether to write ``network.onnx``, likewise; ``None`` also leaves it out where the packages of
            the extra ``onnx`` are not installed.

    Returns:
        The folder, and what was measured.

    Raises:
        FileExistsError: If there is something else in the folder.
        ModuleNotFoundError: If ``onnx=True`` and a package is missing; says how to install it.
        TypeError: If ``net`` is no module, the gated model in place of its deployed network, or holds what
            is no dense tensor.
        ValueError: If the network cannot be run on ``example``, ``program`` or ``onnx`` is true and there is
            none, the network cannot be exported, or it runs what ONNX cannot hold; names operation and layer.
            Also if the network that comes back from the files is not this one.

    Example::

        small = model.deploy(guide)
        saved = l0bayes.save_deployed(small, "small")
        saved.certificate["deployed"]["macs"]
    """
    if not isinstance(net, nn.Module):
        raise TypeError(f"net must be an nn.Module, got {type(net).__name__}")
    if ModelAbilities(net).deploy is not None:
        raise TypeError(
            f"net is the gated {type(net).__name__}, not a deployed network: give model.deploy(guide)"
        )
    folder, origin = Path(folder), origin_of(net)
    inputs = _inputs(net, example if example is not None else origin and origin.example)
    if inputs is None and (program or onnx):
        raise ValueError("example is needed, inputs of the network, to write a program or ONNX")
    tensors, ties = _tensors(net)
    record = record_network(net)
    with replaced_folder(folder) as part:
        write_tensors(tensors, part / WEIGHTS)
        certificate = certify(net, origin, inputs, _dense(dense, origin))
        if inputs is not None:
            certificate |= _programs(net, inputs, part, program, onnx)
        text = json.dumps(certificate, indent=1, allow_nan=False)
        (part / CERTIFICATE).write_text(text + "\n", encoding="utf-8")
        index = {
            "written_by": {"torch": str(torch.__version__)},
            "network": record,
            "tensors": {
                name: {"dtype": str(value.dtype), "shape": list(value.shape)}
                for name, value in tensors.items()
            },
            "ties": ties,
            "frozen": [name for name, p in net.named_parameters() if not p.requires_grad],
        }
        write_index(part, index)
        _comes_back(net, part, inputs, bool(needs_code(record)))
    return SavedNetwork(folder, certificate, needs_code(record))


def _inputs(net: nn.Module, example: Any) -> tuple[Any, ...] | None:
    if example is None:
        return None
    inputs = inputs_of(net, example)
    like = next((x for x in (*net.parameters(), *net.buffers()) if x.is_floating_point()), None)

    def change(x: Tensor) -> Tensor:
        if like is None:
            return x.detach()
        return x.detach().to(like if x.is_floating_point() else like.device)

    found: tuple[Any, ...] = map_tensors(inputs, change)
    try:
        run(net, found)
    except Exception as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in tensors_in(found))
        raise ValueError(
            f"the network cannot be run on the example given, of shape {shapes} "
            f"({type(error).__name__}: {str(error)[:200]}); give inputs as the network takes them"
        ) from error
    return found


def _dense(given: nn.Module | None, origin: Any) -> nn.Module | None:
    if given is not None or origin is None:
        return given
    made: nn.Module = origin.dense()
    return made


def _tensors(net: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors of a network by their first name, and that name by the others."""
    objects: dict[str, Tensor] = dict(net.named_parameters(remove_duplicate=False))
    objects |= dict(net.named_buffers(remove_duplicate=False))
    firsts: dict[int, str] = {}
    tensors: dict[str, Tensor] = {}
    ties: dict[str, str] = {}
    for name in net.state_dict():
        if name not in objects:
            raise TypeError(
                f"{name!r} is a part of the network's state that is no tensor, and cannot be saved"
            )
        value = objects[name]
        first = firsts.setdefault(id(value), name)
        if first == name:
            tensors[name] = value
        else:
            ties[name] = first
    return tensors, ties


def _programs(
    net: nn.Module, inputs: tuple[Any, ...], part: Path, program: bool | None, onnx: bool | None
) -> dict[str, Any]:
    wants_onnx = have_onnx() if onnx is None else onnx
    found: dict[str, Any] = {"program": None, "onnx": None}
    if program is False and not wants_onnx:
        return found
    try:
        exported, dynamic = export_program(net, inputs)
    except ValueError as error:
        if program or onnx:
            raise
        warn_user(f"neither {PROGRAM} nor {ONNX} was written: {error}", ExportWarning)
        return found
    if program is not False:
        write_program(exported, part / PROGRAM)
        found["program"] = {"dynamic_batch": dynamic}
    if wants_onnx:
        try:
            found["onnx"] = write_onnx(exported, net, inputs, dynamic, part / ONNX)
        except ValueError as error:
            if onnx:
                raise
            (part / ONNX).unlink(missing_ok=True)
            warn_user(f"{ONNX} was not written: {error}", ExportWarning)
    return found


def _comes_back(net: nn.Module, part: Path, inputs: tuple[Any, ...] | None, needs: bool) -> None:
    """Read what was written: it has to be the network."""
    again = load_deployed(part, net if needs else None)
    theirs = again.state_dict()
    for name, value in net.state_dict().items():
        if not torch.equal(theirs[name].isnan(), value.cpu().isnan()) or not torch.equal(
            theirs[name].nan_to_num(), value.cpu().nan_to_num()
        ):
            raise ValueError(f"{name!r} does not come back from the files as it was written")
    if inputs is None:
        return
    like = next((x.device for x in (*net.parameters(), *net.buffers())), torch.device("cpu"))
    again = again.to(like)
    rows = fresh_rows(inputs, rows_that_fit(net, inputs, 3))
    with private_randomness(0):
        found = run(again, rows)
    with private_randomness(0):
        wanted = run(net, rows)
    size = max((float(x.double().abs().max()) for x in tensors_in(wanted) if x.numel()), default=0.0)
    gap = largest_difference(found, wanted)
    if not gap <= _CLOSE * size:  # no rounding: the same operations on the same numbers, perhaps elsewhere
        raise ValueError(
            f"the network that comes back from {ARCHITECTURE} returns other values (|Δ| {gap:.3g}): its "
            "forward reads something beside its modules, tensors and plain attributes"
        )
