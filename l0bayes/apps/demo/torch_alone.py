r"""A saved network, run by another Python that has imported torch and nothing of this library."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from l0bayes.files import read_tensors, write_tensors

__all__ = ["PROGRAM", "run_by_torch_alone"]

PROGRAM = """
import sys, torch
from safetensors.torch import load_file, save_file
net = torch.export.load(sys.argv[1]).module()
save_file({"scores": net(load_file(sys.argv[2])["images"])}, sys.argv[3])
assert not any(name.partition(".")[0] in ("l0bayes", "pyro") for name in sys.modules)
"""
"""What that Python runs: program, images and scores are files."""


@torch.no_grad()
def run_by_torch_alone(folder: Path, net: nn.Module, x: Tensor) -> float:
    """Run the saved program in a process of its own, and compare.

    Args:
        folder: A folder that :func:`l0bayes.save_deployed` wrote.
        net: The network that was saved.
        x: Inputs.

    Returns:
        Largest difference of an output between the two.

    Raises:
        RuntimeError: If that process fails; says what it said.
    """
    with tempfile.TemporaryDirectory() as place:
        images, scores = Path(place) / "images.safetensors", Path(place) / "scores.safetensors"
        write_tensors({"images": x}, images)
        command = [sys.executable, "-c", PROGRAM, str(folder / "program.pt2"), str(images), str(scores)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise RuntimeError(f"the saved network does not run by itself: {ran.stderr.strip()[-500:]}")
        found = read_tensors(scores)["scores"]
    return float((found - net(x)).abs().max())
