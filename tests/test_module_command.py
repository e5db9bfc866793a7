"""``python -m l0bayes`` is the command."""

import subprocess
import sys


def test_it_describes_itself():
    done = subprocess.run(
        [sys.executable, "-m", "l0bayes", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "select" in done.stdout
    assert "train" in done.stdout
