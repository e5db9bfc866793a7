"""The protocol of what goes on around the steps of a training run."""

__all__: list[str] = []
