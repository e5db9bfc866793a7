r"""The way of an act on a model: fit, verdict, refine, verdict, and what of it is written and said."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l0bayes.apps.demo.demo_words import PACKAGES, labelled, wrapped
from l0bayes.apps.writers import try_writers
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Fit, RestartWarning, fit
from l0bayes.optional_packages import need

if TYPE_CHECKING:
    import pandas as pd

    from l0bayes.selection.problem.verdict import Trust
    from l0bayes.selection.refine import Refinement

__all__ = ["RefinedAct", "RefinedFit", "fit_and_refine"]


@dataclass(frozen=True)
class RefinedAct:
    """What an act on a model made.

    Attributes:
        fit: The variational fit.
        trust: Its verdict.
        refined: What was put right.
        refined_trust: The verdict on that.
        table: One row a term or column: inclusion probabilities of the fit, put right, and what is true.
        question: Lines to print before the table.
        answer: Lines to print after it.
        files: Files written.
    """

    fit: Fit
    trust: Trust
    refined: Refinement
    refined_trust: Trust
    table: pd.DataFrame
    question: list[str]
    answer: list[str]
    files: list[Path]


@dataclass(frozen=True)
class RefinedFit:
    """A fit, its verdict, and both once more after it was put right.

    Attributes:
        fit: The variational fit.
        trust: Its verdict.
        refined: What was put right.
        refined_trust: The verdict on that.
        idata: Draws of the refined posterior, as ArviZ takes them.
        file: Where they were written.
    """

    fit: Fit
    trust: Trust
    refined: Refinement
    refined_trust: Trust
    idata: Any
    file: Path

    def told(
        self,
        table: pd.DataFrame,
        words: tuple[str, str, str],
        answer: Sequence[str],
        pictures: Sequence[Path],
    ) -> RefinedAct:
        """All of it with words around the table.

        Args:
            table: The table.
            words: What is asked, how it was fitted, and how it was put right.
            answer: Lines after the table.
            pictures: Pictures that were drawn.
        """
        asked, fitted, put_right = words
        question = [
            wrapped(asked),
            "",
            labelled("Fit", fitted),
            labelled("Verdict", str(self.trust)),
            labelled("Refine", put_right),
            labelled("Verdict", str(self.refined_trust)),
        ]
        files = [self.file, *pictures]
        return RefinedAct(
            self.fit, self.trust, self.refined, self.refined_trust, table, question, list(answer), files
        )


def fit_and_refine(
    out: Path,
    model: Callable[..., Any],
    arguments: tuple[Any, ...],
    *,
    steps: int,
    restarts: int,
    seed: int,
    progress: bool,
    options: Any = None,
    **names: Any,
) -> RefinedFit:
    """Fit by gates that are hard concrete, ask for a verdict, put it right, ask again, write the posterior.

    Args:
        out: Folder for ``posterior.nc``; made where missing.
        model: The model.
        arguments: Its arguments.
        steps: Optimiser steps a restart.
        restarts: Independent fits.
        seed: Seed.
        progress: Whether to show a progress bar.
        options: Options of the engine that puts it right.
        **names: ``coords`` and ``dims`` of the posterior.

    Returns:
        The fit, what was put right, and both verdicts.

    Raises:
        ModuleNotFoundError: If a package that writes one of its files is missing, before anything is fitted.
        OSError: If the folder cannot be written to, likewise.
    """
    need("The example", *PACKAGES)
    from l0bayes.posterior.netcdf import write_netcdf
    from l0bayes.selection.refine import refine
    from l0bayes.selection.trust.fit_trust import trust
    from l0bayes.selection.trust.posterior_trust import trust_of

    try_writers(out)
    out.mkdir(parents=True, exist_ok=True)
    guide = AutoHardConcrete(model, arguments, temperature=0.1)
    result = fit(model, guide, arguments, steps=steps, restarts=restarts, seed=seed, progress=progress)
    verdict = trust(result, seed=seed)
    refined = refine(result, seed=seed, options=options)
    with warnings.catch_warnings():
        # The verdict has said so; draws of all restarts are not kept.
        warnings.simplefilter("ignore", RestartWarning)
        idata = refined.to_arviz(seed=seed, **names)
    file = write_netcdf(idata, out / "posterior.nc")
    return RefinedFit(result, verdict, refined, trust_of(refined.posterior), idata, file)
