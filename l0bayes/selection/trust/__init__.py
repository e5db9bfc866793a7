"""Whether a posterior can be believed."""

__all__: list[str] = []
