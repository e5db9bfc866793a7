r"""The posterior of a problem by an engine that is asked for by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from l0bayes import validate
from l0bayes.selection.engines.engine import Engine, Progress, silent
from l0bayes.selection.engines.engine_registry import AUTO, choose_engine, engine_by_name, engine_names
from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.selection_problem import SelectionProblem

__all__ = ["check_options", "infer_gates", "options_from"]


def infer_gates(
    problem: SelectionProblem,
    engine: str = AUTO,
    *,
    options: Any = None,
    start: Tensor | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> SelectionPosterior:
    """The posterior of a problem, Gaussian or generalised, by an engine.

    Args:
        problem: The problem.
        engine: ``"exact"``, ``"gibbs"``, ``"wide"``, ``"svi"``, the name of an engine that was registered, or
            ``"auto"`` for the first that suits the problem: ``"exact"`` where there are few gates, ``"wide"``
            for Normal responses where there are thousands, else ``"gibbs"``.
        options: The engine's options: :class:`~l0bayes.selection.ExactOptions`,
            :class:`~l0bayes.selection.GibbsOptions`, :class:`~l0bayes.selection.WideOptions`,
            :class:`~l0bayes.selection.SVIOptions`; by default those that the engine takes for such a problem.
        start: Inclusion probabilities to start from, such as those of a variational fit, shape ``(G,)``;
            for engines that take them. ``"auto"`` passes them on where its engine does.
        seed: Seed.
        progress: Called with the share of the work that is done, up to 1.

    Raises:
        ValueError: If the engine is unknown, cannot take the problem, or takes no start; the message says
            what to do instead.
        TypeError: If the options are of another engine.
    """
    check_options(engine, options)
    chosen = choose_engine(engine, problem)
    if options is None:
        options = chosen.options_for(problem)
    elif type(options) is not chosen.options:
        owner = _owners(options)[0]
        raise TypeError(
            f"options are {type(options).__name__}, of the engine {owner!r}, but engine='auto' chose "
            f"{chosen.name!r} for this problem: give engine={owner!r} with them"
        )
    reason = chosen.supports(problem, options)
    if reason is not None:
        raise ValueError(f"the engine {chosen.name!r} cannot take this problem: {reason}")
    if start is not None:
        start = _checked_start(start, problem, chosen, engine)
    return chosen.infer(problem, options, start=start, seed=seed, progress=progress or silent)


def check_options(engine: str, options: Any) -> None:
    """Refuse an unknown engine, and options of another engine.

    Args:
        engine: Name of an engine, or ``"auto"``.
        options: Its options, or ``None``.

    Raises:
        ValueError: If there is no such engine.
        TypeError: If the options are of another one, or of none.
    """
    validate.one_of(engine_names(), engine=engine)
    if options is None:
        return
    owners = _owners(options)
    if not owners:
        known = ", ".join(engine_by_name(name).options.__name__ for name in engine_names()[1:])
        raise TypeError(f"options must be those of an engine, {known}; got {options!r}")
    if engine != AUTO and engine not in owners:
        wanted = engine_by_name(engine).options.__name__
        raise TypeError(
            f"options of the engine {engine!r} must be {wanted}; got {type(options).__name__}, of the engine "
            f"{owners[0]!r}"
        )


def options_from(engine: str, options: Any, **shortcuts: Any) -> Any:
    """Options of an engine, or some of their fields by name, as options.

    Args:
        engine: Name of an engine, or ``"auto"``.
        options: Its options, or ``None``.
        **shortcuts: Fields of its options; ``None`` where not given.

    Raises:
        ValueError: If there is no such engine, it has no such field, options are given beside fields, or a
            value is out of range.
        TypeError: If the options are of another engine.
    """
    check_options(engine, options)
    given = validate.given(**shortcuts)
    if not given:
        return options
    name = next(iter(given))
    if options is not None:
        raise ValueError(f"give {name} within options, not beside them")
    fields = {} if engine == AUTO else engine_by_name(engine).options.__dataclass_fields__
    for name in given:
        if name not in fields:
            owners = [
                one for one in engine_names()[1:] if name in engine_by_name(one).options.__dataclass_fields__
            ]
            raise ValueError(
                f"{name} is an option of the engine {' or '.join(map(repr, owners))}, and engine={engine!r} "
                "does not use it"
            )
    return engine_by_name(engine).options(**given)


def _owners(options: Any) -> list[str]:
    """Names of the engines whose options these are."""
    return [name for name in engine_names()[1:] if engine_by_name(name).options is type(options)]


def _checked_start(
    start: Tensor, problem: SelectionProblem, chosen: Engine[Any], engine: str
) -> Tensor | None:
    if not chosen.takes_start:
        if engine == AUTO:  # the engines it chooses give the same answer from any start
            return None
        raise ValueError(f"the engine {engine!r} takes no start")
    validate.has_shape((problem.num_groups,), start=start)
    if not bool(((start >= 0) & (start <= 1)).all()):
        raise ValueError("start must hold probabilities, from 0 to 1")
    return start.to(torch.float64)
