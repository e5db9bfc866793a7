"""Terms of many columns are one gate and mean the same in every coding; levels may be absent or rare."""

import numpy as np
import pandas as pd
import pytest

from l0bayes import SpikeSlabRegressor
from l0bayes.apps.select import apply_formula
from tests.apps.select.test_coding import compared, pips, table


@pytest.mark.parametrize(
    "formula", ["y ~ temp * g", "y ~ g:two + temp", "y ~ bs(temp, df=4):g"], ids=["crossed", "own", "spline"]
)
def test_levels_without_rows_change_nothing(formula):
    data = table()
    declared = data.assign(g=pd.Categorical(data["g"], categories=["never", "c", "a", "b", "nor this"]))
    compared(pips(data, formula), pips(declared, formula))


def test_levels_without_rows_change_nothing_in_an_estimator():
    data = table()
    levels = pd.Categorical(data["g"], categories=["never", "c", "a", "b"])
    plain = SpikeSlabRegressor(random_state=0).fit(data[["temp", "g"]], data["y"])
    declared = SpikeSlabRegressor(random_state=0).fit(data[["temp"]].assign(g=levels), data["y"])
    assert sorted(declared.columns_) == sorted(plain.columns_)
    other = dict(zip(declared.columns_, declared.pip_, strict=True))
    assert [other[name] for name in plain.columns_] == pytest.approx(plain.pip_.tolist(), rel=1e-10)


@pytest.mark.parametrize("formula", ["y ~ temp + g", "y ~ temp * g", "y ~ temp + g:hum"])
def test_a_level_of_one_row_is_a_level(formula):
    """Wherever it stands in the order, also first, where others have their reference."""
    data = table()
    data.loc[0, "g"] = "m"
    given = pips(data, formula)
    assert all(0.0 < pip < 1.0 for pip in given.values())
    for name in ("0", "z"):
        compared(given, pips(data.assign(g=data["g"].replace("m", name)), formula))


def test_a_rare_level_is_shrunk_and_does_not_pull_the_others():
    """One slab for all levels: what is told of a level of one row is its prior, nearly."""
    data = table(200)
    data.loc[0, "g"] = "m"
    found = apply_formula(data, "y ~ g", "gaussian")
    fit = SpikeSlabRegressor(random_state=0, inclusion=0.999).fit_coded(found.coded, found.y)
    table_of = fit.summary()
    assert table_of.loc["g[m]", "cond_sd"] > 2.0 * table_of.loc[["g[a]", "g[b]", "g[c]"], "cond_sd"].max()
    assert abs(table_of.loc[["g[a]", "g[b]", "g[c]", "g[m]"], "mean"].sum()) < 1e-9


@pytest.mark.parametrize(
    "term", ["poly(temp, 3)", "bs(temp, df=5)", "cs(temp, df=4)", "ns(temp, df=4)", "cr(temp, df=5)"]
)
def test_splines_and_polynomials_share_one_gate(term):
    data = table()
    found = apply_formula(data, f"y ~ {term} + hum", "gaussian")
    assert len(found.gates) == 2
    assert found.groups.count(found.gates[0]) == len(found.groups) - 1 >= 3
    shifted = data.assign(temp=1.8 * data["temp"] + 32.0)
    given, other = pips(data, f"y ~ {term} + hum"), pips(shifted, f"y ~ {term} + hum")
    assert list(given.values()) == pytest.approx(list(other.values()), rel=1e-8)


def test_raw_products_are_asked_for_and_depend_on_where_a_column_has_its_zero():
    data = table()
    shifted = data.assign(temp=1.8 * data["temp"] + 32.0)
    raw, other = (pips(one, "y ~ temp * hum", centred=False) for one in (data, shifted))
    assert abs(raw["temp"] - other["temp"]) > 1e-3
    np.testing.assert_allclose(
        apply_formula(data, "y ~ temp * hum", "gaussian", centred=False).x["temp:hum"],
        data["temp"] * data["hum"],
    )
