"""How long networks take: runs that are timed, and a table of layers from which other sizes are told."""

__all__: list[str] = []
