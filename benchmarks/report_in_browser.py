"""The report of ``l0bayes select`` in a real browser: on a phone, on paper, and by an accessibility check.

Three reports (ten columns with a factor; 200 columns with names of sixty characters; a table of factors, with
the pictures of sensitivity) are opened in headless Chromium:

* 390 and 1280 points wide nothing may reach beyond the page, but what scrolls in a frame of its own;
* printed on A4, likewise, and the PDF holds every word of the page;
* axe-core finds no violation of any of its rules;
* every line of the table of contents leads to a heading.

It needs ``pip install playwright`` (its own browsers are not needed), a Chromium, ``npm install axe-core``,
and ``pdftotext`` for the words of the PDF:

    python -m benchmarks.report_in_browser --axe node_modules/axe-core/axe.min.js [--out FILE] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.environment import describe

if TYPE_CHECKING:
    import pandas as pd

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTHS = {"phone": 390, "desk": 1280}
PAPER = 688
"""Points between the margins of an A4 page, of 14 mm each."""

# What reaches beyond the window and does not scroll by itself.
_OUTSIDE = """() => {
  const wide = document.documentElement.clientWidth, found = [];
  const scrolls = e => { for (; e; e = e.parentElement) if (e.scrollWidth > e.clientWidth + 1 &&
    ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e !== document.body) return true; };
  for (const e of document.body.querySelectorAll('*')) {
    const box = e.getBoundingClientRect();
    if ((box.right > wide + 1 || box.left < -1) && !scrolls(e.parentElement))
      found.push(`${e.tagName} ${e.className} to ${Math.round(box.right)}: ${e.textContent.slice(0, 40)}`);
  }
  return {page: document.documentElement.scrollWidth, window: wide, found: found.slice(0, 8)};
}"""
_CONTENTS = """() => [...document.querySelectorAll('nav a')].map(a => {
  const to = document.getElementById(a.hash.slice(1)); return [a.textContent, to && to.textContent]; })"""
_AXE = """async () => (await axe.run(document)).violations.map(v =>
  `${v.id} (${v.impact}): ${v.help}; ${v.nodes.length} times, as ${v.nodes[0].html.slice(0, 120)}`)"""


def ten_columns() -> tuple[pd.DataFrame, str, list[str]]:
    """Table, formula and options: the diabetes data, with one factor."""
    from sklearn.datasets import load_diabetes

    table = load_diabetes(as_frame=True, scaled=False).frame
    table["sex"] = table["sex"].map({1.0: "a", 2.0: "b"})
    return table, "target ~ .", []


def wide_table() -> tuple[pd.DataFrame, str, list[str]]:
    """200 columns with names of sixty characters, of which pairs say the same."""
    import pandas as pd

    random = np.random.default_rng(0)
    x = random.normal(size=(150, 200))
    x[:, 1::2] = x[:, ::2] + 0.05 * x[:, 1::2]
    names = [f"concentration_in_the_serum_at_the_second_visit_of_protein_{k:02x}" for k in range(200)]
    assert {len(name) for name in names} == {60}
    table = pd.DataFrame(x, columns=names)
    table["length_of_the_stay"] = x[:, 0] - x[:, 5] + 0.7 * x[:, 40] + random.normal(size=150)
    return table, "length_of_the_stay ~ .", []


def factors() -> tuple[pd.DataFrame, str, list[str]]:
    """Factors with long levels, a binary response, and the picture of sensitivity."""
    import pandas as pd

    random = np.random.default_rng(0)
    places = ["the clinic at the northern end of the town", "the one by the river", "any other place of care"]
    table = pd.DataFrame(
        {
            "where_the_patient_was_first_seen": random.choice(places, 300),
            "smokes": random.choice(["yes", "no", "not any more"], 300),
            "age": random.normal(50.0, 9.0, 300).round(1),
            "weight": random.normal(70.0, 9.0, 300).round(1),
        }
    )
    odds = 0.08 * (table["age"] - 50.0) + 0.9 * (table["smokes"] == "yes")
    table["ill"] = random.random(300) < 1.0 / (1.0 + np.exp(-odds))
    return table, "ill ~ .", ["--likelihood", "bernoulli", "--sensitivity"]


CASES: dict[str, Callable[[], tuple[pd.DataFrame, str, list[str]]]] = {
    "ten columns": ten_columns,
    "200 columns, names of 60": wide_table,
    "factors": factors,
}


def write_report(name: str, folder: Path) -> Path:
    """Run the command on a case.

    Args:
        name: The case.
        folder: An empty folder.

    Returns:
        The page.
    """
    table, formula, options = CASES[name]()
    table.to_csv(folder / "table.csv", index=False)
    command = [sys.executable, "-m", "l0bayes", "select", str(folder / "table.csv"), formula, *options]
    subprocess.run([*command, "--out", str(folder / "report")], check=True, capture_output=True)
    return folder / "report" / "report.html"


def find_browser() -> str | None:
    """A Chromium on the path, ``None`` where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def look_at(page: Any, report: Path, folder: Path, axe: Path | None) -> dict[str, Any]:
    """Open a report in a browser's page, and say what is wrong with it.

    Args:
        page: A page of Playwright.
        report: The report.
        folder: Where pictures and the PDF are written.
        axe: axe-core's ``axe.min.js``, ``None`` to go without.

    Returns:
        By width what reaches outside; of the PDF the pages and the words that are missing; axe's violations;
        lines of the contents that lead nowhere.
    """
    found: dict[str, Any] = {"outside": {}, "axe": {}}
    for name, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(report.resolve().as_uri())
        found["outside"][name] = page.evaluate(_OUTSIDE)
        page.screenshot(path=str(folder / f"{name}.png"), full_page=True)
        if axe is not None:
            page.add_script_tag(path=str(axe))
            found["axe"][name] = page.evaluate(_AXE)
    found["contents"] = [line for line, heading in page.evaluate(_CONTENTS) if line != heading]
    words = page.evaluate("() => document.querySelector('main').innerText")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 1000})
    found["outside"]["paper"] = page.evaluate(_OUTSIDE)
    page.pdf(path=str(folder / "report.pdf"), format="A4", prefer_css_page_size=True, print_background=True)
    page.emulate_media(media="screen")
    found["missing on paper"] = missing_words(words, folder / "report.pdf")
    return found


def missing_words(words: str, pdf: Path) -> list[str] | None:
    """Words that a PDF has less often than they should be there, ``None`` where no ``pdftotext`` is.

    Args:
        words: The text that should be there.
        pdf: The PDF.
    """
    if shutil.which("pdftotext") is None:
        return None
    done = subprocess.run(["pdftotext", "-raw", str(pdf), "-"], capture_output=True, text=True, check=True)
    # A long name is broken over lines, so that letters are compared without what is between them.
    letters = re.sub(r"[\s\u00ad-]", "", done.stdout)
    wanted = Counter(re.sub(r"-", "", word) for word in words.split())
    return sorted(word for word, times in wanted.items() if letters.count(word) < times)


def problems(found: dict[str, Any]) -> list[str]:
    """What is wrong with a report, in words.

    Args:
        found: From :func:`look_at`.
    """
    wrong = [
        f"{name}: {place}" for name, outside in found["outside"].items() for place in outside["found"]
    ] + [
        f"{name}: the page is {outside['page']} wide in a window of {outside['window']}"
        for name, outside in found["outside"].items()
        if outside["page"] > outside["window"]
    ]
    wrong += [f"axe, {name}: {words}" for name, violations in found["axe"].items() for words in violations]
    wrong += [f"contents: {line!r} leads nowhere" for line in found["contents"]]
    return wrong + [f"not on paper: {word}" for word in found["missing on paper"] or ()]


def check(browser: str, axe: Path | None, names: list[str], folder: Path) -> dict[str, list[str]]:
    """Write reports, look at each, and say what is wrong.

    Args:
        browser: The browser's program.
        axe: axe-core's file, ``None`` to go without.
        names: Cases.
        folder: Where everything is left.

    Returns:
        Problems by case.
    """
    from playwright.sync_api import sync_playwright

    found: dict[str, list[str]] = {}
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for name in names:
            place = folder / re.sub(r"\W+", "-", name)
            place.mkdir(parents=True)
            page = chromium.new_page()
            found[name] = problems(look_at(page, write_report(name, place), place, axe))
            page.close()
        chromium.close()
    return found


def main() -> None:
    """Check all cases, and print what is wrong as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--axe", type=Path, help="axe.min.js of axe-core")
    parser.add_argument("--browser", default=find_browser(), help="a Chromium")
    parser.add_argument("--only", choices=list(CASES), action="append", help="a case")
    parser.add_argument("--keep", type=Path, help="leave reports, pictures and PDFs in this new folder")
    parser.add_argument("--out", type=Path, help="write the result there")
    given = parser.parse_args()
    if given.browser is None:
        parser.error(f"no browser is on the path ({', '.join(BROWSERS)}); name one by --browser")
    with tempfile.TemporaryDirectory() as temporary:
        place = given.keep or Path(temporary) / "reports"
        found = check(given.browser, given.axe, given.only or list(CASES), place)
    version = subprocess.run([given.browser, "--version"], capture_output=True, text=True, check=False)
    told = {
        "command": "python -m benchmarks.report_in_browser",
        "browser": version.stdout.strip(),
        "axe": axe_version(given.axe),
        "widths": {**WIDTHS, "paper": PAPER},
        "problems": found,
        **describe(),
    }
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    print(text, end="")
    if given.out is not None:
        given.out.write_text(text, "utf-8")
    sys.exit(any(found.values()))


def axe_version(axe: Path | None) -> str | None:
    """The version that axe-core's file names in its first line.

    Args:
        axe: The file.
    """
    if axe is None:
        return None
    named = re.search(r"axe v([\d.]+)", axe.read_text("utf-8")[:200])
    return named[1] if named else "unknown"


if __name__ == "__main__":
    main()
