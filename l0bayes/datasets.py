"""Real data, read from packages or a local folder, checksummed."""
