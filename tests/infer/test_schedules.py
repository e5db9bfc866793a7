"""Schedules: values between their ends, and refusals."""

import itertools
import math

import pytest

from l0bayes.infer import Constant, Geometric, Linear
from l0bayes.infer.schedules import as_schedule


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_constant(progress):
    assert Constant(0.7)(progress) == 0.7


@pytest.mark.parametrize(
    ("progress", "value"), [(0.0, 2.0), (0.2, 2.0), (0.35, 1.5), (0.5, 1.0), (0.8, 0.0), (1.0, 0.0)]
)
def test_linear_moves_between_begin_and_end_only(progress, value):
    assert Linear(2.0, 0.0, begin=0.2, end=0.8)(progress) == pytest.approx(value)


@pytest.mark.parametrize(
    ("progress", "value"), [(0.0, 1.0), (0.5, 1.0), (0.625, 10**-0.5), (0.75, 0.1), (1.0, 0.01)]
)
def test_geometric_moves_by_equal_factors(progress, value):
    assert Geometric(1.0, 0.01, begin=0.5)(progress) == pytest.approx(value)


@pytest.mark.parametrize("kind", [Linear, Geometric])
@pytest.mark.parametrize(("start", "stop"), [(0.2, 3.0), (3.0, 0.2), (1.0, 1.0)])
def test_a_ramp_runs_monotonically_from_start_to_stop(kind, start, stop):
    values = [kind(start, stop)(i / 20) for i in range(21)]
    assert values[0] == start
    assert values[-1] == pytest.approx(stop)
    steps = [math.copysign(1.0, stop - start) * (b - a) for a, b in itertools.pairwise(values)]
    assert all(step >= 0.0 for step in steps)


@pytest.mark.parametrize("kind", [Linear, Geometric])
@pytest.mark.parametrize(("begin", "end"), [(0.5, 0.5), (0.7, 0.3), (-0.1, 1.0), (0.0, 1.1), (math.nan, 1.0)])
def test_ends_that_are_not_in_order(kind, begin, end):
    with pytest.raises(ValueError, match=f"begin and end must satisfy .* got {begin} and {end}"):
        kind(1.0, 0.5, begin=begin, end=end)


@pytest.mark.parametrize(("start", "stop"), [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (1.0, -0.1)])
def test_a_geometric_ramp_needs_positive_ends(start, stop):
    with pytest.raises(ValueError, match=f"start and stop must be positive, got {start} and {stop}"):
        Geometric(start, stop)
    assert Linear(start, stop)(1.0) == pytest.approx(stop)


def test_schedules_say_what_they_are():
    assert "start=1.0" in repr(Linear(1.0, 0.5))
    assert Linear(1.0, 0.5) == Linear(1.0, 0.5)
    assert Linear(1.0, 0.5) != Geometric(1.0, 0.5)


def test_numbers_become_constants_and_functions_stay():
    assert as_schedule(2) == Constant(2.0)

    def cosine(progress):
        return math.cos(progress)

    assert as_schedule(cosine) is cosine
