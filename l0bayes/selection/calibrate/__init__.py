"""Data drawn from a problem's own prior, and whether its posterior is right on them."""

__all__: list[str] = []
