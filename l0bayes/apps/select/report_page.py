r"""One page that holds everything: no other file, no network."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l0bayes.apps.select.report_pictures import CALIBRATION_FILES, PICTURES, SENSITIVITY_FILES
from l0bayes.optional_packages import needed_for

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Template

__all__ = ["page_template", "render_page"]

_MOST_ROWS = 100
_CONTENTS = "<!-- contents -->"


def render_page(summary: pd.DataFrame, models: pd.DataFrame, images: Sequence[Path], **facts: Any) -> str:
    """The page as HTML.

    Args:
        summary: From ``summary()`` of an estimator.
        models: From ``top_models()`` of an estimator.
        images: PNG files to embed, of those in :data:`PICTURES`.
        **facts: What else the template asks for.
    """
    template, captions = page_template(), {**PICTURES, **SENSITIVITY_FILES, **CALIBRATION_FILES}
    rows = [{"name": str(name), **row} for name, row in summary.head(_MOST_ROWS).to_dict("index").items()]
    page = template.render(
        rows=rows,
        rows_in_all=len(summary),
        sampled=bool((summary["pip_mcse"] > 0).any()),
        grouped=bool(summary["group"].duplicated().any()),
        models=models.to_dict("records"),
        images=[
            {"source": _data_uri(image), "caption": captions[image.name], "name": image.stem}
            for image in images
        ],
        **facts,
    )
    return _with_contents(page)


def _with_contents(page: str) -> str:
    """The page with a number for each heading, and links to them where the template leaves a place."""
    titles: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        titles.append(match[1])
        return f'<h2 id="part-{len(titles)}">{match[1]}</h2>'

    page = re.sub(r"<h2>(.*?)</h2>", numbered, page)
    links = "".join(f'<li><a href="#part-{n}">{title}</a></li>' for n, title in enumerate(titles, 1))
    return page.replace(_CONTENTS, f'<nav aria-label="Contents"><ol>{links}</ol></nav>', 1)


def page_template() -> Template:
    """The template of the page, compiled.

    Raises:
        ModuleNotFoundError: If Jinja is missing; says how to install it.
    """
    with needed_for("report.html"):
        from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": _number,
        "share": _share,
        "probability": _probability,
        "set_number": _set_number,
    }
    return environment.from_string((files("l0bayes.apps.select") / "report.html.jinja").read_text("utf-8"))


def _data_uri(image: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode("ascii")


def _number(value: Any) -> str:
    """Three digits, with a true minus sign."""
    number = float(value)
    if math.isnan(number):
        return "–"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    text = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
    return text.replace("-", "−")


def _probability(value: Any) -> str:
    """Two or three decimals, and no 1 or 0 that is none."""
    number = float(value)
    if math.isnan(number):
        return "–"
    if 0.0 < number < 0.001:
        return "< 0.001"
    return "> 0.999" if 0.999 < number < 1.0 else f"{number:.3f}"


def _share(value: Any) -> str:
    return f"{100.0 * float(value):.3g} %"


def _set_number(value: Any) -> str:
    import pandas as pd

    return "" if pd.isna(value) else str(int(value))
