"""A Pyro model read as a selection problem."""

__all__: list[str] = []
