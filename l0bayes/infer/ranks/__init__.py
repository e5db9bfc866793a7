"""Several processes that train one guide: what is shared, what is averaged, who writes."""

__all__: list[str] = []
