"""Formulas over tables as they come: odd names, odd types, and what must not pass in silence."""

import datetime
import decimal
import warnings

import numpy as np
import pandas as pd
import pytest

from l0bayes.apps.select import apply_formula


def table(count=60):
    rng = np.random.default_rng(0)
    made = pd.DataFrame(rng.normal(size=(count, 4)), columns=["a", "b", "y", "ypos"])
    return made.assign(
        ypos=made["ypos"].abs() + 0.1,
        region=np.resize(["n", "s", "w"], count),
        k=np.resize(["no", "yes"], count),
    )


def applied(data, formula, likelihood="gaussian", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return apply_formula(data, formula, likelihood, **options)


def refused(data, formula, likelihood="gaussian", **options):
    with pytest.raises(ValueError, match=" ") as error:
        applied(data, formula, likelihood, **options)
    assert "_column" not in str(error.value)
    return str(error.value)


# ---- names -----------------------------------------------------------------------------------------------


def numbered():
    return table()[["a", "b", "ypos", "y"]].set_axis(["0", "1", "2", "y"], axis=1)


def test_columns_named_by_numbers_are_no_intercept():
    found = applied(numbered(), "y ~ .")
    assert found.formula == "y ~ `0` + `1` + `2`"
    assert list(found.x.columns) == found.groups == ["0", "1", "2"]
    assert found.intercept
    assert found.x["1"].equals(numbered()["1"])


def test_a_column_named_one_without_an_intercept():
    for formula in ("y ~ . - 1", "y ~ 0 + `0` + `1` + `2`"):
        found = applied(numbered(), formula)
        assert found.formula == "y ~ 0 + `0` + `1` + `2`"
        assert not found.intercept


def test_a_column_named_one_can_be_taken_away():
    assert applied(numbered(), "y ~ . - `1`").groups == ["0", "2"]


def test_columns_whose_names_are_numbers():
    data = numbered().rename(columns={"0": 0, "1": 1, "2": 2})
    assert applied(data, "y ~ .").groups == ["0", "1", "2"]


NAMES = ["C(region)[T.s]", "bs(a, df=4)[1]", "cs(a)", "cc(a)", "cr(a)[2]", "poly(a, 2)[1]", "poly(b, 2)"]


def test_the_dot_takes_columns_named_like_terms():
    data = pd.DataFrame(np.random.default_rng(0).normal(size=(40, len(NAMES) + 1)), columns=[*NAMES, "y"])
    found = applied(data, "y ~ .")
    assert list(found.x.columns) == found.groups == NAMES
    assert applied(data, found.formula).groups == NAMES


def test_text_in_a_column_named_like_a_factor_is_looked_at():
    data = table().assign(**{"C(name)": [f"n{row}" for row in range(60)]})
    assert "column 'C(name)' holds text with 60 different values" in refused(data, "y ~ a + `C(name)`")


def test_a_column_and_a_term_of_one_name():
    data = table().assign(**{"a:b": lambda rows: rows["y"] ** 2})
    assert applied(data, "y ~ a + `a:b`").groups == ["a", "a:b"]
    assert "'a:b'" in refused(data, "y ~ a*b + `a:b`")
    data = table().assign(**{"a:region": lambda rows: rows["y"] ** 2})
    assert "two terms of one name, 'a:region'" in refused(data, "y ~ a:region + `a:region`")


def test_odd_names_within_expressions():
    data = table().rename(columns={"a": "my a", "region": "the region"})
    found = applied(data, "y ~ log(`my a` + 10) + C(`the region`):b + `the region` + {`my a` ** 2}")
    assert found.formula == "y ~ log(`my a` + 10) + `the region` + {`my a` ** 2} + C(`the region`):b"
    assert found.gates == ["log(`my a` + 10)", "the region", "`my a` ** 2", "C(`the region`):b"]
    assert [name for name in found.x if name.startswith("the region")] == [
        "the region[n]", "the region[s]", "the region[w]"
    ]  # fmt: skip
    assert "column 'log(`my a`)' is not finite" in refused(data, "y ~ log(`my a`)")
    assert applied(data.rename(columns={"ypos": "1"}), "log(`1`) ~ b").response == "log(`1`)"


# ---- the response ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula",
    ["y ~ a + y", "y ~ y", "y ~ a:y", "log(ypos) ~ ypos + a", "ypos ~ log(ypos)", "I(y - a) ~ y + a"],
)
def test_a_response_does_not_explain_itself(formula):
    assert "on the right of '~' too" in refused(table(), formula)


def test_a_change_may_depend_on_where_it_began():
    assert applied(table(), "I(y - a) ~ a + b").gates == ["a", "b"]


def test_truth_values_with_missing_ones():
    data = table().assign(k=pd.Series([None, *[True, False] * 29, True], dtype=object))
    found = applied(data, "k ~ a", "bernoulli", drop_missing=True)
    assert found.y.dtype == bool
    assert len(found.y) == 59


def test_classes_that_are_no_whole_numbers():
    data = table().assign(k=np.resize([0.5, 1.5], 60))
    assert "holds 0.5 and 1.5: classes for --likelihood bernoulli must be" in refused(
        data, "k ~ a", "bernoulli"
    )
    assert len(applied(data.assign(k=data["k"] + 0.5), "k ~ a", "bernoulli").y) == 60


# ---- types -----------------------------------------------------------------------------------------------


def test_decimals_are_numbers():
    exact = [decimal.Decimal(repr(value)) for value in table()["a"]]
    found = applied(table().assign(a=exact, y=exact[::-1]), "y ~ a + b")
    assert found.x["a"].equals(table()["a"])
    assert found.y.dtype == float


@pytest.mark.parametrize(
    "value",
    [datetime.date(2020, 1, 1), datetime.time(12), datetime.timedelta(1), datetime.datetime(2020, 1, 1)],
)
@pytest.mark.parametrize("formula", ["y ~ day", "y ~ C(day)", "y ~ ."])
def test_dates_and_times_are_refused_by_name(value, formula):
    data = table().assign(day=pd.Series([value] * 60, dtype=object))
    assert "column 'day' holds dates or times" in refused(data, formula)


@pytest.mark.parametrize("value", [[1, 2], (1, 2), {"a": 1}, np.ones(2)])
def test_lists_are_refused_by_name(value):
    data = table().assign(many=pd.Series([value] * 60, dtype=object))
    assert "column 'many' holds values of the kind" in refused(data, "y ~ .")


def test_text_of_any_kind_is_a_factor():
    for kind in ("string", "category", object):
        found = applied(table().astype({"region": kind}), "y ~ region")
        assert found.groups == ["region"] * 3
        assert list(found.x.columns) == ["region[n]", "region[s]", "region[w]"]


def test_nullable_numbers():
    data = table().assign(
        n=pd.Series([None, *range(59)], dtype="Int64"), t=pd.Series([True, False] * 30).astype("boolean")
    )
    found = applied(data, "y ~ n + t", drop_missing=True)
    assert list(found.x["n"]) == list(range(59))


# ---- levels and rows -------------------------------------------------------------------------------------


def test_levels_that_are_left_out_are_no_base_level():
    message = refused(table(), "y ~ a + C(region, levels=['n', 's'])")
    assert "'w' in 20 rows, the first of them data row 3" in message
    assert "column 'region'" in message
    assert "outside of the nominated levels" in refused(table(), "y ~ C(region + 'x', levels=['nx'])")
    found = applied(table(), "y ~ C(region, levels=['w', 's', 'n'])")
    assert list(found.x.columns) == [f"C(region, levels=['w', 's', 'n'])[{level}]" for level in "wsn"]


def test_a_row_is_named_as_in_the_file_where_others_are_left_out():
    data = table()
    data.loc[[0, 4], "b"] = np.nan
    data.loc[10, "ypos"] = -1.0
    message = refused(data, "y ~ b + log(ypos)", drop_missing=True)
    assert "not finite in 1 row, the first of them data row 11" in message
