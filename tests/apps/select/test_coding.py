"""No PIP depends on the coding of a factor or on units, and the report says how effects are read."""

import numpy as np
import pandas as pd
import pytest

from l0bayes import SpikeSlabPoissonRegressor, SpikeSlabRegressor
from l0bayes.apps.select import apply_formula
from l0bayes.apps.select.coding_words import describe_coding

FORMULAS = [
    "y ~ temp + g",
    "y ~ temp * hum",
    "y ~ temp * g",
    "y ~ g / temp",
    "y ~ g * two",
    "y ~ temp + g:hum",
    "y ~ g:two",
    "y ~ temp * hum * two",
    "y ~ poly(temp, 2) * g",
    "y ~ bs(temp, df=4) + C(g):hum",
    "y ~ (temp + hum + g)^2",
    "y ~ I(temp > 10) + temp:I(hum > 50)",
]


def table(count=80, seed=0):
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "temp": rng.normal(12.0, 8.0, count),
            "hum": rng.normal(50.0, 12.0, count),
            "g": rng.choice(list("abc"), count, p=[0.15, 0.5, 0.35]),
            "two": rng.choice(["no", "yes"], count, p=[0.7, 0.3]),
        }
    )
    made["y"] = (
        0.3 * (made["temp"] - 12) / 8
        + 0.3 * (made["temp"] - 12) / 8 * (made["hum"] - 50) / 12
        + (made["g"] == "a") * (0.8 + 0.5 * (made["hum"] - 50) / 12)
        + 0.4 * (made["two"] == "yes")
        + rng.normal(size=count)
    )
    return made


def pips(data, formula, kind=SpikeSlabRegressor, **options):
    """PIPs by gate."""
    likelihood = "gaussian" if kind is SpikeSlabRegressor else "poisson"
    found = apply_formula(data, formula, likelihood, **options)
    fit = kind(fit_intercept=found.intercept, random_state=0).fit_coded(found.coded, found.y)
    return dict(zip(found.gates, fit.original_scale_.pip.tolist(), strict=True))


def compared(one, other, rename=lambda name: name):
    assert {rename(name) for name in one} == set(other)
    for name, pip in one.items():
        assert pip == pytest.approx(other[rename(name)], rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("formula", FORMULAS)
def test_units_change_no_pip(formula):
    data = table()
    fahrenheit = data.assign(temp=1.8 * data["temp"] + 32.0, hum=data["hum"] / 100.0 - 1.0)
    changed = formula.replace("temp > 10", "temp > 50").replace("hum > 50", "hum > -0.5")
    given, other = pips(data, formula), pips(fahrenheit, changed)
    assert list(given.values()) == pytest.approx(list(other.values()), rel=1e-9)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("names", [{"a": "z"}, {"a": "c", "c": "a"}, {"b": "0x", "c": "1x"}], ids=str)
def test_names_of_levels_change_no_pip(formula, names):
    data = table()
    other = data.assign(
        g=data["g"].map(lambda level: names.get(level, level)), two=data["two"].map({"no": "x", "yes": "k"})
    )
    compared(pips(data, formula), pips(other, formula))


@pytest.mark.slow
@pytest.mark.parametrize("formula", FORMULAS)
def test_a_factor_of_two_levels_is_a_column_of_zeros_and_ones(formula):
    if "g:two" in formula:
        pytest.skip("each level of its own, beside numbers a slope")
    data = table()
    other = data.assign(two=(data["two"] == "yes") * 1)
    compared(pips(data, formula), pips(other, formula))
    compared(pips(data.assign(two=data["two"] == "yes"), formula), pips(other, formula))


@pytest.mark.parametrize(
    "coding",
    [
        "contr.sum",
        "contr.treatment('c')",
        "contr.helmert",
        "Treatment('b')",
        "contr.poly",
        "Sum",
        "contr.diff()",
    ],
)
def test_contrasts_change_no_pip_and_that_is_told(coding):
    data = table()
    given = pips(data, "y ~ temp + C(g)")
    found = apply_formula(data, f"y ~ temp + C(g, {coding})", "gaussian")
    assert list(given.values()) == pytest.approx(
        list(pips(data, f"y ~ temp + C(g, {coding})").values()), rel=1e-10
    )
    assert "no PIP depends on how levels are coded" in found.notes[0]
    assert apply_formula(data, found.formula, "gaussian").gates == found.gates


def test_a_coding_of_ones_own_is_refused():
    with pytest.raises(ValueError, match="a coding of levels of its own"):
        apply_formula(table(), "y ~ C(g, {'u': [1, 0, 0], 'v': [0, 1, 0]})", "gaussian")


def test_counts_too():
    data = table()
    data["y"] = np.random.default_rng(0).poisson(np.exp(0.4 * data["y"]))
    for formula in ("y ~ temp * hum", "y ~ temp * g"):
        given = pips(data, formula, SpikeSlabPoissonRegressor)
        other = data.assign(temp=data["temp"] + 273.15, g=data["g"].map({"a": "2", "b": "1", "c": "3"}))
        compared(given, pips(other, formula, SpikeSlabPoissonRegressor))


# ---- columns ---------------------------------------------------------------------------------------------


def test_products_are_of_centred_columns():
    data = table()
    found = apply_formula(data, "y ~ temp * hum", "gaussian")
    temp, hum = data["temp"] - data["temp"].mean(), data["hum"] - data["hum"].mean()
    np.testing.assert_allclose(found.x["temp:hum"], temp * hum)
    np.testing.assert_array_equal(found.x["temp"], data["temp"])
    assert found.centres == pytest.approx({"temp": data["temp"].mean(), "hum": data["hum"].mean()})
    assert "Products are of columns less their means (temp less" in " ".join(describe_coding(found))


def test_products_of_columns_as_they_stand():
    data = table()
    found = apply_formula(data, "y ~ temp * hum", "gaussian", centred=False)
    np.testing.assert_allclose(found.x["temp:hum"], data["temp"] * data["hum"])
    assert "Products are of columns as they stand" in " ".join(describe_coding(found))
    through_zero = apply_formula(data, "y ~ 0 + temp * hum", "gaussian")
    np.testing.assert_allclose(through_zero.x["temp:hum"], data["temp"] * data["hum"])
    kelvin = pips(data.assign(temp=data["temp"] + 273.15), "y ~ temp * hum", centred=False)
    assert abs(pips(data, "y ~ temp * hum", centred=False)["temp:hum"] - kelvin["temp:hum"]) > 0.01


@pytest.mark.parametrize(
    ("formula", "group", "columns", "degrees", "rank"),
    [
        ("y ~ g", "g", 3, 2, 2),
        ("y ~ 0 + g", "g", 3, 3, 3),
        ("y ~ temp * g", "temp:g", 3, 2, 2),
        ("y ~ g / temp", "g:temp", 3, 3, 3),
        ("y ~ g * two", "g:two", 6, 2, 2),
        ("y ~ g / two", "g:two", 6, 3, 3),
        ("y ~ g:two", "g:two", 6, 6, 5),
        ("y ~ 0 + g * two", "g:two", 6, 6, 6),
    ],
)
def test_what_levels_stand_for(formula, group, columns, degrees, rank):
    """As in R: differences where the rest of a term is in the formula, and effects of their own elsewhere."""
    found = apply_formula(table(), formula, "gaussian")
    blocks = [block for block in found.blocks if found.groups[block.columns[0]] == group]
    assert [(len(block.columns), block.degrees) for block in blocks] == [(columns, degrees)]
    values = found.x.iloc[:, list(blocks[0].columns)].to_numpy()
    centred = values - values.mean(0) if found.intercept else values
    assert np.linalg.matrix_rank(centred) == rank


def test_each_column_of_a_spline_has_its_own_levels():
    found = apply_formula(table(), "y ~ bs(temp, df=4) * g", "gaussian")
    blocks = [block for block in found.blocks if found.groups[block.columns[0]] == "bs(temp, df=4):g"]
    assert [block.degrees for block in blocks] == [2] * 4
    assert found.groups.count("bs(temp, df=4):g") == 12


def test_combinations_that_no_row_has_get_no_column():
    data = table()
    data = data[~((data["g"] == "a") & (data["two"] == "yes"))]
    assert apply_formula(data, "y ~ g:two", "gaussian").groups == ["g:two"] * 5
    assert 0.0 < pips(data, "y ~ g * two")["g:two"] < 1.0


def test_levels_within_levels_have_no_product():
    data = table().assign(school=lambda rows: rows["g"] + rows["two"])
    with pytest.raises(ValueError, match="each level of one of its factors is in one level of another only"):
        apply_formula(data, "y ~ g * school", "gaussian")


def test_how_effects_of_levels_are_read():
    words = " ".join(describe_coding(apply_formula(table(), "y ~ g + temp:two", "gaussian")))
    assert "Effects of g are those of each level, as differences from the mean of all its levels" in words
    assert "Effects of temp:two are those of each level by itself." in words
