r"""The arguments ``slab``, ``g`` and ``rscale``, and what does not go with them."""

from __future__ import annotations

from typing import Any

from l0bayes import validate
from l0bayes.selection.slab_priors.slab_prior import SlabPrior
from l0bayes.selection.slab_priors.slab_registry import slab_prior
from l0bayes.selection.slab_priors.slab_scale_law import SlabScaleLaw
from l0bayes.selection.slab_priors.slab_scale_registry import slab_scale_law

__all__ = ["checked_slab", "checked_slab_scale", "refuse_learned_scale"]


def checked_slab(
    slab: Any,
    g: Any,
    rscale: Any,
    *,
    slab_scale: Any,
    slab_scaled_by_noise: Any,
    noise_scale: Any,
    noise_prior: Any,
) -> SlabPrior | None:
    """The slab prior; ``None`` for independent Normal slabs.

    Args:
        slab, g, rscale: As in the estimator.
        slab_scale: Its argument, of Normal slabs.
        slab_scaled_by_noise: Its argument, of Normal slabs.
        noise_scale: Its argument, of Normal slabs.
        noise_prior: Its argument; under the others it is Jeffreys' in any case.

    Raises:
        ValueError: If a word is unknown, a number is out of range, or an argument is of other slabs.
    """
    found = slab_prior(slab, g, rscale)
    if found is None:
        return None
    given = isinstance(slab_scale, float | int) and not isinstance(slab_scale, bool) and slab_scale == 1.0
    scale = "the columns themselves set the scale of these slabs; g or rscale moves it"
    noise = "the noise is integrated out with Jeffreys' prior"
    reasons = {
        "slab_scale": None if given else scale,
        "slab_scaled_by_noise": "these slabs are in units of the noise" if slab_scaled_by_noise else None,
        "noise_scale": None if noise_scale is None else noise,
        "noise_prior": None if noise_prior in ("weak", "jeffreys") else noise,
    }
    for name, reason in reasons.items():
        if reason is not None:
            raise ValueError(f"{name} is of slab='normal', not of slab={slab!r}: {reason}")
    return found


def checked_slab_scale(slab_scale: Any, slab_scale_prior: Any) -> SlabScaleLaw | None:
    """The prior of a learned slab scale; ``None`` where it is given.

    Args:
        slab_scale, slab_scale_prior: As in the estimator.

    Raises:
        ValueError: If there is no such prior, or one for a scale that is given.
    """
    if isinstance(slab_scale, str):
        validate.one_of(("learned",), ", a number or one for each column", slab_scale=slab_scale)
        return slab_scale_law(slab_scale_prior)
    if slab_scale_prior is not None:
        raise ValueError(
            f"slab_scale_prior is of slab_scale='learned'; got {slab_scale_prior!r} with "
            f"slab_scale={slab_scale!r}"
        )
    return None


def refuse_learned_scale(slab_scale: Any) -> None:
    """Refuse a slab scale that is learned, where the coefficients have no closed form.

    Args:
        slab_scale: As in the estimator.

    Raises:
        ValueError: If it is a word.
    """
    if isinstance(slab_scale, str):
        raise ValueError(
            f"slab_scale must be a number or one for each column; got {slab_scale!r}: a learned scale is "
            "for Normal responses, of SpikeSlabRegressor (--likelihood gaussian)"
        )
