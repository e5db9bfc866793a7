"""Long runs that find a small network: what it costs to train them, epoch by epoch, and what they reach."""
