"""Columns that share a gate."""

import pytest

from l0bayes.models import SparseRegression
from l0bayes.models.terms import column_groups, term_names

FEATURES = ["age", "region[b]", "bmi", "region[c]", "s1", "s2"]
TERMS = {"spline": [4, 5], "region": ["region[b]", "region[c]"]}


def test_terms_by_name_and_place():
    assert column_groups(FEATURES, TERMS).tolist() == [0, 1, 2, 1, 3, 3]
    assert term_names(FEATURES, TERMS) == ["age", "region", "bmi", "spline"]


def test_a_regression_knows_its_terms():
    model = SparseRegression(FEATURES, groups=TERMS)
    assert model.groups.tolist() == [0, 1, 2, 1, 3, 3]
    assert model.coords == {"feature": FEATURES, "term": ["age", "region", "bmi", "spline"]}
    assert model.dims["beta.gate"] == ("term",)


@pytest.mark.parametrize(
    ("terms", "match"),
    [
        ({"a": []}, "give each term a list of columns"),
        ({"a": "age"}, "give each term a list of columns, got 'age'"),
        ({"a": ["height"]}, "'a' has the column 'height', which there is not"),
        ({"a": [6]}, "'a' has the column 6, which there is not"),
        ({"a": ["age"], "b": [0]}, "column 'age' is in 'a' and in 'b'"),
        ({"age": ["bmi"]}, "'age' is a term and a column outside of it"),
    ],
)
def test_refusals(terms, match):
    with pytest.raises(ValueError, match=match):
        column_groups(FEATURES, terms)
