"""Every loader of the library, with a small whole file for it to start from."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import l0bayes
from l0bayes.apps.select.formulas import apply_formula
from l0bayes.apps.select.table_files import load_table
from l0bayes.apps.train.run_config import RunConfig
from l0bayes.datasets import mnist, png
from l0bayes.distributions import L0Penalty
from l0bayes.estimators import SpikeSlabRegressor
from l0bayes.guides import AutoHardConcrete
from l0bayes.models import SparseNetwork
from l0bayes.posterior.netcdf import read_netcdf, write_netcdf

__all__ = ["LOADERS", "Loader"]


@dataclass(frozen=True)
class Loader:
    """A loader.

    Attributes:
        write: Writes whole files into a folder.
        load: Loads them, and reads what was loaded.
        files: Names of the files that are damaged.
    """

    write: Callable[[Path], Any]
    load: Callable[[Path], Any]
    files: tuple[str, ...]


def _data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(24, 3, generator=generator)
    return x, (x[:, 0] > 0).long()


def _pair() -> tuple[SparseNetwork, AutoHardConcrete]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    model = SparseNetwork(net, inclusion=L0Penalty(0.1))
    return model, AutoHardConcrete(model, _data())


def _fit(**settings: Any) -> Any:
    return l0bayes.fit(*_pair(), _data(), steps=4, log_every=2, progress=False, compile="eager", **settings)


def _saved_network(folder: Path) -> None:
    model, guide = _pair()
    l0bayes.save_deployed(model.deploy(guide), folder / "net", example=_data()[0][:2])


def _regression() -> SpikeSlabRegressor:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(20, 3))
    return SpikeSlabRegressor().fit(x, x[:, 0] + 0.1 * generator.normal(size=20))


def _predict(folder: Path) -> None:
    found = l0bayes.load_selection(folder / "selection")
    found.predict(np.zeros((2, 3)))


def _table(folder: Path) -> None:
    rows = ["height;weight;group", *(f"{150 + i},5;{50 + i};{'ab'[i % 2]}" for i in range(12))]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")


def _read_table(folder: Path) -> None:
    load_table(folder / "table.csv")


def _formula(folder: Path) -> None:
    (folder / "formula.txt").write_text("weight ~ height * C(group) + I(height**2) + poly(height, 2)")


def _apply_formula(folder: Path) -> None:
    import pandas as pd

    count = np.arange(12.0)
    frame = pd.DataFrame({"height": 150 + count, "weight": 50 + count**1.5, "group": list("ab" * 6)})
    text = (folder / "formula.txt").read_bytes().decode("utf-8", "replace")
    apply_formula(frame, text, "gaussian")


def _images(folder: Path) -> None:
    header = b"\x00\x00\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (5, 28, 28))
    for part, kind in itertools.product(("train", "t10k"), ("images-idx3", "labels-idx1")):
        content = gzip.compress(header + bytes(5 * 28 * 28), mtime=0)
        (folder / f"{part}-{kind}-ubyte.gz").write_bytes(content)


def _read_images(folder: Path) -> None:
    try:
        mnist(folder)
    except ValueError as error:  # small files are none of those that were published
        if "has md5" not in str(error):
            raise


def _png(folder: Path) -> None:
    from PIL import Image

    Image.new("RGB", (1024, 3)).save(folder / "rows.png")
    (folder / "labels.json").write_text("[1, 2, 3]")


def _read_png(folder: Path) -> None:
    png._images(folder, "rows.png", "", False)
    png._labels(folder, "labels.json", "", False, 3)


def _resume(folder: Path) -> None:
    _fit(checkpoint=folder / "run.ckpt", resume=True)


LOADERS: dict[str, Loader] = {
    "checkpoint": Loader(lambda folder: _fit(checkpoint=folder / "run.ckpt"), _resume, ("run.ckpt",)),
    "saved fit": Loader(
        lambda folder: _fit().save(folder / "fit"),
        lambda folder: l0bayes.load_fit(folder / "fit", *_pair(), _data()),
        ("fit/*",),
    ),
    "saved network": Loader(
        _saved_network,
        lambda folder: l0bayes.load_deployed(folder / "net"),
        ("net/architecture.json", "net/certificate.json", "net/weights.safetensors"),
    ),
    "selection": Loader(lambda folder: _regression().save(folder / "selection"), _predict, ("selection/*",)),
    "table": Loader(_table, _read_table, ("table.csv",)),
    "formula": Loader(_formula, _apply_formula, ("formula.txt",)),
    "idx": Loader(_images, _read_images, ("*.gz",)),
    "PNG and labels": Loader(_png, _read_png, ("rows.png", "labels.json")),
    "settings of a run": Loader(
        lambda folder: (folder / "config.json").write_text(RunConfig().to_json()),
        lambda folder: RunConfig.from_json(folder / "config.json"),
        ("config.json",),
    ),
    "netCDF": Loader(
        lambda folder: write_netcdf(_regression().inference_data_, folder / "posterior.nc"),
        lambda folder: read_netcdf(folder / "posterior.nc"),
        ("posterior.nc",),
    ),
}
