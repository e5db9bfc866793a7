"""Draw the pictures of README.md and docs/index.md: ``python docs/make_pictures.py``, about a minute."""

import shutil
import tempfile
from pathlib import Path

import torch

from l0bayes.demo import run_diabetes, run_digits

STATIC = Path(__file__).parent / "_static"


def main() -> None:
    """Run both acts of the demo at seed 0 and keep one picture of each."""
    STATIC.mkdir(exist_ok=True)
    torch.set_num_threads(1)  # as the command line does
    with tempfile.TemporaryDirectory() as folder:
        run_diabetes(Path(folder))
        run_digits(Path(folder))
        for name in ("pips.png", "input_gates.png"):
            shutil.copyfile(Path(folder) / name, STATIC / name)
            print(f"{name}: {(STATIC / name).stat().st_size // 1000} KB")


if __name__ == "__main__":
    main()
