"""The house plan, held by tests: who imports whom, what is documented, what an import costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"l0bayes": ROOT / "l0bayes", "l0bayes.models": ROOT / "models", "l0bayes.guides": ROOT / "guides"}

# A room imports rooms of lower floors, and of its own floor where that makes no circle.
FLOOR = {
    "distributions": 0,
    "sites": 1,
    "infer": 1,
    "guides": 2,
    "network": 2,
    "posterior": 2,
    "selection": 2,
    "models": 3,
    "gradients": 3,
    "estimators": 4,
    "runs": 4,
    "selection_report": 4,
    "demo": 4,
    "cli": 5,
    "l0bayes": 6,
}
# Beside the floors: data is read by models and whatever stands above them, and knows none of the rooms.
DATASETS = "datasets"
FORBIDDEN = {("posterior", "guides"): "posterior knows no guide class, only the gate-law interface"}


def source_files() -> Iterator[tuple[str, Path]]:
    """Dotted module name and file of every module; the linked folders once, by their real place."""
    for prefix, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder).with_suffix("").parts
            if prefix == "l0bayes" and inside[0] in ("models", "guides"):
                continue
            parts = inside[:-1] if inside[-1] == "__init__" else inside
            yield ".".join((prefix, *parts)), path


MODULES = dict(source_files())


def room_of(module: str) -> str:
    """``l0bayes.infer.elbo`` is in the room ``infer``; the package itself is one too."""
    return [*module.split("."), "l0bayes"][1]


def imports_of(module: str, path: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it: also in functions and for type checkers."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                # "from l0bayes import sites" names a room, "from l0bayes.sites import gate" does not.
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base


def room_imports() -> Iterator[tuple[str, str, str]]:
    """Importing module, its room, and the other room that it imports; rooms of the plan only."""
    for module, path in MODULES.items():
        for name in imports_of(module, path):
            room, target = room_of(module), room_of(name)
            if name.split(".")[0] == "l0bayes" and room != target and {room, target} <= {*FLOOR, DATASETS}:
                yield module, room, target


def test_every_room_is_in_the_plan() -> None:
    assert {room_of(module) for module in MODULES} - {*FLOOR, DATASETS} == set()


def test_nothing_is_imported_upward() -> None:
    wrong = [
        f"{module} imports {target}"
        for module, room, target in room_imports()
        if DATASETS not in (room, target) and FLOOR[target] > FLOOR[room]
    ]
    assert not wrong


def test_datasets_stand_apart() -> None:
    wrong = [
        f"{module} imports {target}"
        for module, room, target in room_imports()
        if room == DATASETS or (target == DATASETS and FLOOR[room] < FLOOR["models"])
    ]
    assert not wrong


def test_forbidden_acquaintances() -> None:
    wrong = [
        f"{m} imports {target}: {FORBIDDEN[room, target]}"
        for m, room, target in room_imports()
        if (room, target) in FORBIDDEN
    ]
    assert not wrong


def test_there_are_no_circles() -> None:
    """Neither between rooms nor between modules, where an import in a function would hide one."""
    rooms: dict[str, set[str]] = {}
    for _, room, target in room_imports():
        rooms.setdefault(room, set()).add(target)
    modules = {m: {n for n in imports_of(m, p) if n in MODULES and n != m} for m, p in MODULES.items()}
    assert find_circle(rooms) is None
    assert find_circle(modules) is None


def find_circle(edges: dict[str, set[str]]) -> list[str] | None:
    """A circle of the graph, or None; depth first."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        for target in sorted(edges.get(node, ())):
            if circle := visit(target, [*path, node]):
                return circle
        done.add(node)
        return None

    return next((circle for node in sorted(edges) if (circle := visit(node, []))), None)


def test_a_circle_would_be_found() -> None:
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}}) is None


def test_models_and_guides_are_not_top_level_packages() -> None:
    """``import models`` works in a checkout and nowhere else."""
    files = {**MODULES}
    for folder in ("tests", "benchmarks", "docs"):
        files |= {str(path): path for path in (ROOT / folder).rglob("*.py")}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for module, path in files.items()
        for name in imports_of(module, path)
        if name.split(".")[0] in ("models", "guides")
    ]
    assert not wrong


def test_importing_l0bayes_is_light() -> None:
    heavy = ["arviz", "pandas", "sklearn", "matplotlib"]
    code = f"import sys, l0bayes; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


# ---- documentation ---------------------------------------------------------------------------------

# torch's convention for distributions, the same everywhere.
UNDOCUMENTED = {"self", "validate_args"}


def is_public(module: str) -> bool:
    return not any(part.startswith("_") for part in module.split("."))


def documented(docstring: str) -> set[str]:
    """Names listed in the sections Args and Attributes."""
    names: set[str] = set()
    for section in re.finditer(r"^(?:Args|Attributes):\n((?:(?:    .*)?\n?)*)", docstring, re.MULTILINE):
        for entry in re.finditer(
            r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:", section[1], re.MULTILINE
        ):
            names |= {name.strip(" *") for name in entry[1].split(",")}
    return names


def parameters(item: object) -> set[str]:
    """Parameters of a function, or of a class that defines its own constructor."""
    if inspect.isclass(item):
        if "__init__" not in vars(item) or getattr(item, "_is_protocol", False):
            return set()
        item = vars(item)["__init__"]
    names = inspect.signature(item).parameters  # type: ignore[arg-type]
    return {name for name in names if not name.startswith("_")} - UNDOCUMENTED


def test_the_reading_of_docstrings() -> None:
    found = documented(
        "Do.\n\nArgs:\n    a: One:\n        two: three.\n    b, c: More.\n    **d: Rest.\n"
        "\nReturns:\n    e: No.\n"
    )
    assert found == {"a", "b", "c", "d"}


@pytest.mark.parametrize("module", [module for module in MODULES if is_public(module)])
def test_the_public_api_is_documented(module: str) -> None:
    """A docstring for every module and every class and function in its ``__all__``, each parameter named."""
    loaded = importlib.import_module(module)
    assert loaded.__doc__, f"{module} has no docstring"
    assert isinstance(getattr(loaded, "__all__", None), list), f"{module} has no __all__"
    missing = []
    for name in loaded.__all__:
        item = getattr(loaded, name)
        if not (inspect.isclass(item) or inspect.isfunction(item)) or item.__module__ != module:
            continue
        docstring = inspect.cleandoc(
            vars(item).get("__doc__") or "" if inspect.isclass(item) else item.__doc__ or ""
        )
        if not docstring:
            missing.append(f"{name} has no docstring")
        missing += [
            f"{name} does not document {left!r}" for left in sorted(parameters(item) - documented(docstring))
        ]
    assert not missing
