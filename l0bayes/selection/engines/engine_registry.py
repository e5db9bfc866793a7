r"""Engines by name: those of the package, those that users register, and the choice among them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from l0bayes import validate
from l0bayes.selection.engines.engine import Engine
from l0bayes.selection.engines.exact import ExactEngine
from l0bayes.selection.engines.gibbs import GibbsEngine
from l0bayes.selection.engines.svi import SVIEngine
from l0bayes.selection.engines.wide_engine import WideEngine
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["auto_engines", "choose_engine", "engine_by_name", "engine_names", "register_engine"]

AUTO = "auto"
_ENGINES: dict[str, Engine[Any]] = {
    engine.name: engine for engine in (SVIEngine(), ExactEngine(), GibbsEngine(), WideEngine())
}


def register_engine(engine: Engine[Any]) -> None:
    """Make an engine known by its name: to infer_gates, refine, the estimators and ``l0bayes select``.

    On the command line ``--load`` runs a file that registers one.

    Args:
        engine: The engine.

    Raises:
        TypeError: If it is no :class:`~l0bayes.selection.engines.engine.Engine`, or its options are not a
            frozen dataclass whose fields all have defaults.
        ValueError: If its name is none, or taken by another engine.
    """
    if not isinstance(engine, Engine):
        raise TypeError(f"engine must be an Engine, got {engine!r}")
    name, kind = getattr(engine, "name", None), getattr(engine, "options", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"name of {type(engine).__name__} must be a word, got {name!r}")
    taken = _ENGINES.get(name)
    # The same class again is a file that was run again.
    same = taken is not None and _path(taken) == _path(engine)
    if name == AUTO or (taken is not None and not same):
        by = "the choice among engines" if taken is None else ".".join(_path(taken))
        raise ValueError(f"name {name!r} of {type(engine).__name__} is taken by {by}")
    if not (isinstance(kind, type) and is_dataclass(kind) and kind.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise TypeError(f"options of {type(engine).__name__} must be a frozen dataclass, got {kind!r}")
    try:
        kind()
    except TypeError as error:
        names = ", ".join(part.name for part in fields(kind))
        raise TypeError(f"options of {type(engine).__name__} must all have defaults: {names}") from error
    _ENGINES[name] = engine


def engine_names() -> list[str]:
    """Accepted names: ``"auto"``, and the names of all engines."""
    return [AUTO, *_ENGINES]


def engine_by_name(name: str) -> Engine[Any]:
    """The engine of a name.

    Args:
        name: Its name; not ``"auto"``.

    Raises:
        ValueError: If there is none.
    """
    validate.one_of(_ENGINES, engine=name)
    return _ENGINES[name]


def auto_engines() -> list[Engine[Any]]:
    """The engines that ``"auto"`` chooses from: the first that suits a problem is taken."""
    ordered = [(engine.auto_order, engine) for engine in _ENGINES.values() if engine.auto_order is not None]
    return [engine for _, engine in sorted(ordered, key=lambda pair: pair[0])]


def choose_engine(name: str, problem: SelectionProblem) -> Engine[Any]:
    """The engine of a name; for ``"auto"`` the first in its order that suits the problem.

    Args:
        name: Name of an engine, or ``"auto"``.
        problem: The problem.

    Raises:
        ValueError: If there is no such engine, or none that suits the problem.
    """
    validate.one_of(engine_names(), engine=name)
    if name != AUTO:
        return _ENGINES[name]
    for engine in auto_engines():
        if engine.suits(problem):
            return engine
    tried = ", ".join(engine.name for engine in auto_engines())
    raise ValueError(f"engine 'auto' found none that suits the problem; it asked {tried}")


def _path(engine: Engine[Any]) -> tuple[str, str]:
    return type(engine).__module__, type(engine).__qualname__
