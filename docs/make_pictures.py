"""Draw the pictures of README.md and docs/: ``python docs/make_pictures.py``, about two minutes."""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

from l0bayes.apps.demo import run_clinics, run_diabetes, run_digits

STATIC = Path(__file__).parent / "_static"
ACTS = {
    "diabetes": (run_diabetes, "pips.png"),
    "digits": (run_digits, "input_gates.png"),
    "clinics": (run_clinics, "pips.png"),
}


def main() -> None:
    """Run the acts of the demo at seed 0 and keep one picture of each."""
    STATIC.mkdir(exist_ok=True)
    torch.set_num_threads(1)  # as the command line does
    with tempfile.TemporaryDirectory() as folder:
        for name, (act, picture) in ACTS.items():
            act(Path(folder) / name)
            shutil.copyfile(Path(folder) / name / picture, STATIC / f"{name}.png")
    draw_gradients()
    for path in sorted(STATIC.glob("*.png")):
        print(f"{path.name}: {path.stat().st_size // 1000} KB")


def draw_gradients() -> None:
    """The picture at the end of the page on gradients, by running the page."""
    mpl.use("Agg")
    page = (Path(__file__).parent / "reference" / "gradients.md").read_text("utf-8")
    namespace: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        exec(block, namespace)
    namespace["left"].figure.savefig(STATIC / "gradients.png", dpi=110)


if __name__ == "__main__":
    main()
