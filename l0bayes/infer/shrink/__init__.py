"""Search, cut, train on: training that gets cheaper as the network shrinks."""

__all__: list[str] = []
