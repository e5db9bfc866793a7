r"""Whether a posterior is right on data drawn from its own prior."""

from __future__ import annotations

from l0bayes.selection.calibrate.comparison_words import comparison_words
from l0bayes.selection.calibrate.comparisons import Comparisons

__all__ = ["Calibration"]


class Calibration(Comparisons):
    """What came true of a posterior's probabilities on data sets that were drawn from its prior.

    ``to_frame()`` is the table, :attr:`words` say what it means, and ``l0bayes.plots.plot_calibration`` draws
    it.

    Args:
        fits, held, rows, gates: As in :class:`~l0bayes.selection.calibrate.comparisons.Comparisons`.
    """

    @property
    def words(self) -> str:
        """The verdict, in sentences."""
        return comparison_words(self)

    def __str__(self) -> str:
        return self.words
