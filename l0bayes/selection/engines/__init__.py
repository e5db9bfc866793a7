"""From a problem to its posterior, one engine a file."""

__all__: list[str] = []
