#!/usr/bin/env bash
# Surprise: the KL divergence that a layer of bayesian-torch 0.5.0 reports is the mean over its weights, where an evidence
# lower bound has the sum: 1.24 for 2,487 nats in a layer of 2,000 weights. A layer's weight in the objective thus depends
# on its size, and the prior has next to no say. Besides, the argument prior_variance is used as a standard deviation:
# with 0.25 the prior is N(0, 0.25²), not N(0, 0.5²).
# Who meets it: whoever adds get_kl_loss(model) to a log likelihood, compares its value with another library's bound, or
# translates priors between the two.
# Our side: KL divergences are summed, site by site, and tested against quadrature; slabs are given as distributions, so
# that no number can be read as a variance.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
printf 'torch==2.13.0\n' > "$folder/constraints.txt"
"$folder/env/bin/pip" install --quiet --constraint "$folder/constraints.txt" torch numpy==2.4.6
"$folder/env/bin/pip" install --quiet --no-deps bayesian-torch==0.5.0
cd "$folder"
env/bin/python - <<'PY'
import importlib.metadata

import torch
from bayesian_torch.layers import LinearReparameterization
from bayesian_torch.models.dnn_to_bnn import get_kl_loss
from torch.distributions import Normal, kl_divergence

for name in ("bayesian-torch", "torch"):
    print(name, importlib.metadata.version(name))
torch.manual_seed(0)
layer = LinearReparameterization(
    in_features=50, out_features=40, prior_mean=0.0, prior_variance=0.25, posterior_mu_init=0.0,
    posterior_rho_init=-3.0, bias=False,
)
weights = Normal(layer.mu_weight, torch.nn.functional.softplus(layer.rho_weight))
reported = get_kl_loss(torch.nn.Sequential(layer)).item()
sums = {sd: kl_divergence(weights, Normal(0.0, sd)).sum().item() for sd in (0.25, 0.5)}
print(f"reported {reported:.4f}")
print(f"sum over {layer.mu_weight.numel()} weights, prior N(0, 0.25²): {sums[0.25]:.1f}, prior of variance 0.25: {sums[0.5]:.1f}")
print(f"mean over weights, prior N(0, 0.25²): {sums[0.25] / layer.mu_weight.numel():.4f}")
assert abs(reported - sums[0.25] / layer.mu_weight.numel()) < 1e-4, "changed: it is another number"
assert reported < 0.001 * sums[0.25], "changed: it is the sum"
PY
