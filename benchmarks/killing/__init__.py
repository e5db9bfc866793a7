"""Runs that are killed and go on, beside the same runs left alone."""
