"""The ELBOs, their gradients and their captured steps."""

__all__: list[str] = []
