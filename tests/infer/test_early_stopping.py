"""When a history says to stop."""

import math

import pytest

from l0bayes.infer import EarlyStopping


def stops_at(rule, elbos):
    """The first record at which it stops, of records at equal distances of progress."""
    progresses = [(i + 1) / len(elbos) for i in range(len(elbos))]
    for i in range(len(elbos)):
        if rule.should_stop(elbos[: i + 1], progresses[: i + 1]):
            return i
    return None


def test_a_rising_elbo_goes_on():
    assert stops_at(EarlyStopping(patience=2), [float(i) for i in range(50)]) is None


def test_a_flat_elbo_stops_after_its_patience():
    # record 0 is the best; 1, 2 and 3 do not rise above it
    assert stops_at(EarlyStopping(patience=3), [5.0] * 20) == 3


def test_it_stops_where_the_rise_ends():
    rule = EarlyStopping(patience=4, smoothing=1.0)
    assert stops_at(rule, [0.0, 1.0, 2.0, 3.0] + [3.0] * 10) == 3 + 4
    assert stops_at(rule, [0.0, 1.0, 2.0, 3.0] + [2.0] * 10) == 3 + 4


def test_a_new_rise_starts_the_patience_again():
    rule = EarlyStopping(patience=3, smoothing=1.0)
    assert stops_at(rule, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 2.0, 2.0, 2.0]) == 9


def test_small_rises_do_not_count():
    elbos = [0.1 * i for i in range(40)]
    assert stops_at(EarlyStopping(patience=5, smoothing=1.0), elbos) is None
    # 0.1 a record: only every sixth record is 0.55 above the best, too late for a patience of 5
    assert stops_at(EarlyStopping(patience=5, min_rise=0.55, smoothing=1.0), elbos) == 5
    assert stops_at(EarlyStopping(patience=6, min_rise=0.55, smoothing=1.0), elbos) is None


def test_smoothing_is_an_exponential_moving_average():
    """One spike up lifts an unsmoothed best for good, and a smoothed one by its weight only."""
    elbos = [0.0, 100.0] + [float(i) for i in range(1, 60)]
    assert stops_at(EarlyStopping(patience=10, smoothing=1.0), elbos) == 11
    average, best, since, expected = elbos[0], elbos[0], 0, None
    for i, elbo in enumerate(elbos[1:], start=1):
        average = 0.9 * average + 0.1 * elbo
        since = 0 if average > best else since + 1
        best = max(best, average)
        if since >= 10 and expected is None:
            expected = i
    assert stops_at(EarlyStopping(patience=10, smoothing=0.1), elbos) == expected


def test_records_before_after_are_smoothed_but_not_judged():
    falling = [float(-i) for i in range(20)]
    assert stops_at(EarlyStopping(patience=3), falling) == 3
    # progress of record i is (i + 1) / 20; the first judged is record 9
    assert stops_at(EarlyStopping(patience=3, after=0.5), falling) == 12
    # the average carries the height of the early records: it still falls when the values are flat
    flat_later = [100.0] * 9 + [0.0] * 4 + [0.5] * 7
    assert stops_at(EarlyStopping(patience=5, after=0.5), flat_later) == 14


@pytest.mark.parametrize(
    ("argument", "value", "accepted"),
    [
        ("patience", 0, "must be at least 1"),
        ("min_rise", -0.1, "must not be negative"),
        ("smoothing", 0.0, r"must lie in \(0, 1\]"),
        ("smoothing", 1.5, r"must lie in \(0, 1\]"),
        ("smoothing", math.nan, r"must lie in \(0, 1\]"),
        ("after", -0.1, r"must lie in \[0, 1\]"),
        ("after", 1.1, r"must lie in \[0, 1\]"),
    ],
)
def test_refusals(argument, value, accepted):
    with pytest.raises(ValueError, match=f"{argument} {accepted}, got {value}"):
        EarlyStopping(**{argument: value})
