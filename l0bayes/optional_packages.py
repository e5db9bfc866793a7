"""Packages that a plain install leaves out, and the one error that says which extra brings them.

``pip install l0bayes`` brings torch, Pyro, NumPy and ArviZ, and what these need themselves. What else the
library imports, it imports when it is needed, under :class:`needed_for` or after :func:`need`.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType

__all__ = ["EXTRAS", "missing_package", "need", "needed_for"]

EXTRAS: dict[str, tuple[str, ...]] = {
    "files": ("safetensors", "h5netcdf", "h5py"),
    "plots": ("matplotlib", "PIL"),
    "cli": ("typer", "rich"),
    "select": ("sklearn", "joblib", "threadpoolctl", "formulaic", "jinja2", "markupsafe"),
    "tables": ("pyarrow",),
    "tensorboard": ("tensorboard",),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "test": ("pytest", "hypothesis"),
}
"""What each extra of ``pyproject.toml`` brings, by the names that are imported."""

_EXTRA_OF = {name: extra for extra, names in EXTRAS.items() for name in names}

# Packages that have another name at pip.
_AT_PIP = {"PIL": "pillow", "sklearn": "scikit-learn"}


def need(what: str, *packages: str) -> None:
    """Import packages for something that needs them all, and say at once which are missing.

    Args:
        what: What needs them, the first words of the error.
        *packages: Names as they are imported.

    Raises:
        ModuleNotFoundError: If one is missing; says what installs all that are.
    """
    missing: list[str] = []
    for package in packages:
        try:
            # After one that is missing: what is imported without it may go on without it ever after.
            found = find_spec(package) is not None if missing else bool(import_module(package))
            if not found:
                missing.append(package)
        except ImportError as error:
            if error.name not in _EXTRA_OF or not isinstance(error, ModuleNotFoundError):
                raise missing_package(what, package, error) from None
            missing.append(error.name)
    if missing:
        raise _not_installed(what, missing)


class needed_for:  # noqa: N801 - read in a with statement
    """A block of imports for something: a package that is missing comes with the extra that brings it.

    Args:
        what: What needs them, the first words of the error.

    Example::

        with needed_for("A table in Parquet"):
            import pyarrow.parquet
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ImportError) and (top := (error.name or "").partition(".")[0]) in _EXTRA_OF:
            raise missing_package(self._what, top, error) from None


def missing_package(what: str, package: str, error: ImportError) -> ModuleNotFoundError:
    """The error to raise where a package cannot be imported.

    Args:
        what: What needs it.
        package: The package that was imported.
        error: What its import raised: it, or a package that it needs itself, is missing or broken.
    """
    missing = error.name or "."
    if isinstance(error, ModuleNotFoundError) and "." not in missing:
        return _not_installed(what, [missing])
    name = _AT_PIP.get(package, package)
    return ModuleNotFoundError(
        f"{what} needs {name}, which cannot be imported ({error}): "
        f"pip install --upgrade --force-reinstall {name}"
    )


def _not_installed(what: str, packages: Iterable[str]) -> ModuleNotFoundError:
    packages = list(dict.fromkeys(packages))
    names = [_AT_PIP.get(one, one) for one in packages]
    extras = sorted({_EXTRA_OF[one] for one in packages if one in _EXTRA_OF})
    others = [name for one, name in zip(packages, names, strict=True) if one not in _EXTRA_OF]
    wanted = " ".join([*([f"'l0bayes[{','.join(extras)}]'"] if extras else []), *others])
    are = "is" if len(names) == 1 else "are"
    return ModuleNotFoundError(
        f"{what} needs {_listed(names)}, which {are} not installed: pip install {wanted}", name=packages[0]
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
