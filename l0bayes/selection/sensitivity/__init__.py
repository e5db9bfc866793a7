"""Inclusion probabilities under other priors, from what a posterior knows already."""

__all__: list[str] = []
