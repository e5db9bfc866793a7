"""What a posterior says of columns and models."""

__all__: list[str] = []
