"""Checkpoints: a run that goes on from one ends as a run without interruption."""

import pytest
import torch

import l0bayes
from l0bayes.files.state_files import read_state, write_state
from l0bayes.infer import Callback, CheckpointError, CheckpointWarning, DivergenceError, Minibatches
from tests.infer.costed import Costed, X, Y, guide_of
from tests.infer.fitting import same_state, state_of


def run(path=None, data=None, steps=24, stop=None, **options):
    """A fit with a target; interrupted by the callback at a step."""
    model = Costed()
    guide = guide_of(model)

    def callback(history):
        if history.step[-1] == stop:
            raise KeyboardInterrupt

    data = Minibatches(X, Y, batch_size=30, seed=2) if data is None else data
    options = {"gate_lr": 0.5, "log_every": 4, "progress": False, "compile": "graph", "seed": 3, **options}
    options.setdefault("target", "units:0.9")
    done = l0bayes.fit(model, guide, data, steps=steps, checkpoint=path, callback=callback, **options)
    return done, state_of(guide)


@pytest.mark.slow
@pytest.mark.parametrize("data", [None, (X, Y)], ids=["minibatches", "tuple"])
@pytest.mark.parametrize("every", [0.0, 1e9])
def test_resuming_gives_the_result_of_an_uninterrupted_run(tmp_path, data, every):
    whole, wanted = run(data=data)
    path = tmp_path / "run.pt"
    part, _ = run(path, data=data, stop=12, checkpoint_every=every)
    assert part.best.stopped == "interrupted"
    rest, reached = run(path, data=data, resume=True)
    assert same_state(wanted, reached)
    assert rest.history == whole.history
    assert rest.best.stopped == "finished"
    assert {file.name for file in tmp_path.iterdir()} == {"run.pt", "run.pt.before", "run.pt.jsonl"}


def test_an_interruption_between_records_goes_back_to_the_record(tmp_path):
    _, wanted = run()

    class Interrupting(Minibatches):
        def epoch(self, index, start=0):
            for batch in range(start, len(self)):
                if index * len(self) + batch == 14:
                    raise KeyboardInterrupt
                yield from [next(super().epoch(index, batch))]

    path = tmp_path / "run.pt"
    part, _ = run(path, data=Interrupting(X, Y, batch_size=30, seed=2))
    assert part.history.step[-1] == 12
    _, reached = run(path, resume=True)
    assert same_state(wanted, reached)


def test_without_a_file_resume_starts_and_a_finished_run_is_given_back(tmp_path):
    path = tmp_path / "run.pt"
    first, state = run(path, resume=True)
    again, same = run(path, resume=True)
    assert same_state(state, same)
    assert again.history == first.history
    assert again.best.stopped == "finished"


def test_without_resume_the_file_is_overwritten(tmp_path):
    path = tmp_path / "run.pt"
    run(path, stop=12)
    done, _ = run(path)
    assert done.history.step[0] == 4
    assert read_state(path)["done"] == 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 28}, "is of another run: its steps is 24, that of this run 28"),
        ({"seed": 4}, "its seed is 3, that of this run 4"),
        ({"target": None}, "its target is 'units:0.9', that of this run None"),
    ],
)
def test_another_runs_checkpoint_is_refused(tmp_path, options, message):
    path = tmp_path / "run.pt"
    run(path)
    with pytest.raises(CheckpointError, match=message):
        run(path, resume=True, **options)


def test_another_guides_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    run(path)
    model = Costed()
    with pytest.raises(CheckpointError, match=r"another model or guide: 2 entries differ, .* and None here"):
        l0bayes.fit(
            model,
            guide_of(model, slab="delta"),
            (X, Y),
            steps=24,
            seed=3,
            gate_lr=0.5,
            target="units:0.9",
            checkpoint=path,
            resume=True,
            progress=False,
            compile="eager",
        )


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="can't be read"):
        run(path, resume=True)
    write_state({"format": 0}, path)
    with pytest.raises(CheckpointError, match="was not written by this version"):
        run(path, resume=True)


def test_a_diverged_run_leaves_its_last_finite_record(tmp_path):
    path = tmp_path / "run.pt"
    model = Costed()
    guide = guide_of(model)

    def spoil(history):
        if history.step[-1] == 8:
            with torch.no_grad():
                getattr(guide.loc, "a/slab").fill_(float("nan"))

    with pytest.raises(DivergenceError):
        l0bayes.fit(
            model, guide, (X, Y), steps=24, gate_lr=0.5, log_every=4, checkpoint=path, callback=spoil,
            progress=False, compile="eager",
        )  # fmt: skip
    state = read_state(path)
    assert state["done"] == 8
    assert all(torch.isfinite(value).all() for value in state["objective"].values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True}, "resume=True needs a file to go on from; give checkpoint"),
        ({"path": "no/such/folder/x.pt"}, "folder that exists; .*no/such/folder does not"),
        ({"checkpoint_every": -1.0}, r"checkpoint_every must not be negative, got -1\.0"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)


# ---- several restarts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_in", [0, 1, 2])
def test_a_fit_of_several_restarts_goes_on_in_the_one_it_was_in(tmp_path, run_in):
    options = {"target": None, "data": (X, Y), "compile": "eager", "restarts": 3}
    whole, wanted = run(**options)
    path, records = tmp_path / "run.pt", []

    class Stopping(Callback):
        def on_record(self, training, record):
            records.append((training.index, record.step))
            if (training.index, record.step) == (run_in, 12):
                raise KeyboardInterrupt

    part, _ = run(path, callbacks=[Stopping()], **options)
    assert len(part.restarts) == run_in + 1
    assert records[-1] == (run_in, 12)
    records.clear()

    class Watching(Callback):
        def on_record(self, training, record):
            records.append((training.index, record.step))

    rest, reached = run(path, callbacks=[Watching()], resume=True, **options)
    assert records[0] == (run_in, 12)  # what had been kept is not done again
    assert same_state(wanted, reached)
    for one, other in zip(rest.restarts, whole.restarts, strict=True):
        assert one.history == other.history
        assert same_state(one.guide.state_dict(), other.guide.state_dict())
        assert (one.seed, one.stopped) == (other.seed, other.stopped)


# ---- damage ----------------------------------------------------------------------------------------------


def cut_short(content):
    return content[: len(content) // 2]


def altered(content):
    place = len(content) - 9
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def emptied(content):
    return b""


@pytest.mark.parametrize("damage", [cut_short, altered, emptied, None])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, damage):
    whole, wanted = run()
    path = tmp_path / "run.pt"
    run(path, stop=12, checkpoint_every=0.0)
    assert read_state(path)["done"] == 12
    assert read_state(tmp_path / "run.pt.before")["done"] == 8
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(CheckpointWarning, match="goes on from the one before it, of step 8"):
        rest, reached = run(path, resume=True)
    assert same_state(wanted, reached)
    assert rest.history == whole.history
    assert read_state(path)["done"] == 24  # and the damaged one has not become the one before
    assert read_state(tmp_path / "run.pt.before")["done"] == 8


def test_two_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "run.pt"
    run(path, checkpoint_every=0.0)
    for file in tmp_path.iterdir():
        file.write_bytes(cut_short(file.read_bytes()))
    with pytest.raises(CheckpointError, match=r"cut short.*nor can the one before be read"):
        run(path, resume=True)


def test_another_runs_state_is_none_to_fall_back_to(tmp_path):
    path = tmp_path / "run.pt"
    run(path, seed=4, checkpoint_every=0.0)
    run(path, stop=4, checkpoint_every=0.0)
    assert {file.name for file in tmp_path.iterdir()} == {"run.pt", "run.pt.jsonl"}


def test_a_full_disk_ends_the_run_with_the_last_good_state(tmp_path):
    """A limit on the size of files stands for a disk without room."""
    resource = pytest.importorskip("resource")
    _, wanted = run()
    path = tmp_path / "run.pt"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Filling(Callback):
        def on_record(self, training, record):
            if record.step == 8:
                resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))

    try:
        with pytest.raises(
            OSError, match=r"step 8 could not be written: File too large; that of step 4 is whole and stays"
        ):
            run(path, checkpoint_every=0.0, callbacks=[Filling()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {file.name for file in tmp_path.iterdir()} == {"run.pt", "run.pt.jsonl"}  # nothing half-written
    assert read_state(path)["done"] == 4
    _, reached = run(path, resume=True)
    assert same_state(wanted, reached)
