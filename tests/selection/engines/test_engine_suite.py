"""The engines of the package pass the suite that others inherit."""

from l0bayes.selection import GibbsOptions, SVIOptions, WideOptions
from l0bayes.selection.engines.exact import ExactEngine
from l0bayes.selection.engines.gibbs import GibbsEngine
from l0bayes.selection.engines.svi import SVIEngine
from l0bayes.selection.engines.wide_engine import WideEngine
from l0bayes.testing.engine_suite import EngineSuite


class TestExact(EngineSuite):
    engine = ExactEngine()


class TestGibbs(EngineSuite):
    engine = GibbsEngine()

    def options(self, problem):
        return GibbsOptions(chains=64, steps=400, burn_in=40, target_mcse=0.005, check_every=50)


class TestSVI(EngineSuite):
    engine = SVIEngine()

    def options(self, problem):
        return SVIOptions(restarts=4, steps=300)


class TestBinarySVI(EngineSuite):
    engine = SVIEngine()

    def options(self, problem):
        return SVIOptions(gate_law="bernoulli", restarts=4, steps=300)


class TestWide(EngineSuite):
    engine = WideEngine()

    def options(self, problem):
        return WideOptions(chains=64, steps=315, target_mcse=0.005)
