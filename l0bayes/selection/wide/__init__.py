"""Sampling of gates where there are too many columns for the products of all of them."""

__all__: list[str] = []
