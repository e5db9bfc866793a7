"""Nothing that is read is unpickled: no file of the package does so, whatever it is asked to open."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What reads or writes pickles, or runs what a file holds.
UNSAFE = re.compile(
    r"\bimport (?:pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal)\b"
    r"|\bfrom (?:pickle|dill|cloudpickle) "
    r"|torch\.load\(|torch\.save\(|torch\.jit\.load\(|torch\.export\.load\(|torch\.package\b"
    r"|read_pickle\(|to_pickle\(|allow_pickle=True|\bpickle\.loads?\(|weights_only=False"
)
# What only looks like it: the name of an error that joblib's own workers raise, and the demo's program, which
# another Python reads as soon as the demo has written it.
HARMLESS = {
    "l0bayes/estimators/many/task_pool.py: from pickle import PicklingError",
    "l0bayes/apps/demo/torch_alone.py: net = torch.export.load(sys.argv[1]).module()",
}
# Suites of tests that users inherit; what they pickle they made themselves.
SUITES = "l0bayes/testing/"


def sources():
    for folder in ("l0bayes", "models", "guides"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(("l0bayes/models", "l0bayes/guides", SUITES)):
                yield name, path.read_text("utf-8")


def test_nothing_is_pickled_or_unpickled():
    found = {
        f"{name}: {line.strip()}"
        for name, text in sources()
        for line in text.splitlines()
        if UNSAFE.search(line)
    }
    assert found == HARMLESS


def test_the_search_finds_what_it_is_for():
    for line in (
        "import pickle",
        "net = torch.load(file, weights_only=False)",
        'torch.save(small, out / "deployed.pt")',
        "program = torch.export.load(path)",
        "numpy.load(path, allow_pickle=True)",
    ):
        assert UNSAFE.search(line), line
    assert not UNSAFE.search("portable_guide, which is copied and pickled")
