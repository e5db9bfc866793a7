"""What is on its way out works, says so at the user's line, and goes when it was said to."""

from __future__ import annotations

import pytest

import l0bayes
from l0bayes import deprecation
from l0bayes.deprecation import DEPRECATIONS, Deprecation, deprecated, deprecated_names, renamed_arguments


@pytest.fixture(autouse=True)
def noted(monkeypatch):
    """What these tests deprecate is not of the library."""
    monkeypatch.setattr(deprecation, "DEPRECATIONS", [])
    return deprecation.DEPRECATIONS


def test_nothing_outlives_its_promise():
    now = tuple(int(part) for part in l0bayes.__version__.split(".")[:2])
    late = [one.what for one in DEPRECATIONS if tuple(int(x) for x in one.removed.split(".")[:2]) <= now]
    assert late == []


def test_a_function_works_and_warns_at_the_line_of_the_call(noted):
    @deprecated("l0bayes.new", since="0.2", removed="0.4", what="l0bayes.old")
    def old(x, *, y):
        """Adds."""
        return x + y

    told = "l0bayes.old is deprecated since l0bayes 0.2 and goes with 0.4: use l0bayes.new"
    with pytest.warns(FutureWarning, match=told) as caught:
        assert old(1, y=2) == 3
    assert caught[0].filename == __file__
    assert old.__doc__ == "Adds."
    assert noted == [Deprecation("l0bayes.old", "l0bayes.new", "0.2", "0.4")]


def test_renamed_arguments_work_by_both_names():
    @renamed_arguments({"num_steps": "steps"}, since="0.2", removed="0.4")
    def fit(x, *, steps=1):
        return x * steps

    assert fit(2, steps=3) == 6
    with pytest.warns(FutureWarning, match=r"num_steps= of .*fit is deprecated .*: use steps="):
        assert fit(2, num_steps=3) == 6
    with pytest.raises(TypeError, match="both num_steps and steps"):
        fit(2, num_steps=3, steps=3)


def test_names_of_a_module():
    get = deprecated_names("l0bayes.some", {"old": ("l0bayes.new", 7)}, since="0.2", removed="1.0")
    with pytest.warns(FutureWarning, match=r"some.old is deprecated .* goes with 1.0: use l0bayes.new"):
        assert get("old") == 7
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        get("other")


def test_two_minor_versions_are_promised():
    with pytest.raises(ValueError, match=r"must work for two minor versions after 0.2; got removed='0.3'"):
        Deprecation("a", "b", "0.2", "0.3")
