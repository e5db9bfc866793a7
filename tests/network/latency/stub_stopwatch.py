"""Times that are known: so much for a module, and so much for each multiplication."""

import torch

from l0bayes.network import LatencyCost

MODULE, MULTIPLICATION = 2e-6, 1e-9


def multiplications(net, inputs):
    """Of layers and projections, by what comes out of them."""
    counts = []

    def count(module, args, out):
        weight = getattr(module, "weight", None)
        if weight is not None:
            counts.append(weight.numel() * out.numel() / (weight.shape[0] if weight.dim() > 1 else 1e9))
        if (joint := getattr(module, "in_proj_weight", None)) is not None:
            counts.append(joint.numel() * args[0].numel() / module.embed_dim)

    hooks = [module.register_forward_hook(count) for module in net.modules()]
    try:
        with torch.no_grad():
            net(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts)


def told_times(pairs, bend=1.0):
    """Seconds by modules and multiplications, as if they had been measured."""
    found = []
    for net, inputs in pairs:
        seconds = MODULE * (1 + len(list(net.children()))) + MULTIPLICATION * multiplications(net, inputs)
        found.append(seconds**bend)
    return found


def stub_cost(model, kind="latency", rows=100, stopwatch=told_times):
    return LatencyCost(kind, model.net, model.plan, model.example, rows, stopwatch=stopwatch)
