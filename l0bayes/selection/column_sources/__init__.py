"""Tables of columns that are read a block at a time, and are never copied as a whole."""

__all__: list[str] = []
