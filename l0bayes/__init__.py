"""Bayesian sparse models in Pyro: spike-and-slab gates, hard concrete guides, the L0 objective as an ELBO."""
