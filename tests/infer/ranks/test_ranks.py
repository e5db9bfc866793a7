"""Several processes train one guide: as one process would with the whole batch, and alike on all of them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, TensorDataset

import l0bayes
from l0bayes.infer import Minibatches
from l0bayes.infer.loop.batch_stream import endless_batches, num_examples
from l0bayes.infer.loop.shared_data import counts_all, share_of
from l0bayes.infer.ranks.launch import ranks_of, refuse_wrapped
from l0bayes.infer.ranks.ranks import Ranks
from tests.infer.ranks.launched import BATCH, ROWS, STEPS, data, fit, pair, values

ROOT = Path(__file__).resolve().parents[3]


def launch(folder):
    """Both ranks' results."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.infer.ranks.launched", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    files = [(folder / f"rank{index}.safetensors", folder / f"rank{index}.json") for index in range(2)]
    return [{**load_file(tensors), "told": json.loads(told.read_text())} for tensors, told in files]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return launch(tmp_path_factory.mktemp("ranks"))


@pytest.mark.slow
@pytest.mark.xdist_group("ranks")
class TestTwoProcesses:
    def test_at_equal_noise_they_are_one_process_with_the_whole_batch(self, ranks, monkeypatch):
        def alike(self, seed, step):
            torch.manual_seed(1000 * seed + step)

        monkeypatch.setattr(Ranks, "begin_step", alike)
        model, guide = pair(seed=0)
        alone = fit(model, guide)
        for rank in ranks:
            torch.testing.assert_close(rank["equal_noise.values"], values(model, guide), rtol=1e-5, atol=1e-6)
            elbo = torch.tensor(alone.history.elbo)
            torch.testing.assert_close(rank["equal_noise.elbo"], elbo, rtol=1e-5, atol=1e-4)

    @pytest.mark.parametrize("case", ["equal_noise", "own_noise", "samplers", "shrinking", "checkpoints"])
    def test_all_ranks_end_alike(self, ranks, case):
        first, second = ranks
        names = [name for name in first if name.startswith(f"{case}.") and name != "samplers.seen"]
        assert names
        for name in names:
            assert torch.equal(first[name], second[name]), name

    def test_noise_of_their_own_is_another_run(self, ranks):
        assert not torch.equal(ranks[0]["own_noise.values"], ranks[0]["equal_noise.values"])

    def test_samplers_share_out_every_epoch_in_another_order(self, ranks):
        first, second = (rank["samplers.seen"] for rank in ranks)
        everything = data()[0][:, 0].sort().values
        epochs = []
        for begin in (0, 4):  # four steps an epoch
            rows = torch.cat([first[begin : begin + 4].flatten(), second[begin : begin + 4].flatten()])
            torch.testing.assert_close(rows.sort().values, everything)
            epochs.append(rows)
        assert not torch.equal(*epochs)
        assert int(ranks[0]["samplers.num_data"]) == ROWS

    def test_interrupting_one_ends_all_at_one_step_and_resuming_loses_nothing(self, ranks):
        for rank in ranks:
            assert bool(rank["checkpoints.interrupted"])
            assert bool(rank["checkpoints.raised"])
            assert int(rank["checkpoints.done"]) == 4  # the last record before step 8
            assert torch.equal(rank["checkpoints.plain"], rank["checkpoints.again"])

    def test_what_cannot_work_is_said_by_every_rank(self, ranks):
        wanted = [
            "one of 2 processes.*distributed=True",
            "same lr: rank 0: '0.01'; rank 1: '0.02'",
            "same Minibatches: rank 0.*rank 1",
            "given as a whole.*Minibatches",
            "no multiple of the 2 ranks",
            "DistributedSampler",
            "latency.*macs",
            "other parameters at step 4",
        ]
        for rank in ranks:
            assert len(rank["told"]) == len(wanted)
            for told, pattern in zip(rank["told"], wanted, strict=True):
                assert re.search(pattern, told), told


class Shares(Ranks):
    def __init__(self, index, count):
        self.index, self.count = index, count


def test_shares_of_minibatches_are_the_batches():
    whole = Minibatches(*data(), batch_size=BATCH, seed=3)
    parts = [share_of(whole, Shares(index, 4)) for index in range(4)]
    assert [part.rows for part in parts] == [BATCH // 4] * 4
    assert all(len(part) == len(whole) and part.num_data == ROWS and counts_all(part) for part in parts)
    for epoch in (0, 1):
        shares = zip(*(part.epoch(epoch) for part in parts), strict=True)
        for batch, share in zip(whole.epoch(epoch), shares, strict=True):
            for position, tensor in enumerate(batch):
                assert torch.equal(tensor, torch.cat([one[position] for one in share]))


def test_transforms_of_shares_draw_their_own():
    def noise(rows, generator):
        return rows + torch.randn(rows.shape, generator=generator)

    whole = Minibatches(torch.zeros(8, 3), batch_size=8, transform=noise)
    alone = next(whole.epoch(0))[0]
    first, second = (next(share_of(whole, Shares(index, 2)).epoch(0))[0] for index in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(alone[:4], first)
    assert torch.equal(share_of(whole, Ranks()).tensors[0], whole.tensors[0])


def test_loaders_of_shares():
    dataset = TensorDataset(*data())
    sampler = DistributedSampler(dataset, num_replicas=2, rank=1)
    loader = DataLoader(dataset, batch_size=8, sampler=sampler)
    assert share_of(loader, Shares(1, 2)) is loader
    assert num_examples(loader) == ROWS
    assert counts_all(loader)
    with pytest.raises(ValueError, match="rank 1 of 2; this is rank 0 of 2"):
        share_of(loader, Shares(0, 2))
    orders = []
    stream = endless_batches(loader)
    for _ in range(2):
        orders.append(torch.cat([next(stream)[0][:, 0] for _ in range(len(loader))]))
    assert not torch.equal(*orders)

    resumed = endless_batches(loader, done=len(loader))
    assert torch.equal(torch.cat([next(resumed)[0][:, 0] for _ in range(len(loader))]), orders[1])


def test_streams_are_the_ranks_own():
    class Rows(IterableDataset):
        def __iter__(self):
            return iter([(torch.zeros(3), torch.zeros(()))] * 4)

    loader = DataLoader(Rows(), batch_size=2)
    assert share_of(loader, Shares(1, 2)) is loader
    batches = [data()] * 3
    assert share_of(batches, Shares(1, 2)) is batches
    assert not counts_all(batches)


def test_a_launcher_must_be_there(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    model, guide = pair()
    with pytest.raises(ValueError, match="torchrun"):
        fit(model, guide, distributed=True)


def test_processes_of_their_own_are_asked_for(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    model, guide = pair()
    with pytest.raises(ValueError, match=r"one of 2 processes.*distributed=False"):
        fit(model, guide)
    assert fit(model, guide, distributed=False).history.step[-1] == STEPS
    assert ranks_of(False, model).count == 1


@pytest.mark.parametrize("which", ["model", "guide"])
def test_wrapped_modules_are_refused(which):
    model, guide = pair()
    if which == "guide":
        guide = nn.DataParallel(guide)
    else:
        model.add_module("wrapped", nn.DataParallel(nn.Linear(1, 1)))
    with pytest.raises(ValueError, match=f"the {which} holds a DataParallel.*torchrun.*distributed=True"):
        l0bayes.fit(model, guide, data())
    refuse_wrapped(pair()[0], pair()[1])


def test_one_process_of_a_group_of_one(tmp_path):
    """A launcher with a single process trains as without it, but for its rule of the noise."""
    script = (
        "import sys; from tests.infer.ranks.launched import fit, pair; import torch.distributed as d; "
        f"d.init_process_group('gloo', init_method='file://{tmp_path}/group', rank=0, world_size=1); "
        "found = fit(*pair(), distributed=True); print(found.history.step[-1])"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == [str(STEPS)], done.stderr[-2000:]
