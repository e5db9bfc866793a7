r"""The guide with stochastic gates."""

from __future__ import annotations

from l0bayes.guides.family_guide import FamilyGuide

__all__ = ["AutoRectifiedNormal"]


class AutoRectifiedNormal(FamilyGuide):
    r"""Guide with rectified Normal gates (stochastic gates, STG).

    See :class:`~l0bayes.distributions.RectifiedNormal`. A gate has one parameter, its location, kept in
    units of :math:`\sigma\sqrt{\pi/8}`, in which the activity logit has slope 1 where the gate is
    undecided: learning rates and perturbations mean the same as in the other families.

    The standard deviation of the noise is called ``temperature``, so that schedules act on it. Unlike other
    temperatures, as it falls the gate becomes its location clipped to [0, 1], not a binary gate.

    Args:
        model: A Pyro model.
        args: Positional arguments to run the model with once, to learn its sites.
        kwargs: Keyword arguments of that run.
        temperature: σ, the standard deviation of the noise, positive; by default ½, as in the source.
        init_active: :math:`P(z \ne 0)` at the start, strictly between 0 and 1.
        **options: ``slab``, ``tied``, ``init_scale``, ``init_loc_fn`` and ``create_plates`` of
            :class:`~l0bayes.guides.AutoGateGuide`.

    Raises:
        ValueError: If the temperature is not positive or another argument is outside its range.
    """

    gate_law = "rectified_normal"
