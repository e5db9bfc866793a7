"""Sphinx configuration: ``make docs`` builds docs/ into docs/_build/html, without the network."""

import json
import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.util.nodes import make_refnode

here = Path(__file__).parent
sys.path.insert(0, str(here))

from baseline_rows import baseline_rows  # noqa: E402 - it stands beside this file
from gallery_pages import write_gallery  # noqa: E402
from latency_rows import latency_rows  # noqa: E402
from long_rows import long_rows  # noqa: E402
from mnist_rows import mnist_rows  # noqa: E402
from registry_rows import registry_rows  # noqa: E402
from relaxation_rows import relaxation_rows  # noqa: E402
from scale_rows import scale_rows  # noqa: E402
from selection_rows import selection_rows  # noqa: E402
from training_rows import training_rows  # noqa: E402

project = "l0bayes"
author = "The l0bayes developers"
copyright = "The l0bayes developers"
release = version = version_of("l0bayes")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
exclude_patterns = [
    "_build",
    "baseline_rows.py",
    "examples/*.ipynb",
    "gallery_pages.py",
    "latency_rows.py",
    "long_rows.py",
    "mnist_rows.py",
    "registry_rows.py",
    "relaxation_rows.py",
    "selection_rows.py",
    "training_rows.py",
]

myst_enable_extensions = ["deflist", "dollarmath", "substitution"]
myst_heading_anchors = 3

# Members come from each room's __all__; types are in the signatures.
autodoc_default_options = {"members": True, "special-members": "__call__", "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
python_maximum_signature_line_length = 80

# Measured figures are written in the pages as {{ step.delta_ratio }} and read from the results.
results = here.parent / "benchmarks" / "results"
myst_substitutions = {
    file.stem: json.loads(file.read_text("utf-8"))
    for file in results.glob("*.json")
    if not file.stem.startswith(("mnist-", "relaxations-", "selection-", "training-"))
}
myst_substitutions["baselines"] = baseline_rows(results)
myst_substitutions["latency"] = latency_rows(results)
myst_substitutions["long"] = long_rows(results)
myst_substitutions["mnist"] = mnist_rows(results)
myst_substitutions["registries"] = registry_rows()
myst_substitutions["relaxations"] = relaxation_rows(results)
myst_substitutions["scale"] = scale_rows(results)
myst_substitutions["selection"] = selection_rows(results)
myst_substitutions["training"] = training_rows(results)

# Pages with {code-cell} blocks are run when they are built. A cache would be keyed on the page alone, and
# show what an older library printed.
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
os.environ.setdefault("L0BAYES_DATA", str(here.parent.parent / "shared" / "data"))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # tqdm's, of widgets that a page lacks

html_theme = "furo"
html_title = "l0bayes"
html_static_path = ["_static"]
html_show_sphinx = False


def resolve_alias(app, env, node, contnode):
    """Link ``l0bayes.fit`` to ``l0bayes.infer.loop.fit``: a name is documented in its room."""
    package, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or package != "l0bayes":
        return None
    objects = env.get_domain("py").objects
    for room in ("sites", "infer", "posterior", "gradients"):
        entry = objects.get(f"l0bayes.{room}.{name}")
        if entry is not None:
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode)
    return None


def run_again_with_the_library(app, docname, source):
    """A page that is run depends on the library's code."""
    if "{code-cell}" in source[0]:
        for room in ("l0bayes", "models", "guides"):
            for file in (here.parent / room).rglob("*.py"):
                app.env.note_dependency(str(file))


def make_gallery(app):
    """Run the examples before any page is read."""
    write_gallery(run=os.environ.get("L0BAYES_GALLERY") != "0")


def setup(app):
    app.connect("builder-inited", make_gallery)
    app.connect("source-read", run_again_with_the_library)
    app.connect("missing-reference", resolve_alias)
