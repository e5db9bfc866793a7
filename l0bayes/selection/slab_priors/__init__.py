"""Priors of the slabs whose models have a marginal likelihood that R² and the model's size determine."""

__all__: list[str] = []
