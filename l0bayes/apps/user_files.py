"""Python files of users, run before a command so that what they register is known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["load_user_file"]


def load_user_file(path: str | Path) -> ModuleType:
    """Run a Python file as a module of its own, such as one that registers a likelihood.

    It runs with all rights of the caller: load files that you trust.

    Args:
        path: The file.

    Returns:
        The module, which ``sys.modules`` holds by the name of the file, so that its objects can be pickled.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no Python file, or an error comes out of it.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"load: there is no file {str(file)!r}")
    name = f"l0bayes_user_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"load must be a Python file, got {str(file)!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(f"load: {file} ended in {type(error).__name__}: {error}") from error
    return module
