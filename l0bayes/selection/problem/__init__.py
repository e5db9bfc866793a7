"""Data and priors of a selection, and what an engine finds."""

__all__: list[str] = []
