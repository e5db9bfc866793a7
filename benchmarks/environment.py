"""What a measurement depends on beside the code."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import pyro
import torch

import l0bayes

__all__ = ["describe"]


def describe() -> dict[str, Any]:
    """Versions and the processor."""
    return {
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "pyro": pyro.__version__,
            "l0bayes": l0bayes.__version__,
        },
        "machine": {"processor": _processor(), "cpus": os.cpu_count()},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
