"""The gallery: scripts of ``docs/gallery`` are run, and made into pages and notebooks in ``docs/examples``.

With ``L0BAYES_GALLERY=0`` in the environment they are shown and not run, to look at the other pages.
"""

import contextlib
import io
import json
import logging
import re
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCRIPTS, PAGES = HERE / "gallery", HERE / "examples"
_THUMBNAIL = (320, 220)

# What the pages of the gallery stand under, in this order.
SECTIONS = {
    "Tables": "which_genes correlated_columns interactions_with_heredity false_discoveries prior_sensitivity "
    "calibrated_prior rare_events counts_with_exposure survival outliers from_bas",
    "Models in Pyro": "hierarchical_gates changepoints time_series sparse_factors",
    "Networks": "input_gates targets transformer_heads residual_blocks calibration_of_a_sparse_net "
    "concrete_dropout_beside_l0",
    "Inside": "gradients_compared custom_likelihood custom_layer",
}


def names() -> list[str]:
    """All examples, in the order of the gallery."""
    return [name for section in SECTIONS.values() for name in section.split()]


def read_script(path: Path) -> tuple[str, list[tuple[str, str]]]:
    """Title and blocks of a script in percent format: ``("markdown" | "code", text)``.

    Args:
        path: The script.
    """
    parts = re.split(r"^# %%( \[markdown\])?\n", path.read_text("utf-8"), flags=re.MULTILINE)[1:]
    blocks = []
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        if kind:
            blocks.append(("markdown", re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE)))
        else:
            blocks.append(("code", text.strip()))
    return blocks[0][1].splitlines()[0].removeprefix("# "), blocks


def run_blocks(blocks: list[tuple[str, str]], where: str) -> tuple[list[str], list[Any]]:
    """What each block of code prints, and the figures that are left open.

    Args:
        blocks: From :func:`read_script`.
        where: Name of the script in tracebacks.
    """
    import matplotlib.pyplot as plt
    import pyro
    import torch

    plt.close("all")
    pyro.clear_param_store()
    namespace: dict[str, Any] = {"__name__": "example"}
    printed = []
    logging.disable(logging.INFO)  # which Sphinx would print
    with torch.random.fork_rng(devices=[]), contextlib.chdir(HERE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, text in blocks:
            out = io.StringIO()
            if kind == "code":
                with contextlib.redirect_stdout(out):
                    exec(compile(text, where, "exec"), namespace)
            printed.append(out.getvalue().rstrip())
    logging.disable(logging.NOTSET)
    return printed, [plt.figure(number) for number in plt.get_fignums()]


def write_page(path: Path, pages: Path, run: bool = True) -> float:
    """Run one script and write its page, picture, thumbnail, notebook and the script itself.

    Args:
        path: The script.
        pages: Folder of the pages.
        run: Whether to run it.

    Returns:
        Seconds that it took.
    """
    import matplotlib.pyplot as plt

    started, name = time.perf_counter(), path.stem
    _, blocks = read_script(path)
    printed, figures = run_blocks(blocks, str(path)) if run else ([""] * len(blocks), [])
    lines = []
    for place, ((kind, text), out) in enumerate(zip(blocks, printed, strict=True)):
        if kind == "markdown":
            lines += [text, ""]
            continue
        lines += ["```{code-block} python", text, "```", ""]
        if out:
            lines += ["```{code-block} text", out, "```", ""]
        if place == max(i for i, block in enumerate(blocks) if block[0] == "code"):
            for number, figure in enumerate(figures):
                figure.savefig(pages / f"{name}_{number}.png", dpi=110, bbox_inches="tight")
                lines += [f"![Picture of this example]({name}_{number}.png)", ""]
    seconds = time.perf_counter() - started
    told = f"It ran in {seconds:.0f} s when this page was built." if run else "It was not run."
    files = f"a {{download}}`script <{name}.py>` or a {{download}}`notebook <{name}.ipynb>`"
    lines += [f"{told} Download it as {files}.", ""]
    (pages / f"{name}.md").write_text("\n".join(lines), "utf-8")
    _thumbnail(pages / f"{name}_0.png" if figures else None, pages / f"{name}_thumbnail.png")
    shutil.copyfile(path, pages / f"{name}.py")
    (pages / f"{name}.ipynb").write_text(json.dumps(notebook(blocks), indent=1), "utf-8")
    plt.close("all")
    return seconds


def notebook(blocks: list[tuple[str, str]]) -> dict[str, Any]:
    """The blocks as a Jupyter notebook that has not been run.

    Args:
        blocks: From :func:`read_script`.
    """
    cells = []
    for number, (kind, text) in enumerate(blocks):
        cell = {"cell_type": kind, "id": f"cell{number}", "metadata": {}, "source": text.splitlines(True)}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def write_gallery(pages: Path = PAGES, run: bool = True) -> dict[str, float]:
    """Run every script and write all pages.

    Args:
        pages: Their folder, made anew.
        run: Whether to run the scripts.

    Returns:
        Seconds that each took.
    """
    import matplotlib

    matplotlib.use("Agg")
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    seconds = {name: write_page(SCRIPTS / f"{name}.py", pages, run) for name in names()}
    (pages / "index.md").write_text(index(), "utf-8")
    return seconds


def index() -> str:
    """The page with a thumbnail, a title and a question for each example."""
    lines = [
        "# Gallery",
        "",
        "Each is a question, twenty lines that answer it, and a verdict. All were run when",
        "",
    ]
    lines[-2] += " these pages were built, and can be downloaded as scripts and notebooks."
    for section, inside in SECTIONS.items():
        lines += [f"## {section}", "", "| | |", "|---|---|"]
        for name in inside.split():
            title, blocks = read_script(SCRIPTS / f"{name}.py")
            question = " ".join(blocks[0][1].split("**Question.** ")[1].split())
            lines.append(
                f"| [![{title}]({name}_thumbnail.png)]({name}.md) | [**{title}**]({name}.md)<br>{question} |"
            )
        lines.append("")
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", *names(), "```", ""])


def _thumbnail(picture: Path | None, file: Path) -> None:
    from PIL import Image

    sheet = Image.new("RGB", _THUMBNAIL, "white")
    if picture is not None:
        with Image.open(picture) as image:
            small = image.convert("RGB")
        small.thumbnail(_THUMBNAIL)
        sheet.paste(small, ((_THUMBNAIL[0] - small.width) // 2, (_THUMBNAIL[1] - small.height) // 2))
    sheet.save(file)


if __name__ == "__main__":
    for example, taken in write_gallery().items():
        print(f"{example:32} {taken:6.1f} s")
