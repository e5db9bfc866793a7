r"""Messages about arguments of estimators, in the words of the command line."""

from __future__ import annotations

import re

__all__ = ["in_options"]

# What one would write elsewhere.
_IN_PYTHON = re.compile(r"; in Python (?:[^;.()]|\([^()]*\))*")
# "noise_prior (l0bayes select: --noise-prior)": the one or the other.
_BESIDE = re.compile(r"\S+ \(l0bayes select: (?P<option>[^()]*(?:\([^()]*\)[^()]*)*)\)")
_AND_SO = re.compile(r"\S+='\w+' \((?P<option>--[a-z-]+ \w+)\)")
_SET = re.compile(
    r"\b(?P<name>engine|heredity|slab|g|rscale|noise_prior|slab_scale|unseen|fill)=(?P<value>\S+)"
)
_VALUE = re.compile(r"'[^']*'|\d+(?:\.\d+)?|[^\s,.;:)']*")
_NAMES = {
    "always_in": "--always",
    "slab_scale": "--slab-scale",
    "sample_weight": "--weights",
    "random_state": "--seed",
    "num_datasets": "--data-sets",
    "inclusion=": "--inclusion",
    "exposure=": "--exposure",
    "offset=": "--offset",
    "trials=": "--trials",
}
# A message that begins with one of these says what the argument must be: the option is named before it.
_ARGUMENTS = {
    "noise_prior": "--noise-prior",
    "slab_scale": "--slab-scale",
    "slab_scale_prior": "--slab-scale-prior",
}
# What options are called in settings, at the start of a sentence.
_OPTION = re.compile(
    r"^(?P<name>inclusion|expected-active|slab-scale|noise-prior|slab|g|rscale|heredity|engine|max-gates|hdi"
    r"|seed|likelihood-option|interval|estimator|fill|unseen)(?= (?:must|is of|holds|needs)\b)"
)


def in_options(words: str) -> str:
    """A message as someone reads it who typed options.

    Args:
        words: The message, which may name arguments of Python.
    """
    words = _IN_PYTHON.sub("", words)
    first = words.partition(" ")[0]
    if first in _ARGUMENTS and not words.startswith(f"{first} ("):
        return f"{_ARGUMENTS[first]}: {words}"
    words = _BESIDE.sub(lambda found: found["option"], words)
    words = _AND_SO.sub(lambda found: found["option"], words)
    words = _SET.sub(_typed, words)
    for name, option in _NAMES.items():
        words = re.sub(rf"(?<![\w-]){re.escape(name)}(?!\w)", option, words)
    return _OPTION.sub(lambda found: f"--{found['name']}", words)


def _typed(found: re.Match[str]) -> str:
    """``heredity='strong'`` as ``--heredity strong``, with what stands behind it."""
    value = _VALUE.match(found["value"])
    assert value is not None  # it matches nothing, too
    plain, rest = value[0].strip("'"), found["value"][value.end() :]
    return f"--{found['name'].replace('_', '-')} {plain}{rest}"
