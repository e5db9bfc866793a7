"""Data that ships with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from l0bayes.datasets.splits import Split, Table
from l0bayes.optional_packages import needed_for

__all__ = ["diabetes", "digits"]


def diabetes(interactions: bool = True) -> Table:
    """The diabetes study that ships with scikit-learn: 442 patients.

    Args:
        interactions: Whether to add squares and pairwise products of the ten measurements: 64 columns
            in all (the square of the binary ``sex`` says nothing new and is left out). Products are
            taken of standardised measurements.

    Returns:
        The standardised table; the response is disease progression after a year.
    """
    with needed_for("The diabetes study"):
        from sklearn.datasets import load_diabetes
        from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    bunch: Any = load_diabetes(scaled=False)
    x, names = StandardScaler().fit_transform(bunch.data), list(bunch.feature_names)
    if interactions:
        expand = PolynomialFeatures(degree=2, include_bias=False)
        x = expand.fit_transform(x)
        names = [name.replace(" ", "*") for name in expand.get_feature_names_out(names)]
        keep = [index for index, name in enumerate(names) if name != "sex^2"]
        x, names = StandardScaler().fit_transform(x[:, keep]), [names[index] for index in keep]
    mean, scale = float(bunch.target.mean()), float(bunch.target.std())
    y = (bunch.target - mean) / scale
    return Table(_float(x), _float(y), names, mean, scale)


def digits(seed: int = 0) -> Split:
    """The 8 by 8 digits that ship with scikit-learn: 1,797 images, split 60/20/20 by class.

    Args:
        seed: Seed of the split.

    Returns:
        Images as 64 columns in [0, 1].
    """
    with needed_for("The set of digits"):
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

    bunch: Any = load_digits()
    x, y = _float(bunch.data / 16.0), torch.as_tensor(bunch.target, dtype=torch.long)
    labels = bunch.target
    rest, test = train_test_split(np.arange(len(y)), test_size=0.2, random_state=seed, stratify=labels)
    train, valid = train_test_split(rest, test_size=0.25, random_state=seed, stratify=labels[rest])
    return Split(x[train], y[train], x[valid], y[valid], x[test], y[test])


def _float(array: object) -> Tensor:
    return torch.as_tensor(np.asarray(array), dtype=torch.float32)
