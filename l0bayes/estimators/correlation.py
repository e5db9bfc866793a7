"""Warning of correlated columns, about which factorised gates are often wrong."""

from __future__ import annotations

import torch

from l0bayes.selection.problem.selection_posterior import SelectionPosterior
from l0bayes.selection.problem.verdict import TrustWarning
from l0bayes.user_warnings import warn_user

__all__ = ["warn_of_correlation"]

_STRONG = 0.5
_SOME, _MOST_LOOKED_AT = 0.05, 500


def warn_of_correlation(posterior: SelectionPosterior, names: list[str]) -> bool:
    """Warn where a column that a variational fit takes is correlated with another.

    Args:
        posterior: A variational posterior.
        names: Names of the columns.

    Returns:
        Whether it did.
    """
    problem = posterior.problem
    pip = posterior.pip[problem.groups]
    taken = torch.argsort(pip, descending=True)[:_MOST_LOOKED_AT]
    taken = taken[pip[taken] > _SOME]
    if not len(taken):
        return False
    columns = problem.x - problem.x.mean(0)
    columns = columns / columns.norm(dim=0).clamp(min=1e-300)
    correlations = (columns[:, taken].T @ columns).abs()
    # Columns of one gate are in together, whatever their correlation.
    correlations[problem.groups[taken][:, None] == problem.groups] = 0.0
    if not float(correlations.max()) > _STRONG:
        return False
    row, other = divmod(int(correlations.argmax()), correlations.shape[1])
    warn_user(
        f"columns {names[int(taken[row])]!r} and {names[other]!r} are correlated "
        f"(|r| = {float(correlations.max()):.2f}), and this is a variational fit with independent gates: on "
        "correlated columns their inclusion probabilities err by 0.2 to 0.9. Refine them: fit again with "
        "engine='auto' (l0bayes select: --engine auto).",
        TrustWarning,
    )
    return True
