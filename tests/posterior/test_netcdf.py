"""Posteriors in files: whole or not there, read back the same, and tried before anything is fitted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import l0bayes
from l0bayes.posterior import netcdf
from l0bayes.posterior.arviz_data import group_of, wrap_groups
from l0bayes.posterior.netcdf import read_netcdf, try_netcdf, write_netcdf
from tests.posterior import fits

FILES = r"'l0bayes\[files\]'"
GROUPS = (
    "posterior",
    "posterior_predictive",
    "log_likelihood",
    "observed_data",
    "constant_data",
    "sample_stats",
)


def small(value: float = 1.0) -> object:
    dataset = xr.Dataset({"beta": (("chain", "draw"), np.full((1, 3), value))}, attrs={"seed": 4})
    return wrap_groups({"posterior": dataset}, {"seed": 4})


def unwritable() -> object:
    """The second group cannot be written: NetCDF knows no objects as attributes."""
    bad = xr.Dataset({"y": ("row", [1.0])}, attrs={"bad": object()})
    good = xr.Dataset({"beta": (("chain", "draw"), np.zeros((1, 3)))})
    return wrap_groups({"posterior": good, "observed_data": bad}, {"seed": 4})


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    written = fits.idata("plain")
    read = read_netcdf(write_netcdf(written, tmp_path / "posterior.nc"))
    for group in GROUPS:
        assert group_of(read, group).identical(group_of(written, group))
    assert read.attrs == written.attrs
    assert type(read) is type(written)


@pytest.mark.parametrize("layout", ["groups", "tree"])
def test_files_of_either_arviz_are_read(layout: str, tmp_path: Path) -> None:
    """0.x writes a group after the other, 1.x a tree."""
    written, file = fits.idata("plain"), tmp_path / "posterior.nc"
    groups = {name: group_of(written, name) for name in GROUPS}
    if layout == "tree":
        xr.DataTree.from_dict({f"/{name}": ds for name, ds in groups.items()}).to_netcdf(
            file, engine="h5netcdf"
        )
    else:
        xr.Dataset(attrs=written.attrs).to_netcdf(file, mode="w", engine="h5netcdf", group="/")
        for name, dataset in groups.items():
            dataset.to_netcdf(file, mode="a", engine="h5netcdf", group=f"//{name}")
    read = read_netcdf(file)
    for name in GROUPS:
        assert group_of(read, name).identical(groups[name])
    pd.testing.assert_frame_equal(l0bayes.gate_table(read), l0bayes.gate_table(written))


def test_numbers_are_compressed(tmp_path: Path) -> None:
    dataset = xr.Dataset({"beta": (("chain", "draw"), np.zeros((1, 100_000)))})
    file = write_netcdf(wrap_groups({"posterior": dataset}, {}), tmp_path / "posterior.nc")
    assert file.stat().st_size < 100_000


def test_a_file_that_was_read_can_be_replaced(tmp_path: Path) -> None:
    file = write_netcdf(small(1.0), tmp_path / "posterior.nc")
    first = read_netcdf(file)
    second = read_netcdf(write_netcdf(small(2.0), file))
    assert float(group_of(first, "posterior")["beta"][0, 0]) == 1.0
    assert float(group_of(second, "posterior")["beta"][0, 0]) == 2.0


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    file = write_netcdf(small(), tmp_path / "posterior.nc")
    before = file.read_bytes()
    with pytest.raises(TypeError):
        write_netcdf(unwritable(), file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["posterior.nc"]


def test_a_try_leaves_nothing(tmp_path: Path) -> None:
    try_netcdf(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", netcdf.PACKAGES)
def test_what_is_missing_is_named_with_what_installs_it(package, tmp_path, monkeypatch) -> None:
    posterior = small()
    monkeypatch.setitem(sys.modules, package, None)
    of_extra = package in ("h5netcdf", "h5py")
    message = rf"needs {package}, which is not installed: pip install {FILES if of_extra else package}"
    for work in (
        lambda: try_netcdf(tmp_path),
        lambda: write_netcdf(posterior, tmp_path / "posterior.nc"),
        lambda: read_netcdf(tmp_path / "posterior.nc"),
    ):
        with pytest.raises(ModuleNotFoundError, match=message):
            work()
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_broken_is_no_missing_one(tmp_path, monkeypatch) -> None:
    def broken(name: str) -> None:
        if name == "h5py":
            raise ImportError("libhdf5.so: cannot open shared object file", name="h5py._errors")

    monkeypatch.setattr(netcdf, "import_module", broken)
    with pytest.raises(
        ModuleNotFoundError, match=r"h5py, which cannot be imported \(libhdf5.*--force-reinstall h5py"
    ):
        try_netcdf(tmp_path)


def test_what_a_package_needs_itself_is_named(tmp_path, monkeypatch) -> None:
    def incomplete(name: str) -> None:
        if name == "h5netcdf":
            raise ModuleNotFoundError("No module named 'packaging'", name="packaging")

    monkeypatch.setattr(netcdf, "import_module", incomplete)
    with pytest.raises(
        ModuleNotFoundError, match="needs packaging, which is not installed: pip install packaging"
    ):
        try_netcdf(tmp_path)


def test_packages_at_odds_are_named_with_their_versions(tmp_path, monkeypatch) -> None:
    def fails(posterior: object, file: Path) -> None:
        raise AttributeError("module 'h5py' has no attribute 'vlen_dtype'")

    monkeypatch.setattr(netcdf, "save_groups", fails)
    with pytest.raises(
        OSError, match=r"AttributeError: module 'h5py'.*arviz \d.*h5py \d.*pip install --upgrade"
    ):
        try_netcdf(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_comes_back_different_is_found(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(netcdf, "load_groups", lambda file: small())
    with pytest.raises(OSError, match="does not come back as it was written"):
        try_netcdf(tmp_path)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        try_netcdf(tmp_path / "nowhere")


def test_the_gate_table_of_a_file(tmp_path: Path) -> None:
    file = write_netcdf(fits.idata("plain"), tmp_path / "posterior.nc")
    assert l0bayes.gate_table(read_netcdf(file)).equals(l0bayes.gate_table(fits.idata("plain")))
