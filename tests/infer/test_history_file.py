"""The history on disk and in logs: a line a record, whatever ends the run."""

import json
import logging
import sys
from types import ModuleType

import pytest

import l0bayes
from l0bayes.infer import Callback, HistoryFileWarning, TensorBoard
from tests.infer.ranks.launched import data, pair


def fit(**settings):
    keywords = {"steps": 12, "log_every": 3, "progress": False, "compile": "eager", **settings}
    return l0bayes.fit(*pair(), data(), **keywords)


def lines(path):
    return [json.loads(text) for text in path.read_text().splitlines()]


class Stopping(Callback):
    def __init__(self, step):
        self.step = step

    def after_step(self, run):
        if run.done == self.step:
            raise KeyboardInterrupt


def test_a_line_a_record(tmp_path):
    found = fit(history_file=tmp_path / "history.jsonl", restarts=2)
    written = lines(tmp_path / "history.jsonl")
    assert [(line["run"], line["seed"], line["step"]) for line in written] == [
        (run, run, step) for run in (0, 1) for step in (3, 6, 9, 12)
    ]
    for run, restart in enumerate(found.restarts):
        columns = restart.history.by_name()
        mine = [line for line in written if line["run"] == run]
        for name, values in columns.items():
            assert [line[name] for line in mine] == values


def test_it_stands_beside_the_checkpoint_and_a_resumed_run_goes_on_in_it(tmp_path):
    fit(checkpoint=tmp_path / "whole")
    wanted = (tmp_path / "whole.jsonl").read_text()
    path = tmp_path / "run"
    fit(checkpoint=path, callbacks=[Stopping(7)])
    file = tmp_path / "run.jsonl"
    assert [line["step"] for line in lines(file)] == [3, 6]
    with file.open("a") as more:  # lines after the checkpoint, the last cut short
        more.write(json.dumps({"run": 0, "step": 9}) + '\n{"run": 0, "st')
    fit(checkpoint=path, resume=True)
    assert file.read_text() == wanted
    file.unlink()
    fit(checkpoint=path, resume=True)  # it had ended: what is missing is written anew
    assert file.read_text() == wanted


def test_what_is_not_finite_is_null(tmp_path):
    class Nothing(Callback):
        def columns(self, run):
            return {"unknown": float("nan")}

    fit(history_file=tmp_path / "h.jsonl", callbacks=[Nothing()])
    assert {line["unknown"] for line in lines(tmp_path / "h.jsonl")} == {None}


def test_its_folder_must_exist(tmp_path):
    with pytest.raises(ValueError, match="history_file must stand in a folder that exists"):
        fit(history_file=tmp_path / "none" / "h.jsonl")


def test_another_file_is_not_overwritten(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("mine\nand more\n")
    with pytest.raises(ValueError, match="exists and is no history of a fit"):
        fit(history_file=file)
    assert file.read_text() == "mine\nand more\n"


def test_logging_tells_of_starts_ends_and_records(caplog):
    with caplog.at_level(logging.DEBUG, logger="l0bayes"):
        fit()
    told = [(one.levelname, one.getMessage()) for one in caplog.records]
    assert told[0] == ("INFO", "run 1 of 1 begins: 12 steps, seed 0")
    assert told[-1] == ("INFO", "run 1 of 1 finished at step 12")
    assert [level for level, _ in told[1:-1]] == ["DEBUG"] * 4
    assert "ELBO" in told[1][1]


def test_nothing_is_printed(capfd):
    fit()
    assert capfd.readouterr() == ("", "")


def test_tensorboard_gets_every_column(tmp_path, monkeypatch):
    written, closed = [], []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, step):
            written.append((self.folder, name, value, step))

        def close(self):
            closed.append(self.folder)

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    found = fit(callbacks=[TensorBoard(tmp_path / "runs")], restarts=2)
    assert closed == [str(tmp_path / "runs" / f"run-{run}") for run in (0, 1)]
    for folder, restart in zip(closed, found.restarts, strict=True):
        columns = restart.history.by_name()
        steps = columns.pop("step")
        for name, values in columns.items():
            mine = [
                (value, step) for place, column, value, step in written if (place, column) == (folder, name)
            ]
            assert mine == list(zip(values, steps, strict=True))


def test_without_tensorboard_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(ImportError, match=r"l0bayes\[tensorboard\]"):
        TensorBoard("runs")


@pytest.mark.parametrize("room_from", [7, None], ids=["room again", "full to the end"])
def test_a_full_disk_costs_the_file_its_lines_and_no_run_its_end(tmp_path, room_from):
    """A limit on the size of files stands for a disk without room; a half line is taken back."""
    resource = pytest.importorskip("resource")
    whole = fit(history_file=tmp_path / "whole.jsonl")
    path = tmp_path / "h.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    first = len((tmp_path / "whole.jsonl").read_text().splitlines()[0])

    class Filling(Callback):
        def after_step(self, run):
            if run.done in (4, room_from):
                size = before[0] if run.done == room_from else first + 100
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    try:
        with pytest.warns(
            HistoryFileWarning, match=r"h\.jsonl at step 6: File too large.* fit goes on"
        ) as told:
            found = fit(history_file=path, callbacks=[Filling()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len([one for one in told if one.category is HistoryFileWarning]) == 1
    assert found.history == whole.history
    assert [line["step"] for line in lines(path)] == ([3] if room_from is None else [3, 6, 9, 12])
