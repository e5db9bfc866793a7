"""Numerical pieces that engines are made of."""

__all__: list[str] = []
