"""The suite of engines fails engines that are wrong."""

from dataclasses import replace

import pytest
import torch

from l0bayes.selection.engines.exact import ExactEngine
from l0bayes.testing.engine_suite import EngineSuite

NAME = "a known noise"


class Upside(ExactEngine):
    """Every inclusion probability is the one of the opposite."""

    def infer(self, problem, options, **keywords):
        found = super().infer(problem, options, **keywords)
        return replace(found, pip=1.0 - found.pip)


class ClaimsNothing(Upside):
    """And any error is declared."""

    def accuracy(self, problem, options):
        return 10.0


class IsNeverSure(Upside):
    """And any standard error."""

    def infer(self, problem, options, **keywords):
        found = super().infer(problem, options, **keywords)
        return replace(found, pip_mcse=torch.ones_like(found.pip))


class Slightly(ExactEngine):
    """Off by a tenth."""

    def infer(self, problem, options, **keywords):
        found = super().infer(problem, options, **keywords)
        return replace(found, pip=(found.pip - 0.1).clamp(0.0, 1.0))


class Spoils(ExactEngine):
    """Changes what readers of the problem share."""

    def infer(self, problem, options, **keywords):
        found = super().infer(problem, options, **keywords)
        problem.gram.matrix.mul_(1.01)
        return found


def suite_of(wrong):
    class Suite(EngineSuite):
        engine = wrong()

    return Suite()


@pytest.mark.parametrize("wrong", [Upside, ClaimsNothing, IsNeverSure, Slightly])
def test_wrong_probabilities(wrong):
    with pytest.raises(AssertionError):
        suite_of(wrong).test_it_agrees_with_enumeration(NAME)


def test_a_changed_problem():
    with pytest.raises(AssertionError):
        suite_of(Spoils).test_the_problem_is_not_changed(NAME)


def test_a_right_one_passes():
    suite_of(ExactEngine).test_it_agrees_with_enumeration(NAME)
    suite_of(ExactEngine).test_the_problem_is_not_changed(NAME)
