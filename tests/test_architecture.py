"""The house plan, held by tests: who imports whom, what is documented, what an import costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"l0bayes": ROOT / "l0bayes", "l0bayes.models": ROOT / "models", "l0bayes.guides": ROOT / "guides"}

# A room imports rooms of lower floors, and of its own floor where that makes no circle.
FLOOR = {
    "validate": 0,
    "user_warnings": 0,
    "optional_packages": 0,
    "deprecation": 0,
    "files": 0,
    "distributions": 0,
    "likelihoods": 1,
    "gate_families": 1,
    "sites": 1,
    "infer": 2,
    "guides": 3,
    "network": 3,
    "posterior": 3,
    "gradients": 4,
    "selection": 4,
    "models": 4,
    "estimators": 5,
    "plots": 5,
    "apps": 6,
    "testing": 6,
    "runs": 7,
    "command_options": 7,
    "terminal": 7,
    "select_command": 7,
    "saved_selections": 7,
    "predict_command": 7,
    "demo_command": 7,
    "cli": 7,
    "__main__": 8,
    "l0bayes": 8,
}
# Inside a room the same rule holds. A file beside the subrooms is a subroom of one file, by its name.
SUBROOM_FLOOR = {
    "selection": {
        "slab_priors": 0,
        "column_sources": 0,
        "problem": 1,
        "kernels": 2,
        "recognise": 2,
        "wide": 3,
        "engines": 4,
        "summaries": 4,
        "trust": 5,
        "sensitivity": 5,
        "calibrate": 5,
        "pooled_scales": 5,
        "refined_guide": 6,
        "refine": 7,
    },
    "infer": {
        "randomness": 0,
        "evaluation_mode": 0,
        "schedules": 0,
        "flow_caches": 0,
        "guide_combinations": 1,
        "kept_model": 0,
        "model_abilities": 0,
        "model_arguments": 0,
        "argument_faults": 1,
        "first_run": 2,
        "row_parts": 1,
        "trained_parameters": 0,
        "whole_plates": 0,
        "guide_abilities": 2,
        "graphs": 2,
        "ranks": 2,
        "objectives": 3,
        "callbacks": 4,
        "targets": 5,
        "shrink": 6,
        "loop": 7,
    },
    "apps": {"user_files": 0, "writers": 0, "demo": 1, "train": 1, "select": 1},
}
# Beside the floors: data is read by models and whatever stands above them, and imports none of the rooms; but
# it says as all do which package is missing.
DATASETS = "datasets"
READ_BY_DATASETS = {"optional_packages"}
FORBIDDEN = {
    ("posterior", "guides"): "posterior names no guide class, only the gate-law interface",
    ("guides", "models"): "guides name no model",
    ("estimators", "plots"): "pictures are drawn by applications",
}
# Applications are for the command line, and for the face by which programs start runs.
IMPORTED_BY = {
    "apps": {
        "cli",
        "command_options",
        "demo_command",
        "predict_command",
        "select_command",
        "terminal",
        "runs",
        "saved_selections",
    }
}
FORBIDDEN_INSIDE = {
    ("selection", "summaries", "engines"): "summaries see problem, kernels and result, never engines",
    ("selection", "trust", "engines"): "trust sees problem, kernels and result, never engines",
    ("selection", "recognise", "kernels"): "recognition knows problems and likelihoods only",
    ("selection", "recognise", "engines"): "refine alone joins recognition and engines",
}


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
    """``l0bayes.infer.objectives.elbo`` is in the room ``infer``; the package itself is one too."""
    return [*module.split("."), "l0bayes"][1]


def imports_of(module: str, path: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it: also in functions and for type checkers."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    yield from imports_by_call(package, tree)
    for node in ast.walk(tree):
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


IMPORTING = {"import_module", "__import__", "resolve_name"}


def imports_by_call(package: str, tree: ast.Module) -> Iterator[str]:
    """What ``importlib.import_module("...")`` and its like import, by the name that they are called with.

    Of a name that is put together, ``f"l0bayes.{room}"``, the part in front is what is imported.
    """
    called = IMPORTING | {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("importlib", "pkgutil")
        for alias in node.names
        if alias.asname and alias.name in IMPORTING
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        given = [*node.args, *(word.value for word in node.keywords if word.arg == "name")]
        if name not in called or not given:
            continue
        first = given[0].values[0] if isinstance(given[0], ast.JoinedStr) else given[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            text = first.value.partition(":")[0].rstrip(".")
            if text.startswith("."):
                above = package.split(".")
                above = above[: len(above) - len(text) + len(text.lstrip(".")) + 1]
                text = ".".join([*above, text.lstrip(".")])
            # resolve_name("l0bayes.apps.demo.run") names what is in a module.
            yield (
                text if text in MODULES or text.rpartition(".")[0] not in MODULES else text.rpartition(".")[0]
            )


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ('import importlib\nimportlib.import_module("l0bayes.apps.demo")', ["l0bayes.apps.demo"]),
        ('from importlib import import_module\nimport_module("l0bayes.apps")', ["l0bayes.apps"]),
        ('from importlib import import_module as load\nload(name="l0bayes.cli")', ["l0bayes.cli"]),
        ('def f():\n    return __import__("l0bayes.plots").plots', ["l0bayes.plots"]),
        ('import pkgutil\npkgutil.resolve_name("l0bayes.cli:app")', ["l0bayes.cli"]),
        ('import importlib\nimportlib.import_module("..plots.style", __package__)', ["l0bayes.plots.style"]),
        ('import importlib\nimportlib.import_module(f"l0bayes.{room}")', ["l0bayes"]),
        ("import importlib\nimportlib.import_module(module)", []),
        ('registry.get("l0bayes.apps")', []),
    ],
)
def test_imports_by_a_name_are_seen(tmp_path: Path, code: str, names: list[str]) -> None:
    path = tmp_path / "some.py"
    path.write_text(code)
    found = [name for name in imports_of("l0bayes.testing.some", path) if name.startswith("l0bayes")]
    assert found == names


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


def subroom_of(module: str) -> str | None:
    """``l0bayes.infer.loop.fit`` is in the subroom ``loop``; the face of a room is in none."""
    return [*module.split("."), None, None][2]


def subroom_imports() -> Iterator[tuple[str, str, str, str, str]]:
    """Importing module, room, subroom, imported module and its subroom; imports that stay in the room."""
    for module, path in MODULES.items():
        room, subroom = room_of(module), subroom_of(module)
        for name in imports_of(module, path):
            target = subroom_of(name)
            if (
                name in MODULES
                and room in SUBROOM_FLOOR
                and room_of(name) == room
                and subroom
                and target
                and subroom != target
            ):
                yield module, room, subroom, name, target


def test_every_subroom_is_in_the_plan() -> None:
    found = {(room_of(m), subroom_of(m)) for m in MODULES if room_of(m) in SUBROOM_FLOOR and subroom_of(m)}
    assert found == {(room, subroom) for room, inside in SUBROOM_FLOOR.items() for subroom in inside}


def test_nothing_inside_a_room_is_imported_upward() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, room, subroom, name, target in subroom_imports()
        if SUBROOM_FLOOR[room][target] >= SUBROOM_FLOOR[room][subroom]
    ]
    assert not wrong


def test_forbidden_acquaintances_inside_rooms() -> None:
    wrong = [
        f"{module} imports {name}: {FORBIDDEN_INSIDE[room, subroom, target]}"
        for module, room, subroom, name, target in subroom_imports()
        if (room, subroom, target) in FORBIDDEN_INSIDE
    ]
    assert not wrong


def test_rooms_do_not_import_the_faces_of_their_own_room() -> None:
    """A face hands names on to others; a file that imports its own one depends on all of the room."""
    wrong = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        for name in imports_of(module, path)
        if path.name != "__init__.py" and name == f"l0bayes.{room_of(module)}" and room_of(module) in FLOOR
    ]
    assert not wrong


def test_file_names_are_unique() -> None:
    """Whoever reads a traceback or an import knows the room from the name of the file."""
    names: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        if path.name != "__init__.py":
            names.setdefault(path.name, []).append(module)
    assert not [modules for modules in names.values() if len(modules) > 1]


def test_rooms_are_small() -> None:
    """A module of at most 300 lines, a folder of at most a tenth of all."""
    lines = {path: len(path.read_text().splitlines()) for path in MODULES.values()}
    folders: dict[Path, int] = {}
    for path, count in lines.items():
        folders[path.parent] = folders.get(path.parent, 0) + count
    assert not [path.name for path, count in lines.items() if count > 300]
    assert max(folders.values()) <= sum(lines.values()) / 10


def test_warnings_are_issued_in_one_place() -> None:
    """Where a warning points is for ``warn_user`` to find, not a fixed number of frames."""
    found = [name for name, path in MODULES.items() if "warnings.warn(" in path.read_text()]
    assert found == []


def test_no_underscored_name_is_imported_from_another_file() -> None:
    wrong = {
        module.rpartition(".")[2]
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("l0bayes")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    }
    assert not wrong


def test_the_wheel_lists_every_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(m for m, path in MODULES.items() if path.name == "__init__.py")


def test_rooms_are_reachable_after_import_l0bayes() -> None:
    """All but applications and the command line, which are for the terminal, and what only developers use."""
    on_the_terminal = {
        "__main__",
        "apps",
        "cli",
        "terminal",
        "command_options",
        "select_command",
        "predict_command",
        "deprecation",  # what is deprecated imports it
        "demo_command",
    }
    rooms = sorted({room_of(m) for m in MODULES} - {*on_the_terminal, "l0bayes"})
    code = f"import l0bayes; print([room for room in {rooms} if not hasattr(l0bayes, room)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_datasets_stand_apart() -> None:
    wrong = [
        f"{module} imports {target}"
        for module, room, target in room_imports()
        if (room == DATASETS and target not in READ_BY_DATASETS)
        or (target == DATASETS and FLOOR[room] < FLOOR["models"])
    ]
    assert not wrong


def test_forbidden_acquaintances() -> None:
    wrong = [
        f"{m} imports {target}: {FORBIDDEN[room, target]}"
        for m, room, target in room_imports()
        if (room, target) in FORBIDDEN
    ]
    assert not wrong


def not_for(imports: Iterable[tuple[str, str, str]]) -> list[str]:
    """Imports of rooms that only some may import, by others."""
    return [
        f"{module} imports {target}"
        for module, room, target in imports
        if room not in IMPORTED_BY.get(target, {room})
    ]


def test_applications_are_imported_by_the_command_line_alone() -> None:
    assert not not_for(room_imports())


def test_an_application_in_another_room_would_be_found() -> None:
    imports = [("l0bayes.testing.some", "testing", "apps"), ("l0bayes.cli", "cli", "apps")]
    assert not_for([*imports, ("l0bayes", "l0bayes", "apps")]) == [
        "l0bayes.testing.some imports apps",
        "l0bayes imports apps",
    ]


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
