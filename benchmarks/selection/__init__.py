"""Variable selection against the truth: how far inclusion probabilities are off, and what they cost."""
