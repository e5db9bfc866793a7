r"""What is said of folders that cannot be read, and of networks that cannot be written."""

from __future__ import annotations

__all__ = ["ExportWarning", "SavedNetworkError", "UndecidedGatesWarning"]


class SavedNetworkError(ValueError):
    """A folder that holds no network which can be loaded; says what is wrong, and what to do."""


class UndecidedGatesWarning(UserWarning):
    """A network was saved whose gates were not decided, so that it is not the one that was trained."""


class ExportWarning(UserWarning):
    """A network was saved without a file that could not be made, or not be checked."""
