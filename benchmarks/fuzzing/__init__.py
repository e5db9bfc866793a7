"""Damaged files for every loader."""
