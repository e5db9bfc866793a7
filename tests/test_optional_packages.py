"""A plain install does what a Pyro user needs, and names the extra for all else."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from l0bayes.optional_packages import EXTRAS, missing_package, need, needed_for
from tests.test_dependencies import brought, normalised

ROOT = Path(__file__).resolve().parent.parent
EXTRA_OF = {name: extra for extra, names in EXTRAS.items() for name in names}


@pytest.mark.parametrize("package", EXTRA_OF)
def test_a_missing_package_comes_with_its_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    wanted = rf"A thing needs .*, which is not installed: pip install 'l0bayes\[{EXTRA_OF[package]}\]'$"
    with pytest.raises(ModuleNotFoundError, match=wanted):
        need("A thing", package)
    with pytest.raises(ModuleNotFoundError, match=wanted), needed_for("A thing"):
        __import__(package)


def test_all_that_is_missing_is_said_at_once(monkeypatch):
    for package in ("sklearn", "rich", "PIL"):
        monkeypatch.setitem(sys.modules, package, None)
    wanted = r"needs scikit-learn, rich and pillow, .* are .*'l0bayes\[cli,plots,select\]'$"
    with pytest.raises(ModuleNotFoundError, match=wanted):
        need("A thing", "sklearn", "json", "rich", "PIL")


def test_other_errors_pass():
    with (
        pytest.raises(ModuleNotFoundError, match="No module named 'nothing_here'"),
        needed_for("A thing"),
    ):
        __import__("nothing_here")
    with pytest.raises(ValueError, match="mine"), needed_for("A thing"):
        raise ValueError("mine")


def test_a_package_outside_of_the_extras_is_named_itself():
    error = ModuleNotFoundError("No module named 'packaging'", name="packaging")
    assert str(missing_package("A thing", "h5netcdf", error)).endswith("pip install packaging")


# ---- a plain install, as one sees it in a new process ------------------------------------------------

# ArviZ 0.x brings Matplotlib and h5netcdf, torch brings Jinja: a plain install has them.
BROUGHT = brought("torch") | brought("pyro-ppl") | brought("arviz")
HIDDEN = {name for name in EXTRA_OF if normalised({"PIL": "pillow"}.get(name, name)) not in BROUGHT}

_HIDE = f"""
import json, sys

class WithoutExtras:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        hidden = name.partition(".")[0] in {sorted(HIDDEN)}
        return None if hidden else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [WithoutExtras(finder) for finder in sys.meta_path]
"""

_BASE = """
import pyro, pyro.distributions as dist, torch
import l0bayes
from l0bayes.guides import AutoHardConcrete

torch.manual_seed(0)
x = torch.randn(40, 3); y = x[:, 0] + 0.1 * torch.randn(40)
def model(x, y):
    beta = l0bayes.spike_and_slab("beta", inclusion=0.3, slab=dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(x @ beta, 0.1), obs=y)

guide = AutoHardConcrete(model, (x, y))
fit = l0bayes.fit(model, guide, (x, y), steps=20)
posterior = l0bayes.to_arviz(fit, num_draws=20)
table = l0bayes.gate_table(posterior)
told = {"rows": len(table)}
"""

FEATURES = {
    "checkpoint": ("l0bayes.fit(model, guide, (x, y), steps=2, checkpoint='state')", "files"),
    "fit.save": ("fit.save('folder')", "files"),
    "netcdf": ("from l0bayes.posterior.netcdf import write_netcdf as w; w(posterior, 'p.nc')", "files"),
    "estimators": ("l0bayes.SpikeSlabRegressor", "select"),
    "load_selection": ("l0bayes.load_selection", "select"),
    "select": ("import l0bayes.apps.select", "select"),
    "plots": ("l0bayes.plots.plot_pips", "plots"),
    "diabetes": ("l0bayes.datasets.diabetes()", "select"),
    "digits": ("l0bayes.datasets.digits()", "select"),
    "save_deployed": ("l0bayes.save_deployed(torch.nn.Linear(3, 2), 'net', example=x)", "files"),
    "onnx": ("from l0bayes.network.saved.network_exports import write_onnx as w; w(0, 0, 0, 0, 0)", "onnx"),
    "tensorboard": ("l0bayes.infer.TensorBoard('runs')", "tensorboard"),
    "suites": ("import l0bayes.testing", "test"),
    "command": ("from l0bayes.__main__ import main; main()", "cli"),
    "demo": ("from l0bayes.apps.demo import run_digits as r; r(None)", "files,plots,select"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    lines = [_HIDE, _BASE]
    for name, (code, _) in FEATURES.items():
        lines.append(
            f"try:\n    exec({code!r})\nexcept ImportError as error:\n    told[{name!r}] = str(error)"
        )
        lines.append(f"except SystemExit as stop:\n    told[{name!r}] = 'status %s' % stop.code")
    lines.append("print(json.dumps(told))")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("plain"),
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}


def test_a_plain_install_fits_and_tabulates(told):
    assert told["rows"] == 3
    assert "training" in told["stderr"]  # the progress bar too


@pytest.mark.parametrize("feature", [name for name in FEATURES if name != "command"])
def test_a_feature_names_its_extra(feature, told):
    wanted = [extra for extra in FEATURES[feature][1].split(",") if HIDDEN & set(EXTRAS[extra])]
    if feature in ("netcdf", "plots") and not HIDDEN & {"matplotlib", "h5py", "h5netcdf"}:
        assert feature not in told  # with ArviZ 0.x it works
    else:
        assert f"pip install 'l0bayes[{','.join(wanted)}]'" in told[feature]


def test_the_command_names_its_extra_in_a_line(told):
    assert told["command"] == "status 2"
    assert (
        "error: The command line needs typer, which is not installed: pip install 'l0bayes[cli]'\n"
        in told["stderr"]
    )


# ---- every import of such a package is under the one error -------------------------------------------

# Whoever imports a module of these folders imports its face first, and that names the extra.
BEHIND_A_FACE = {
    "l0bayes/estimators": {"select"},
    "l0bayes/apps/select": {"select", "tables", "plots"},
    "l0bayes/plots": {"plots"},
    "l0bayes/testing": {"test"},
}
# The command line is imported by __main__, which does.
BEHIND_MAIN = {"cli", "terminal", "command_options"}
# These call need() or look for the package before.
ASK_BEFORE = {("network_exports", "onnxruntime")}


def bare_imports(path: Path) -> set[str]:
    """Packages of extras that a file imports outside of ``with needed_for`` and of what types alone see."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.With) and "needed_for" in ast.unparse(node.items[0]):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found & set(EXTRA_OF)


def test_every_import_of_an_extra_is_under_the_one_error():
    wrong = []
    for folder in ("l0bayes", "models", "guides"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT).as_posix()
            for package in bare_imports(path):
                faces = [extras for face, extras in BEHIND_A_FACE.items() if inside.startswith(face + "/")]
                behind_main = EXTRA_OF[package] == "cli" and (
                    path.stem in BEHIND_MAIN or path.stem.endswith("_command")
                )
                if not (
                    any(EXTRA_OF[package] in extras for extras in faces)
                    or behind_main
                    or (path.stem, package) in ASK_BEFORE
                ):
                    wrong.append(f"{inside} imports {package}")
    assert wrong == []
