"""From draws to ArviZ, tables and plots."""
