r"""Runs that have ended, as plain values that a file can hold, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from l0bayes.files.state_files import as_plain_state
from l0bayes.infer.callbacks.decision import Decision
from l0bayes.infer.callbacks.history import History
from l0bayes.infer.loop.constraint_words import constraint_of, plain_constraint
from l0bayes.infer.loop.restart_result import Restart
from l0bayes.infer.trained_parameters import TrainedParameters

__all__ = ["KeptRunError", "check_fits", "difference_of_shapes", "kept_run", "run_of", "shapes_of"]


class KeptRunError(ValueError):
    """What was kept is of another model or guide."""


def kept_run(run: Restart) -> dict[str, Any]:
    """What there is to keep of a run: values of modules, not the modules.

    Args:
        run: The run.
    """
    model = run.model.state_dict() if isinstance(run.model, torch.nn.Module) else None
    decision = (
        None
        if run.decision is None
        else {
            "steps": run.decision.steps,
            "probabilities": run.decision.probabilities,
            "opened": run.decision.opened,
        }
    )
    state = {
        "guide": dict(run.guide.state_dict()),
        "model": None if model is None else dict(model),
        "history": asdict(run.history),
        "history_settings": run.history.settings,
        "seed": run.seed,
        "seconds": run.seconds,
        "stopped": run.stopped,
        "collapsed": run.collapsed,
        "decision": decision,
        "params": dict(run.parameters.params),
        "constraints": {
            name: plain_constraint(constraint) for name, constraint in run.parameters.constraints.items()
        },
    }
    return dict(as_plain_state(state, "what is kept of a run"))


def check_fits(kept: Mapping[str, Any], model: Any, guide: Any) -> None:
    """Refuse modules that can't take the values of a run, before any is changed.

    Args:
        kept: From :func:`kept_run`.
        model: The model.
        guide: The guide.

    Raises:
        KeptRunError: If model or guide have parameters of other names or shapes, by name.
    """
    for what, module, values in (("guide", guide, kept["guide"]), ("model", model, kept["model"])):
        if isinstance(module, torch.nn.Module) != (values is not None):
            is_one = "is no module" if values is not None else "is a module"
            raise KeptRunError(f"the {what} {is_one}, unlike the one whose run was kept")
        if values is None:
            continue
        own = shapes_of(module.state_dict())
        wrong = difference_of_shapes(shapes_of(values), own)
        if wrong and not own:
            raise KeptRunError(f"the {what} has no parameters yet; run it once on the data, and then load")
        if wrong:
            raise KeptRunError(f"it is of another {what}: {wrong}")


def run_of(kept: Mapping[str, Any], model: Any, guide: Any) -> Restart:
    """The run again, in modules that are given.

    Args:
        kept: From :func:`kept_run`.
        model: The model, which takes the values where it is a module.
        guide: The guide, which takes the values.

    Raises:
        KeptRunError: If model or guide have parameters of other names or shapes, by name.
    """
    check_fits(kept, model, guide)
    for module, values in ((guide, kept["guide"]), (model, kept["model"])):
        if values is not None:
            module.load_state_dict(dict(values))
    history = History(**kept["history"])
    history.settings = dict(kept["history_settings"])
    decision = None if kept["decision"] is None else Decision(**kept["decision"])
    return Restart(
        guide,
        model,
        history,
        kept["seed"],
        kept["seconds"],
        kept["stopped"],
        dict(kept["collapsed"]),
        decision,
        TrainedParameters(
            dict(kept["params"]),
            {name: constraint_of(plain) for name, plain in kept["constraints"].items()},
        ),
    )


def shapes_of(values: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """Shapes by name.

    Args:
        values: Tensors by name, as those of ``state_dict()``.
    """
    return {name: list(value.shape) for name, value in values.items()}


def difference_of_shapes(theirs: Mapping[str, list[int]], ours: Mapping[str, list[int]]) -> str:
    """In which names and shapes two states differ, in words; nothing where they do not.

    Args:
        theirs: Shapes by name in a file.
        ours: Shapes by name here.
    """
    different = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    if not different:
        return ""
    name = different[0]
    return (
        f"{len(different)} entries differ, the first is {name!r}, of shape {theirs.get(name)} in the file "
        f"and {ours.get(name)} here"
    )
