"""The protocol of callbacks, which work around the steps of a training run."""

__all__: list[str] = []
