"""What each rank does in the tests of several processes: run by torchrun, one file of results a rank.

torchrun --nproc-per-node 2 -m tests.infer.ranks.launched FOLDER
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import l0bayes
from l0bayes.distributions import L0Penalty
from l0bayes.guides import AutoHardConcrete
from l0bayes.infer import Callback, Minibatches
from l0bayes.infer.ranks.ranks import SeveralRanks
from l0bayes.models import SparseNetwork

ROWS, BATCH, STEPS = 64, 16, 12


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 6, generator=generator)
    return x, (x[:, 0] + 0.1 * x[:, 1] > 0).long()


def pair(seed=0, norm=False):
    torch.manual_seed(seed)
    layers = [nn.Linear(6, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.ReLU(), nn.Linear(8, 2)]
    model = SparseNetwork(nn.Sequential(*layers), inclusion=L0Penalty(0.01))
    return model, AutoHardConcrete(model, data())


def fit(model, guide, batches=None, **settings):
    batches = Minibatches(*data(), batch_size=BATCH) if batches is None else batches
    keywords = {"steps": STEPS, "lr": 0.01, "progress": False, "log_every": 4, "compile": "graph", **settings}
    return l0bayes.fit(model, guide, batches, **keywords)


def values(*modules):
    return torch.cat(
        [value.detach().double().flatten() for one in modules for value in one.state_dict().values()]
    )


class Interrupting(Callback):
    """Interrupts one rank at a step: by a signal, or because a callback raises."""

    def __init__(self, by_signal=True):
        self.by_signal = by_signal

    def after_step(self, run):
        if run.done == 7 and os.environ["RANK"] == "1":
            if not self.by_signal:
                raise KeyboardInterrupt
            os.kill(os.getpid(), signal.SIGINT)


class Deciding(Callback):
    """Changes the parameters of one rank alone."""

    def after_step(self, run):
        if os.environ["RANK"] == "1":
            next(iter(run.objective.parameters())).data.add_(1.0)


def equal_noise(index):
    """With the noise of a step alike on all ranks, they do what one process does with the whole batch."""
    own = SeveralRanks.begin_step
    SeveralRanks.begin_step = lambda self, seed, step: torch.manual_seed(1000 * seed + step)
    model, guide = pair(seed=index)  # rank 0's values are taken
    found = fit(model, guide, distributed=True)
    SeveralRanks.begin_step = own
    return {"values": values(model, guide), "elbo": torch.tensor(found.history.elbo)}


def own_noise(index):
    model, guide = pair()
    found = fit(model, guide, distributed=True)
    return {"values": values(model, guide), "elbo": torch.tensor(found.history.elbo)}


def samplers(index):
    """A loader with a sampler of shares, whose order is another one each epoch."""
    x, y = data()
    seen = []

    class Seeing(Callback):
        def after_step(self, run):
            seen.append(run.batch[0][:, 0].clone())

    dataset = TensorDataset(x, y)
    loader = DataLoader(dataset, batch_size=BATCH // 2, sampler=DistributedSampler(dataset), drop_last=True)
    model, guide = pair()
    fit(model, guide, loader, distributed=True, steps=8, callbacks=[Seeing()])
    return {
        "seen": torch.stack(seen),
        "num_data": torch.tensor(model.num_data),
        "values": values(model, guide),
    }


def shrinking(index):
    """A cut, and moving averages of each rank's own rows."""
    model, guide = pair(norm=True)
    found = fit(model, guide, distributed=True, target="macs:0.5", shrink=True, steps=40)
    deployed = model.deploy(guide)
    return {
        "kept": torch.tensor(found.decision.kept),
        "values": values(deployed),
        "whole": values(model, guide),
    }


def checkpoints(index, folder):
    """Rank 0 alone writes; a run that was interrupted goes on to the same end."""
    plain = pair()
    fit(*plain, distributed=True)
    path = folder / "run.ckpt"
    first = pair()
    stopped = fit(*first, distributed=True, checkpoint=path, callbacks=[Interrupting()])
    raised = fit(*pair(), distributed=True, callbacks=[Interrupting(by_signal=False)])
    torch.distributed.barrier()
    again = pair()
    fit(*again, distributed=True, checkpoint=path, resume=True)
    return {
        "raised": torch.tensor(raised.best.stopped == "interrupted"),
        "plain": values(*plain),
        "again": values(*again),
        "interrupted": torch.tensor(stopped.best.stopped == "interrupted"),
        "done": torch.tensor(stopped.history.step[-1]),
    }


def refusals(index):
    """Each rank is told, and none waits for the other."""
    told = []
    cases = [
        lambda: fit(*pair()),
        lambda: fit(*pair(), distributed=True, lr=0.01 * (index + 1)),
        lambda: fit(*pair(), Minibatches(data()[0] + index, data()[1], batch_size=8), distributed=True),
        lambda: fit(*pair(), data(), distributed=True),
        lambda: fit(*pair(), Minibatches(*data(), batch_size=15), distributed=True),
        lambda: fit(*pair(), DataLoader(TensorDataset(*data()), batch_size=8), distributed=True),
        lambda: fit(*pair(), distributed=True, target="latency:0.5@4"),
        lambda: fit(*pair(), distributed=True, callbacks=[Deciding()]),
    ]
    for case in cases:
        try:
            case()
        except (ValueError, RuntimeError) as error:
            told.append(f"{type(error).__name__}: {error}")
        else:
            told.append("nothing")
    return {"told": told}


def main():
    folder, index = Path(sys.argv[1]), int(os.environ["RANK"])
    found = {
        "equal_noise": equal_noise(index),
        "own_noise": own_noise(index),
        "samplers": samplers(index),
        "shrinking": shrinking(index),
        "checkpoints": checkpoints(index, folder),
        "refusals": refusals(index),
    }
    told = found.pop("refusals")["told"]
    flat = {f"{case}.{name}": value for case, kept in found.items() for name, value in kept.items()}
    save_file({name: value.contiguous() for name, value in flat.items()}, folder / f"rank{index}.safetensors")
    (folder / f"rank{index}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
