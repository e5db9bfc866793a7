"""Tables that are read by column are fitted as they are, and like any other."""

import numpy as np
import pytest
import scipy.sparse
import torch

from l0bayes.estimators import SpikeSlabRegressor
from l0bayes.selection import WideOptions

_RNG = np.random.default_rng(1)
_X = _RNG.integers(0, 3, size=(80, 2100)).astype(np.int8)
_Y = 1.2 * _X[:, 5] - 0.9 * _X[:, 900] + _RNG.normal(size=80)
_QUICK = WideOptions(chains=16, steps=225, target_mcse=0.0)


def _fit(table, **arguments):
    settings = {"engine": "wide", "random_state": 0, "options": _QUICK, **arguments}
    return SpikeSlabRegressor(**settings).fit(table, _Y)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    path = tmp_path_factory.mktemp("columns") / "x.npy"
    np.save(path, _X)
    return np.load(path, mmap_mode="r")


@pytest.fixture(scope="module")
def fit(mapped):
    return _fit(mapped)


@pytest.mark.filterwarnings("ignore::l0bayes.selection.TrustWarning")
def test_a_memory_map_and_an_array_in_memory_give_the_same(fit, mapped):
    dense = _fit(_X.astype(float))
    assert dense.by_column_ is None  # an array of double precision that is not large
    np.testing.assert_allclose(fit.pip_, dense.pip_, atol=1e-4)
    np.testing.assert_allclose(fit.coef_, dense.coef_, atol=1e-4)
    assert fit.intercept_ == pytest.approx(dense.intercept_, abs=1e-3)
    new, new_dense = fit.predict(mapped, return_std=True), dense.predict(_X.astype(float), return_std=True)
    # Columns that were in no model have means a little beside 0, which predictions leave out.
    np.testing.assert_allclose(new[0], new_dense[0], atol=0.05)
    np.testing.assert_allclose(new[1], new_dense[1], rtol=0.05)


@pytest.mark.filterwarnings("ignore::l0bayes.selection.TrustWarning")
@pytest.mark.parametrize(
    "table",
    [
        scipy.sparse.csc_matrix(_X),
        _X.astype(np.float32),
        torch.tensor(_X).to(torch.bfloat16),
    ],
    ids=["sparse", "float32", "bfloat16"],
)
def test_other_tables_give_the_same(fit, table):
    other = _fit(table)
    assert other.by_column_ is not None
    np.testing.assert_allclose(fit.pip_, other.pip_, atol=1e-4)


def test_all_columns_have_probabilities_and_few_have_rows(fit):
    assert fit.engine_ == "wide"
    assert fit.n_features_in_ == 2100
    assert not hasattr(fit, "feature_names_in_")
    assert fit.pip_.shape == fit.coef_.shape == (2100,)
    assert set(np.argsort(fit.pip_)[-2:]) == {5, 900}
    table = fit.summary()
    assert len(table) == len(fit.by_column_.wide.kept) < 2100
    assert set(table.index[:2]) == {"x5", "x900"}
    assert "Outside of the" in str(fit.trust_)
    assert len(fit.top_models(3)) == 3


def test_what_does_not_fit_is_refused_by_name(mapped, fit):
    with pytest.raises(ValueError, match=r"X is of the wrong size: it has 80 rows, and y the shape \(79,\)"):
        SpikeSlabRegressor(engine="wide").fit(mapped, _Y[:79])
    with pytest.raises(ValueError, match=r"groups is for tables in memory.*engine='gibbs'"):
        _fit(mapped, groups=[0] * 2100)
    with pytest.raises(ValueError, match="slab='g' is for tables in memory"):
        _fit(mapped, slab="g", slab_scale=1.0)
    with pytest.raises(ValueError, match="X has 7 columns, and the fit had 2100"):
        fit.predict(mapped[:, :7])
    with pytest.raises(ValueError, match="'jeffreys' needs data that no model fits perfectly"):
        _fit(mapped, noise_prior="jeffreys")


@pytest.mark.filterwarnings("ignore::l0bayes.selection.TrustWarning")
def test_a_column_that_never_changes_has_the_probability_of_its_prior():
    x = _X[:, :1600].copy()
    x[:, 77] = 2
    with pytest.warns(UserWarning, match="X is constant in column 'x77'"):
        found = _fit(x, inclusion=0.001)
    assert found.pip_[77] == pytest.approx(0.001, rel=1e-6)
    assert found.coef_[77] == 0.0
