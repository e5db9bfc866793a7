"""Summaries of a posterior: coefficients, covariances, models, credible sets."""

__all__: list[str] = []
