"""Damaged files: a clear error or a right answer from every loader. ``benchmarks.fuzz`` runs many more."""

import dataclasses
import random

import pytest

from benchmarks.fuzzing.loaders import LOADERS
from benchmarks.fuzzing.mutations import mutated
from benchmarks.fuzzing.trials import Trials

MANY = {"formula": 500, "idx": 500, "PNG and labels": 500, "settings of a run": 500}


# What h5netcdf left half open it closes later, with an error that nobody can catch.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
@pytest.mark.parametrize("name", LOADERS)
def test_every_damaged_file_is_handled(name, tmp_path):
    count = MANY.get(name, 100)
    outcome = Trials(name, LOADERS[name], tmp_path).run(range(count))
    assert outcome.wrong == []
    assert outcome.loaded + outcome.refused == count
    assert outcome.refused > count // 10


def test_a_fault_of_a_loader_is_seen(tmp_path):
    def careless(folder):
        return (folder / "table.csv").read_bytes()[100]

    loader = dataclasses.replace(LOADERS["table"], load=careless)
    outcome = Trials("table", loader, tmp_path).run(range(60))
    assert any("IndexError" in one for one in outcome.wrong)


def test_damage_is_the_same_in_every_run_and_of_many_kinds():
    raw = bytes(range(200))
    found = [mutated(raw, random.Random(number)) for number in range(300)]
    assert found == [mutated(raw, random.Random(number)) for number in range(300)]
    assert len(set(found)) > 250
    assert len({len(one) for one in found}) > 20
    assert sum(one == raw for one in found) < 15
    assert mutated(b"", random.Random(0)) == b""
