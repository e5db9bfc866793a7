"""Applications: what the command line calls. One folder or file each: demo, train, select."""

__all__: list[str] = []
