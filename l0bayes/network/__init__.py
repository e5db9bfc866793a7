"""Gates on networks: cost, layer table, deployment."""
