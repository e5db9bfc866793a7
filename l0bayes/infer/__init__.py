"""The mean-field ELBO, its compiled form and the training loop."""
