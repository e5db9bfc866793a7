"""Every claim of speed or quality, one command each: ``python -m benchmarks.<name>`` prints JSON last."""
