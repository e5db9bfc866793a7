"""The training loop: settings, batches, checkpoints, results."""

__all__: list[str] = []
