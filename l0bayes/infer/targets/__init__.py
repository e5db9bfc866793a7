"""Size targets, expected costs and the pruning forecast."""

__all__: list[str] = []
