"""Files that are written beside: what killed processes left goes, and rights are those of new files."""

import os
import stat
import subprocess
import sys

import pytest
import torch

from l0bayes.files.generations import Generations
from l0bayes.files.tensor_files import write_tensors
from l0bayes.files.whole_files import new_folder, remove_abandoned, staged
from l0bayes.network.saved.folder_contents import replaced_folder


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_rights_are_those_of_new_files(tmp_path, mask):
    before = os.umask(mask)
    try:
        Generations(tmp_path / "state").write({"done": 1})
        write_tensors({"a": torch.ones(2)}, tmp_path / "tensors")
        (tmp_path / "out").mkdir()
        with staged(tmp_path / "out", ["b"]) as folder:
            write_tensors({"a": torch.ones(2)}, folder / "b")
        with replaced_folder(tmp_path / "network") as part:
            write_tensors({"a": torch.ones(2)}, part / "c")
    finally:
        os.umask(before)
    for name in ("state", "tensors", "out/b", "network/c"):
        assert mode(tmp_path / name) == 0o666 & ~mask, name
    assert mode(tmp_path / "network") == 0o777 & ~mask


@pytest.mark.skipif(os.name != "posix", reason="processes can be asked for on POSIX alone")
def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path, dead):
    (tmp_path / f"state.{dead}.part").write_bytes(b"half")
    (tmp_path / f".network.part-{dead}-abc").mkdir()
    (tmp_path / f".network.part-{dead}-abc" / "half").write_bytes(b"half")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".unfinished-{dead}-abc").mkdir()
    mine = [tmp_path / f"state.{os.getpid()}.part", tmp_path / f"other.{dead}.part", tmp_path / "state.part"]
    for file in mine:
        file.write_bytes(b"somebody's")
    live = new_folder(tmp_path, ".network.part-")
    remove_abandoned(tmp_path, "state.", ".part")
    with replaced_folder(tmp_path / "network"):
        pass
    with staged(tmp_path / "out", ["b"]):
        pass
    assert set(tmp_path.iterdir()) == {*mine, live, tmp_path / "network", tmp_path / "out"}
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.skipif(os.name != "posix", reason="processes can be asked for on POSIX alone")
def test_a_state_is_written_where_a_killed_run_had_begun(tmp_path, dead, monkeypatch):
    left = tmp_path / f"run.{dead}.part"
    left.write_bytes(b"half")
    monkeypatch.chdir(tmp_path)
    Generations(tmp_path / "run").write({"done": 1})
    assert not left.exists()
    Generations((tmp_path / "run").relative_to(tmp_path)).write({"done": 2})
    assert Generations(tmp_path / "run").read()[0]["done"] == 2
