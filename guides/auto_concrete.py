r"""The plain concrete guide."""

from __future__ import annotations

from l0bayes.guides.family_guide import FamilyGuide

__all__ = ["AutoConcrete"]


class AutoConcrete(FamilyGuide):
    r"""Guide with binary concrete gates; see :class:`~l0bayes.distributions.BinaryConcrete`.

    The gates are never exactly 0: nothing is skipped in training, and **deployment needs a threshold**. It is
    ½ (``guide.gates()[site].activity_threshold``), so the activity of a gate is
    :math:`P(z > \tfrac12) = \sigma(\log\alpha)`. The objective is a surrogate, and
    :func:`~l0bayes.infer.describe_objective` calls it one.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        temperature: β of the concrete, positive, 2/3 by default; a buffer that may be changed in place.
        init_active: :math:`P(z > \tfrac12)` at the start, strictly between 0 and 1.
        **options: ``slab``, ``tied``, ``init_scale``, ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If the temperature is not positive or another argument is outside its range.
    """

    gate_law = "concrete"
