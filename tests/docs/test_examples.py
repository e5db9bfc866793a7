"""The examples of README.md and docs/: every Python block runs, and prints what the page says it prints."""

import contextlib
import io
import math
import re
import shlex
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
from typer.testing import CliRunner

from l0bayes.cli import app

ROOT = Path(__file__).resolve().parents[2]
# A block of Python, with the block of plain text that may follow it at once: what it prints.
BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
# On the three pages that are ways in, commands are run as well, where they stand.
STEP = re.compile(r"^```(python|bash)\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
WAYS_IN = sorted((Path(__file__).resolve().parents[2] / "docs").glob("start-*.md"))
# A block that is run when the pages are built, without its options.
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?:---\n.*?^---\n)?(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(?:e[-+]?\d+)?%?")
# Pages on which all models are enumerated, so that numbers are the same everywhere; others train networks.
EXACT = {"start-table.md", "selection.md", "which-prior.md", "trust.md"}


def pages():
    """README.md and the pages of docs/ that hold Python."""
    built = ROOT / "docs" / "_build"
    candidates = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    written = [page for page in candidates if built not in page.parents]
    return [page for page in written if BLOCK.search(page.read_text("utf-8"))]


def built_pages():
    """The pages of docs/ that are run when they are built."""
    return [page for page in sorted((ROOT / "docs").glob("*.md")) if CELL.search(page.read_text("utf-8"))]


def words(text):
    """The words of an output, sorted: numbers, and with them the order of rows, may differ."""
    stripped = (word.strip(",:;") for word in text.split())
    return sorted(word for word in stripped if not NUMBER.fullmatch(word))


def numbers(text):
    """The numbers of an output, sorted, since the order of rows may differ."""
    found = re.findall(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?", text)
    return sorted(float(one.replace(",", "")) for one in found)


def near(one, other):
    """Whether numbers agree as far as draws with a seed do from machine to machine."""
    return len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=0.05, abs_tol=0.02) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.examples
@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    text, namespace = page.read_text("utf-8"), {"__name__": "example"}
    for block in BLOCK.finditer(text):
        code, expected = block.groups()
        line = text.count("\n", 0, block.start(1))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + code, str(page), "exec"), namespace)
        if expected is not None:
            assert words(printed.getvalue()) == words(expected), f"stale output after line {line}"
            if page.name in EXACT:
                assert near(numbers(printed.getvalue()), numbers(expected)), (
                    f"stale numbers after line {line}"
                )
    plt.close("all")


@pytest.mark.examples
@pytest.mark.parametrize("page", WAYS_IN, ids=lambda page: page.stem)
def test_the_commands_of_a_way_in_run_where_they_stand(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    namespace = {"__name__": "example"}
    blocks = [(language, code) for language, code, _ in STEP.findall(page.read_text("utf-8"))]
    last = max((place for place, (language, _) in enumerate(blocks) if language == "bash"), default=-1)
    for language, code in blocks[: last + 1]:
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(code, str(page), "exec"), namespace)
            continue
        for line in code.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "l0bayes"
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, result.output


@pytest.mark.examples
@pytest.mark.parametrize("page", built_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_that_is_run_when_built_runs_without_mnist(page, tmp_path, monkeypatch, capsys):
    """Where the data are missing, on the small digits: the shorter of the two ways, and the rarer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("L0BAYES_DATA", str(tmp_path))
    matplotlib.use("Agg")
    text, namespace = page.read_text("utf-8"), {"__name__": "example"}
    for cell in CELL.finditer(text):
        line = text.count("\n", 0, cell.start(1))
        exec(compile("\n" * line + cell.group(1), str(page), "exec"), namespace)
    plt.close("all")
    assert "MNIST was not found" in capsys.readouterr().out


def test_every_page_with_python_is_found():
    assert built_pages()
    assert ROOT / "README.md" in pages()
    assert len(pages()) > 3


def test_the_reading_of_pages():
    found = BLOCK.findall("```python\na = 1\n```\n\n```text\nA 1\n```\n```bash\nls\n```\n```python\nb\n```\n")
    assert found == [("a = 1\n", "A 1\n"), ("b\n", "")]
    assert CELL.findall("```{code-cell} python\n---\nalt: b\n---\na = 1\n```\n") == ["a = 1\n"]
    assert numbers("s1 0.71, both -0.41\n1,024 x2 1e-3") == [-0.41, 0.001, 0.71, 1024.0]
    assert near([0.41, 100.0], [0.42, 96.0])
    assert not near([0.41], [0.49])
    assert not near([1.0], [1.0, 2.0])
    assert words("bmi: 1.00, -0.3\nage 2,481.7 1e-3 95%") == ["age", "bmi"]
