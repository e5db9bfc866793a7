r"""What is asked of a selection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from l0bayes import validate
from l0bayes.apps.select.row_columns import RowColumns, law_with_columns
from l0bayes.apps.select.select_parsing import likelihood_of
from l0bayes.likelihoods.likelihood import Likelihood
from l0bayes.selection import ExactOptions, engine_names

__all__ = ["SelectSettings"]

# The largest that numpy takes.
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class SelectSettings:
    r"""Likelihood, priors and engine of a selection; ``None`` leaves a choice to the estimator.

    Args:
        likelihood: Name of the law of the response, one that the engines support:
            ``l0bayes.likelihoods.names("selection")``. ``None`` is ``"gaussian"``, and a response that may be
            meant otherwise gives a warning.
        likelihood_options: Its options, such as ``{"dispersion": 0.5}``.
        inclusion: Prior probability that a variable is in the model, or ``(a, b)`` of a Beta law.
        expected_active: Number of variables expected in the model, in place of ``inclusion``.
        slab_scale: Prior standard deviation of an effect that is not zero, for standardised columns.
            ``"learned"`` for one that the data decide, of a Normal response.
        slab_scale_prior: Prior of a learned one, such as ``("half-cauchy", 1.0)``.
        noise_prior: Prior of the noise variance of a Normal response, in units of the standardised response:
            ``"weak"``, ``"jeffreys"`` or ``(shape, rate)``.
        slab: Prior of the effects of a Normal response: ``"normal"``, ``"g"``, ``"hyper-g"``,
            ``"hyper-g/n"``, ``"jzs"``, or a name that was registered.
        g: Of ``slab="g"``: ``"unit"``, ``"bric"``, ``"eb-local"``, ``"eb-global"``, or a number.
        rscale: Scale of ``slab="jzs"``.
        always: Terms that are in every model.
        heredity: ``"strong"`` or ``"weak"``: whether products and powers need all of their parents, or one.
        max_gates: Largest number of gates of the engine ``"exact"``, which must be named.
        engine: ``"auto"``, ``"exact"``, ``"gibbs"``, ``"svi"``, or the name of an engine that was registered.
        seed: Seed of every random number.
        hdi: Share of the posterior that intervals hold.
        rows: Columns that say something of each row.

    Attributes:
        law: The likelihood, with its options.

    Raises:
        ValueError: If a name is unknown, a number is out of range, or both of ``inclusion`` and
            ``expected_active`` are given.
    """

    likelihood: str | None = None
    likelihood_options: Mapping[str, float] = field(default_factory=dict)
    inclusion: float | tuple[float, float] | None = None
    expected_active: float | None = None
    slab_scale: float | str | None = None
    slab_scale_prior: tuple[Any, ...] | None = None
    noise_prior: str | tuple[float, float] | None = None
    slab: str | None = None
    g: str | float | None = None
    rscale: float | None = None
    always: tuple[str, ...] = ()
    heredity: str | None = None
    engine: str = "auto"
    max_gates: int | None = None
    seed: int = 0
    hdi: float = 0.94
    rows: RowColumns = field(default_factory=RowColumns)
    law: Likelihood = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        law = law_with_columns(self.likelihood, self.likelihood_options, self.rows)
        object.__setattr__(self, "law", law)
        validate.one_of(engine_names(), engine=self.engine)
        if self.max_gates is not None:
            if self.engine != "exact":
                raise ValueError(f"max-gates is of --engine exact; got it for the engine {self.engine!r}")
            ExactOptions(max_gates=self.max_gates)
        if self.inclusion is not None and self.expected_active is not None:
            raise ValueError("give inclusion or expected-active, not both: each sets the prior of the gates")
        if isinstance(self.inclusion, float) and not 0.0 < self.inclusion < 1.0:
            raise ValueError(
                f"inclusion must lie strictly between 0 and 1, got {self.inclusion:g}: at 0 or 1 nothing is "
                "selected. Give a number such as 0.5, or a,b of a Beta law such as 1,1, and leave columns "
                "that are never to be in out of the formula"
            )
        if isinstance(self.inclusion, tuple) and not all(0.0 < part < math.inf for part in self.inclusion):
            raise ValueError(f"inclusion must be two positive numbers for a Beta law, got {self.inclusion}")
        if isinstance(self.slab_scale, float) and not 0.0 < self.slab_scale < math.inf:
            raise ValueError(f"slab-scale must be positive, got {self.slab_scale:g}")
        self._check_scale(law)
        if self.noise_prior is not None:
            from l0bayes.estimators.noise_argument import check_noise
            from l0bayes.estimators.robust_scale import refuse_jeffreys

            if not law.has_noise:
                raise ValueError(
                    f"noise-prior is of the gaussian likelihood and of student_t; {law.name!r} has no noise"
                )
            check_noise(law.settings["noise_scale"], self.noise_prior)
            if not law.conjugate:
                refuse_jeffreys(self.noise_prior)
        self._check_slabs(law)
        if not 0.0 < self.hdi < 1.0:
            raise ValueError(f"hdi must lie strictly between 0 and 1, got {self.hdi:g}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        if self.seed > _LARGEST_SEED:
            raise ValueError(f"seed must be at most {_LARGEST_SEED}, got {self.seed}")

    def _check_scale(self, law: Likelihood) -> None:
        from l0bayes.estimators.arguments import slab_scales
        from l0bayes.estimators.slab_arguments import checked_slab_scale

        checked_slab_scale(1.0 if self.slab_scale is None else self.slab_scale, self.slab_scale_prior)
        if isinstance(self.slab_scale, str) and not law.conjugate:
            raise ValueError(f"slab-scale learned is of the gaussian likelihood; got it with {law.name!r}")
        if self.slab_scale is not None:
            slab_scales(self.slab_scale, 1)

    def _check_slabs(self, law: Likelihood) -> None:
        from l0bayes.estimators.gate_rules import check_gate_rules
        from l0bayes.estimators.slab_arguments import checked_slab

        for name, value in self.of_gaussian.items():
            if not law.conjugate:
                raise ValueError(f"{name} is of the gaussian likelihood; got {value!r} with {law.name!r}")
        check_gate_rules(self.always, self.heredity)
        checked_slab(
            self.slab or "normal",
            "unit" if self.g is None else self.g,
            self.rscale,
            slab_scale=1.0 if self.slab_scale is None else self.slab_scale,
            slab_scaled_by_noise=False,
            noise_scale=law.settings["noise_scale"] if law.conjugate else None,
            noise_prior=self.noise_prior or "weak",
        )

    def for_formula(self, formula: str) -> SelectSettings:
        """The same for a formula, whose ``Surv(time, event)`` says the likelihood where none is named.

        Args:
            formula: The formula.
        """
        return replace(self, likelihood=likelihood_of(self.likelihood, formula))

    @property
    def of_gaussian(self) -> dict[str, Any]:
        """Arguments that only the estimator of a Normal response has, where they are given."""
        return validate.given(
            slab=self.slab, g=self.g, rscale=self.rscale, slab_scale_prior=self.slab_scale_prior
        )

    @property
    def of_gates(self) -> dict[str, Any]:
        """Arguments on terms that are always in, or need others, where they are given."""
        return validate.given(always_in=list(self.always) or None, heredity=self.heredity)

    @property
    def options(self) -> ExactOptions | None:
        """Options of the engine, where any were asked for."""
        return None if self.max_gates is None else ExactOptions(max_gates=self.max_gates)

    def prior_of(self, count: int) -> dict[str, Any]:
        """The argument ``inclusion`` of an estimator, where one was asked for.

        Args:
            count: Number of gates.

        Raises:
            ValueError: If more variables are expected than there are.
        """
        if self.expected_active is None:
            return {} if self.inclusion is None else {"inclusion": self.inclusion}
        if not 0.0 < self.expected_active < count:
            raise ValueError(
                f"expected-active must lie strictly between 0 and {count}, the number of variables; got "
                f"{self.expected_active:g}"
            )
        return {"inclusion": self.expected_active / count}
