"""Selections that were kept: by ``estimator.save(folder)``, or in the folder of ``l0bayes select``."""

from __future__ import annotations

import os

from l0bayes.apps.select.prediction.formula_coding import FormulaCoding
from l0bayes.estimators.kept.saved_selection import SavedSelection
from l0bayes.estimators.kept.selection_files import SavedSelectionError, read_selection
from l0bayes.estimators.kept.table_coding import FrameTableCoding, TableCoding

__all__ = ["SavedSelection", "SavedSelectionError", "load_selection"]

_CODINGS: dict[str, type[TableCoding]] = {kind.kind: kind for kind in (FrameTableCoding, FormulaCoding)}


def load_selection(folder: str | os.PathLike[str]) -> SavedSelection:
    """Read a selection that was kept, in another process or on another machine too.

    Nothing in the folder is unpickled; what is not as it was written is refused. It predicts what the
    estimator predicted. A selection of ``l0bayes select`` takes frames with the columns of the table, and
    codes them by its formula.

    Args:
        folder: The folder of ``estimator.save(folder)`` or ``l0bayes select --out folder``.

    Raises:
        FileNotFoundError: If there is no such folder, or no selection in it.
        SavedSelectionError: If the file is not whole, or of another kind.
        ValueError: If its likelihood is not registered here.

    Example::

        regressor.save("kept/first")
        again = l0bayes.load_selection("kept/first")
        again.predict(frame, interval=0.9)
    """
    state = read_selection(folder)
    coding = dict(state["coding"])
    kind = _CODINGS[coding.pop("kind")]
    return SavedSelection(state, kind.of_state(coding))
