"""Every gate family on the same problems: regressions with a known posterior, digits, MNIST."""
