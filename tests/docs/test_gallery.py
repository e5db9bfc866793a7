"""The gallery: every script is a question and a verdict, and becomes a page and a notebook."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
TOPICS = (
    "genes correlated interactions heredity rare_events counts exposure survival factors hierarchical "
    "changepoints time_series input_gates heads residual_blocks targets calibration concrete_dropout "
    "gradients "
    "likelihood layer bas"
)


def load():
    spec = importlib.util.spec_from_file_location("gallery_pages", DOCS / "gallery_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gallery = load()


def test_every_script_has_its_place():
    assert sorted(gallery.names()) == sorted(path.stem for path in (DOCS / "gallery").glob("*.py"))
    assert len(gallery.names()) >= 20
    every = " ".join(gallery.names())
    assert [topic for topic in TOPICS.split() if topic not in every] == []


@pytest.mark.parametrize("name", gallery.names())
def test_it_is_a_question_a_picture_and_a_verdict(name):
    title, blocks = gallery.read_script(DOCS / "gallery" / f"{name}.py")
    kinds, texts = zip(*blocks, strict=True)
    assert kinds == ("markdown", "code", "markdown")
    assert texts[0].startswith(f"# {title}")
    assert re.search(r"\*\*Question\.\*\*.*\?", texts[0], re.DOTALL)
    assert texts[2].startswith("**Verdict.** ")
    assert "axes" in texts[1] or "left, right" in texts[1]
    assert len(texts[1].splitlines()) <= 60


def test_a_page_with_its_output_its_picture_and_its_downloads(tmp_path):
    gallery.write_page(DOCS / "gallery" / "correlated_columns.py", tmp_path)
    page = (tmp_path / "correlated_columns.md").read_text("utf-8")
    assert "at least one of them 1.000" in page
    assert "![Picture of this example](correlated_columns_0.png)" in page
    assert {file.name for file in tmp_path.iterdir()} == {
        f"correlated_columns{ending}" for ending in (".md", ".py", ".ipynb", "_0.png", "_thumbnail.png")
    }
    book = json.loads((tmp_path / "correlated_columns.ipynb").read_text("utf-8"))
    code = "".join(book["cells"][1]["source"])
    assert (book["nbformat"], [cell["cell_type"] for cell in book["cells"]]) == (
        4,
        ["markdown", "code", "markdown"],
    )
    assert code in (DOCS / "gallery" / "correlated_columns.py").read_text("utf-8")


def test_pages_that_are_not_run_say_so(tmp_path):
    gallery.write_gallery(tmp_path, run=False)
    assert "It was not run." in (tmp_path / "targets.md").read_text("utf-8")
    index = (tmp_path / "index.md").read_text("utf-8")
    for name in gallery.names():
        assert f"({name}_thumbnail.png)" in index
        assert (tmp_path / f"{name}_thumbnail.png").is_file()
