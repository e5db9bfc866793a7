"""Data that may be meant otherwise than they are taken: each is told, and nothing else is."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from l0bayes import SpikeSlabPoissonRegressor, SpikeSlabRegressor
from l0bayes.estimators.input_tables import ConstantColumnWarning
from l0bayes.estimators.text_kinds import meant_as

N = 40
RNG = np.random.default_rng(0)
A = RNG.normal(size=N)
Y = A + RNG.normal(size=N)


def frame(**columns):
    return pd.DataFrame({"a": A, **{name: np.resize(values, N) for name, values in columns.items()}})


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["0%", "5%", "10%"], "numbers in another notation"),
        (["1,500", "2,300", "1,200"], "numbers in another notation"),
        (["$3", "$4.50", "$7"], "numbers in another notation"),
        (["3 kg", "4.5 kg", "12 kg"], "numbers in another notation"),
        (["1.5", "2.5", "3.0"], "numbers in another notation"),
        (["-1", "+2", "- 3"], "numbers in another notation"),
        (["2020-01-31", "2020-02-01", "2021-03-04"], "dates or times"),
        (["31.01.2020", "1.2.2020", "3/4/21"], "dates or times"),
        (["2020-01-31 10:20", "2020-01-31T10:20:11.5Z", "2020-02-01 00:00"], "dates or times"),
        (["10:20", "9:05", "23:59:59"], "dates or times"),
        (["low", "mid", "high"], None),
        (["1", "2", "3"], None),
        (["1a", "2b", "3a"], None),
        (["T1", "T2", "T10"], None),
        (["90210", "10001", "60601"], None),
        (["18-25", "26-35", "36-50"], None),
        (["<20", "20 to 30", "more"], None),
        ([], None),
    ],
)
def test_what_text_looks_like(cells, kind):
    assert meant_as(cells, codes=True) == kind


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["0%", "5%", "10%"], "looks like numbers in another notation, such as '0%'"),
        (["1.2.2020", "2.2.2020", "3.2.2020"], "looks like dates or times, such as '1.2.2020'"),
        (["1", "2", "3"], "looks like numbers, such as '1'"),
        ([b"10", b"200", b"0"], "looks like numbers, such as b'10'"),
    ],
)
def test_text_that_is_taken_as_a_factor(cells, words):
    table = frame(t=cells)
    with pytest.warns(UserWarning, match=words):
        fit = SpikeSlabRegressor(random_state=0).fit(table, Y)
    assert len(fit.columns_) == 4
    SpikeSlabRegressor(random_state=0).fit(table.astype({"t": "category"}), Y)  # a warning would be an error
    many = frame(t=[f"{i}%" for i in range(N)])
    with pytest.raises(ValueError, match="too many for a factor; it looks like numbers in another notation"):
        SpikeSlabRegressor().fit(many, Y)


def test_levels_that_are_names_need_no_word():
    table = frame(zip=["90210", "10001", "60601"], arm=["T1", "T2", "C"], age=["18-25", "26-35", "36-50"])
    assert len(SpikeSlabRegressor(random_state=0).fit(table, Y).columns_) == 10


def test_rows_that_have_another_order():
    table = frame()
    y = pd.Series(Y)
    with pytest.warns(UserWarning, match="same labels in another order"):
        SpikeSlabRegressor(random_state=0).fit(table, y.sort_values())
    same = SpikeSlabRegressor(random_state=0).fit(table, Y).pip_
    for given in (y, y.to_numpy(), list(Y), y.set_axis(range(100, 100 + N)), y.set_axis([0] * N)):
        np.testing.assert_array_equal(SpikeSlabRegressor(random_state=0).fit(table, given).pip_, same)
    shuffled = table.sample(frac=1.0, random_state=1)
    moved = SpikeSlabRegressor(random_state=0).fit(shuffled, y.loc[shuffled.index])
    np.testing.assert_allclose(moved.pip_, same)


@pytest.mark.filterwarnings("ignore::l0bayes.selection.trust.noise_conflict.NoisePriorWarning")
@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_a_response_that_never_changes(unit):
    with pytest.warns(ConstantColumnWarning, match="y is constant, .* nothing to explain"):
        fit = SpikeSlabRegressor(random_state=0).fit(frame(b=RNG.normal(size=N)), np.full(N, 3.0 * unit))
    assert np.isfinite(fit.pip_).all()
    np.testing.assert_allclose(fit.predict(frame(b=1.0)), 3.0 * unit)


def test_complex_numbers():
    with pytest.raises(ValueError, match="complex numbers in column 'c'"):
        SpikeSlabRegressor().fit(frame(c=[1j, 2.0]), Y)


@pytest.mark.parametrize(
    ("inclusion", "words"),
    [(1.0, "always to be in give one near it"), (0.0, "drop a column that is never to be in"), (1.5, "1.5$")],
)
def test_an_inclusion_says_what_to_do_about_it(inclusion, words):
    with pytest.raises(ValueError, match=f"strictly between 0 and 1.*{words}"):
        SpikeSlabRegressor(inclusion=[0.5, inclusion]).fit(frame(b=RNG.normal(size=N)), Y)
    SpikeSlabRegressor(inclusion=[0.5, 0.999999], random_state=0).fit(frame(b=RNG.normal(size=N)), Y)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_that_are_far_from_one(unit):
    table = frame(b=RNG.normal(size=N))
    one = SpikeSlabRegressor(random_state=0).fit(table, Y)
    for x, y in ((table * unit, Y), (table, Y * unit), (table * unit + 7 * unit, Y / unit)):
        other = SpikeSlabRegressor(random_state=0).fit(x, y)
        np.testing.assert_allclose(other.pip_, one.pip_, atol=1e-9)
        assert other.trust_.verdict == "exact"


@pytest.mark.parametrize(
    "column",
    [
        [datetime.date(2020, 1, 1 + i % 9) for i in range(N)],
        pd.period_range("2020-01", periods=N, freq="M"),
        [[1, 2]] * N,
    ],
    ids=["dates", "periods", "lists"],
)
def test_what_is_neither_number_nor_text_is_refused_without_a_fit_that_never_was(column):
    with pytest.raises(ValueError, match=r"X holds (dates or times|a list) in column 'c'") as error:
        SpikeSlabRegressor().fit(frame().assign(c=pd.Series(column)), Y)
    assert "where fit saw numbers" not in str(error.value)


def test_a_lazy_frame():
    with pytest.raises(ValueError, match=r"X is a lazy frame, .*X\.collect\(\)"):
        SpikeSlabRegressor().fit(pl.LazyFrame({"a": [1.0, 2.0]}), [1.0, 2.0])


@pytest.mark.parametrize("kind", [SpikeSlabRegressor, SpikeSlabPoissonRegressor])
@pytest.mark.parametrize("text", ["few", b"few"])
def test_a_response_of_text(kind, text):
    y = [1.0, text, *[2.0] * (N - 2)]
    with pytest.raises(ValueError, match=r"y holds text, b?'few' in row 1: it must hold numbers"):
        kind().fit(frame(), np.array(y, dtype=object))
