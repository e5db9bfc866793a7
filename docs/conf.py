"""Sphinx configuration: ``make docs`` builds docs/ into docs/_build/html, without the network."""

import json
from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.util.nodes import make_refnode

project = "l0bayes"
author = "The l0bayes developers"
copyright = "The l0bayes developers"
release = version = version_of("l0bayes")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build"]

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
results = Path(__file__).parent.parent / "benchmarks" / "results"
myst_substitutions = {file.stem: json.loads(file.read_text("utf-8")) for file in results.glob("*.json")}

html_theme = "furo"
html_title = "l0bayes"
html_static_path = ["_static"]
html_show_sphinx = False


def resolve_alias(app, env, node, contnode):
    """Link ``l0bayes.fit`` to ``l0bayes.infer.fit``: a name is documented in its room."""
    package, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or package != "l0bayes":
        return None
    objects = env.get_domain("py").objects
    for room in ("sites", "infer", "posterior"):
        entry = objects.get(f"l0bayes.{room}.{name}")
        if entry is not None:
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode)
    return None


def setup(app):
    app.connect("missing-reference", resolve_alias)
