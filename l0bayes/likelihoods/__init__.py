"""Laws of a response given its predictor, one a file."""

__all__: list[str] = []
