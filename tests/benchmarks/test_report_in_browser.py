"""The report in a browser, where there is one; and what the check calls wrong."""

import importlib.util
import json
from pathlib import Path

import pytest

from benchmarks.report_in_browser import CASES, check, find_browser, problems

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {
    "outside": {"phone": {"page": 390, "window": 390, "found": []}},
    "axe": {"phone": []},
    "contents": [],
    "missing on paper": [],
}


@pytest.mark.slow
@pytest.mark.skipif(
    find_browser() is None or importlib.util.find_spec("playwright") is None,
    reason="needs a Chromium and playwright: see benchmarks/report_in_browser.py",
)
def test_a_report_fits_a_phone_and_paper(tmp_path):
    assert check(find_browser(), None, ["ten columns"], tmp_path / "kept") == {"ten columns": []}


def test_nothing_is_wrong_with_a_clean_one():
    assert problems(CLEAN) == []
    assert problems({**CLEAN, "missing on paper": None}) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"outside": {"phone": {"page": 400, "window": 390, "found": []}}}, "the page is 400 wide"),
        ({"outside": {"phone": {"page": 390, "window": 390, "found": ["TABLE to 410"]}}}, "TABLE to 410"),
        ({"axe": {"desk": ["image-alt (critical): x"]}}, "axe, desk: image-alt"),
        ({"contents": ["In short"]}, "'In short' leads nowhere"),
        ({"missing on paper": ["protein_28"]}, "not on paper: protein_28"),
    ],
)
def test_what_is_wrong_is_said(found, said):
    (words,) = problems({**CLEAN, **found})
    assert said in words


def test_the_cases_were_clean_when_they_were_last_looked_at():
    kept = json.loads((ROOT / "benchmarks" / "results" / "report-in-browser.json").read_text("utf-8"))
    assert kept["problems"] == {name: [] for name in CASES}
    assert kept["axe"]
