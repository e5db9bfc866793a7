"""Whatever a column is called, it is that column: on both sides, inside and outside functions."""

import numpy as np
import pandas as pd
import pytest

from l0bayes.apps.select import apply_formula

NAMES = [
    "weight.kg", "class", "Intercept", "C", "I", "Q", "center", "scale", "exp", "log", "poly", "lag", "np",
    "df", "bs", "contr", "x.y.z", "_x", ".x", "lambda", "None", "if", "in", "True", "2nd", "1", "1e3", "a-b",
    "a:b", "a b", "log(x)", "C(class)", "größe", "y~", "%in%", "a'b", 'a"b', "[0]", "{x}", "0", "~", ".",
    "T.", "e", "pi",
]  # fmt: skip


def table(count=40):
    values = np.random.default_rng(0).normal(size=(count, len(NAMES) + 1))
    return pd.DataFrame(values, columns=["y", *NAMES])


def applied(data, formula, **options):
    return apply_formula(data, formula, "gaussian", **options)


def refused(data, formula):
    with pytest.raises(ValueError, match=" ") as error:
        applied(data, formula)
    assert "_column" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_backticks_is_the_column(name):
    data = table()
    alone = applied(data, f"y ~ `{name}` + e")
    assert alone.x[name].equals(data[name])
    assert applied(data, alone.formula).groups == alone.groups
    inside = applied(data, f"y ~ exp(`{name}`) + I(`{name}` / 2 + 1)")
    np.testing.assert_allclose(inside.x.to_numpy(), np.column_stack([np.exp(data[name]), data[name] / 2 + 1]))
    assert applied(data, inside.formula).x.equals(inside.x)
    left = applied(data, f"`{name}` ~ y")
    assert left.response == name
    assert left.y.equals(data[name])
    np.testing.assert_allclose(applied(data, f"exp(`{name}`) ~ y").y, np.exp(data[name]))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_taken_from_the_dot(name):
    rest = applied(table(), f"y ~ . - `{name}`")
    assert rest.gates == [other for other in NAMES if other != name]
    assert applied(table(), rest.formula).gates == rest.gates
    assert applied(table(), f"`{name}` ~ .").gates == ["y", *(other for other in NAMES if other != name)]


@pytest.mark.parametrize(
    "name", ["weight.kg", "class", "Intercept", "C", "center", "exp", "log", "np", "df", "x.y.z"]
)
def test_names_that_need_no_backticks(name):
    data = table()
    assert applied(data, f"y ~ {name}").x[name].equals(data[name])
    assert applied(data, f"{name} ~ y").y.equals(data[name])
    assert name not in applied(data, f"y ~ . - {name}").gates
    np.testing.assert_allclose(applied(data, f"y ~ exp({name})").x.iloc[:, 0], np.exp(data[name]))
    np.testing.assert_allclose(applied(data, f"y ~ {{{name} + 2}}").x.iloc[:, 0], data[name] + 2)
    assert applied(data, f"y ~ {name}:e").gates == [f"{name}:e"]


def test_the_name_of_an_argument_is_no_column():
    found = applied(table(), "y ~ bs(e, df=5) + df")
    assert found.gates == ["bs(e, df=5)", "df"]
    assert len(found.groups) == 6


def test_a_response_inside_a_function_is_not_among_the_predictors():
    assert "exp" not in applied(table().abs(), "log(exp) ~ .").gates
    assert "weight.kg" not in applied(table(), "I(weight.kg - y) ~ .").gates


def test_a_factor_whose_name_is_a_function_has_missing_cells():
    values = np.resize(["u", "v", "w"], 40).astype(object)
    values[[3, 5]] = None
    data = table().assign(center=values)
    for formula in ("y ~ e + C(center)", "y ~ center", "y ~ center:e"):
        assert "values are missing: 'center' in 2 rows" in refused(data, formula)
        assert applied(data, formula, drop_missing=True).rows_dropped == 2


def test_a_name_that_is_a_column_and_a_function_is_told():
    notes = applied(table(), "y ~ exp(exp) + e").notes
    assert notes == ["exp(...) in the formula is the function; the column 'exp' is exp without a parenthesis"]
    assert applied(table(), "y ~ exp + log").notes == []


@pytest.mark.parametrize(
    ("formula", "name"), [("y ~ log(e)", "log(e)"), ("y ~ e:pi", "e:pi"), ("y ~ e - 1", "1")]
)
def test_what_looks_like_an_odd_name_is_told(formula, name):
    data = table().abs().assign(**{"log(e)": 1.0, "e:pi": 2.0, name: table()["y"]})
    assert any(f"the column of that name is `{name}`" in note for note in applied(data, formula).notes)


def test_an_odd_name_without_backticks_is_asked_for():
    assert "Put the name into backticks: `a-b`" in refused(table()[["y", "e", "a-b"]], "y ~ . - a-b")
    assert "Put the name into backticks: `a b`" in refused(table(), "y ~ a b + e")
    assert "write `if` for the column" in refused(table(), "y ~ I(if + 1)")


def test_other_ways_to_name_a_column():
    assert applied(table(), "Q('a b') ~ Q(\"weight.kg\") + e").gates == ["weight.kg", "e"]


# ---- what changes nothing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ e - pi", "takes away pi, which it does not have at that place: it has e"),
        ("y ~ . - weight.k", "'weight.k' (did you mean 'weight.kg'?)"),
        ("y ~ . - log(e)", "takes away log(e)"),
        ("y ~ e*pi - e:exp", "takes away e:exp"),
        ("y - e ~ pi", "A difference of two columns is I(a - b)"),
        ("y ~ e + (-pi)", "the negative of a column is I(-a)"),
        ("y ~ -e", "takes away e"),
        ("y ~ e - 2", "arithmetic is written as I(a - 2)"),
        ("y ~ e + e**2", "write I(e**2) for the power, or poly(e, 2)"),
        ("y ~ e^2", "write I(e**2)"),
        ("y**2 ~ e", "write I(y**2)"),
        ("y ~ e:e", "write I(e**2)"),
        ("y ~ e*e", "write I(e**2)"),
        ("y ~ log(e)^3", "write I(log(e)**3)"),
        ("y ~ e:2", "a number changes the unit of a column and no result"),
    ],
)
def test_operators_that_would_do_nothing(formula, message):
    assert message in refused(table().abs(), formula)


def test_operators_that_do_something():
    assert applied(table(), "y ~ 0 + e - 1").intercept is False
    assert applied(table(), "y ~ (e + pi)^2").gates == ["e", "pi", "e:pi"]
    assert applied(table(), "y ~ e*pi - pi:e").gates == ["e", "pi"]
    assert applied(table(), "y ~ e/pi").gates == ["e", "e:pi"]


# ---- arithmetic ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula", ["y ~ I(e^2)", "y ~ {e^2}", "y ~ I((e)^2)", "y ~ np.power(e, 2)", "y ~ I(e**2)"]
)
def test_a_power_inside_an_expression(formula):
    whole = table().assign(e=np.arange(40))
    np.testing.assert_array_equal(applied(whole, formula).x.iloc[:, 0], np.arange(40.0) ** 2)


def test_a_power_binds_as_one_reads_it():
    whole = table().assign(e=np.arange(40))
    np.testing.assert_array_equal(applied(whole, "y ~ I(e^2 + 1)").x.iloc[:, 0], np.arange(40.0) ** 2 + 1)
    np.testing.assert_array_equal(applied(whole, "I(2*e^2) ~ y").y, 2.0 * np.arange(40.0) ** 2)


@pytest.mark.parametrize("formula", ["y ~ I(e & pi)", "y ~ {e > 3 & pi < 2}", "y ~ I(e | 1)"])
def test_signs_that_combine_bits(formula):
    whole = table().assign(e=np.arange(40), pi=np.arange(40) % 7)
    assert "put comparisons into parentheses" in refused(whole, formula)


def test_comparisons_may_be_combined():
    whole = table().assign(e=np.arange(40), pi=np.arange(40) % 7, flag=np.resize([True, False, False], 40))
    found = applied(whole, "y ~ I((e > 3) & (pi < 2) | flag)").x.iloc[:, 0]
    np.testing.assert_array_equal(found, ((whole["e"] > 3) & (whole["pi"] < 2) | whole["flag"]).astype(float))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ offset(e) + pi", "--offset COLUMN"),
        ("y ~ pi + weights(e)", "--weights COLUMN"),
        ("y ~ Surv(y, e)", "Surv(time, event) ~"),
        ("y ~ strata(e)", "C(site)"),
        ("y = pi", "write ~ in the place of ="),
        ("cbind(y, e) ~ pi", "--likelihood binomial --trials COLUMN"),
        ("y ~ cut(e, 3)", "bs(age, df=4)"),
        ("y ~ ifelse(e > 1, 1, 0)", "I(age > 50)"),
        ("y ~ s(e)", "bs(age, df=4)"),
        ("y ~ sqr(e)", "sqr(), which is no function here (did you mean sqrt?)"),
        ("y ~ I(e %% 2)", "here one writes a % b"),
        ("y ~ I(!e)", "here one writes ~(a > 1)"),
        ("y ~ I(e > 1 && pi > 1)", "here one writes (a > 1) & (b > 1)"),
        ("y ~ e(3)", "the column 'e' before a parenthesis"),
        ("y ~ sqrt", "'sqrt' (a function, which takes its column in parentheses)"),
    ],
)
def test_what_other_packages_write_is_answered(formula, message):
    assert message in refused(table(), formula)


def test_functions_of_other_packages_that_work():
    data = table().abs().assign(g=np.resize(["u", "v", "w"], 40))
    assert applied(data, "sqrt(y) ~ sqrt(e)").gates == ["sqrt(e)"]
    assert applied(data, "y ~ factor(g)").gates == ["C(g)"]
    assert applied(data, "y ~ as.factor(g)").gates == ["C(g)"]
    assert len(applied(data, "y ~ bs(e, df=4, include_intercept=FALSE)").groups) == 4


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ I(e**2)", "y ~ {e*pi}", "y ~ poly(e, 2, raw=True)", "y ~ np.multiply(e, pi)", "y ~ np.square(e)",
        "y ~ np.power(e, 2)", "y ~ I(e.pow(2))", "y ~ I((e + pi)**2)", "y ~ I(np.abs(e)*e)",
    ],
)  # fmt: skip
def test_a_product_of_columns_as_they_stand_is_told(formula):
    assert "its PIP depends on where e" in applied(table()[["y", "e", "pi"]], formula).notes[0]


@pytest.mark.parametrize(
    "formula",
    ["y ~ e:pi", "y ~ poly(e, 2)", "y ~ I(center(e)**2)", "y ~ I(2*e)", "y ~ np.square(e - e.mean())"],
)
def test_a_product_that_depends_on_no_zero_is_not(formula):
    assert applied(table()[["y", "e", "pi"]], formula).notes == []


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ bs(e, df=4)^2", "leave the power out"),
        ("y ~ C(e)**2", "leave the power out"),
        ("y ~ C(e):C(e)", "write it once"),
        ("y ~ e^2", "of a column of numbers; of a factor, e"),
        ("y ~ (1|e)", "write C(b) for a factor whose levels share a gate"),
        ("y ~ pi + (pi | e)", "effects that vary by group"),
        ("y ~ 2*e", "a number as a term or in a product, which changes the unit of a column"),
        ("y ~ e + 3", "a number as a term"),
        ("y ~ e/2", "arithmetic is written as I(2 * a)"),
    ],
)
def test_what_is_no_formula_here_says_what_to_write(formula, message):
    assert message.lower() in refused(table().abs(), formula).lower()


@pytest.mark.parametrize("formula", ["y ~ ns(e, df=4)", "y ~ pi + ns(log(e + 9), df=4)"])
def test_a_natural_spline_has_its_columns_beside_the_intercept(formula):
    found = applied(table().abs(), formula)
    x = found.x.to_numpy()
    assert np.linalg.matrix_rank(np.column_stack([np.ones(len(x)), x])) == 1 + x.shape[1]
    assert any("ns(...) is cs(..., constraints='center') here" in note for note in found.notes)
