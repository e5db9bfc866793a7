"""Every gate guide passes the suite of guides; each also with tied gates."""

from l0bayes.testing.gate_guide_suite import GateGuideSuite


class TestHardConcrete(GateGuideSuite):
    gate_law = "hard_concrete"


class TestHardConcreteTied(TestHardConcrete):
    options = {"tied": True}


class TestConcrete(GateGuideSuite):
    gate_law = "concrete"


class TestRectifiedNormal(GateGuideSuite):
    gate_law = "rectified_normal"


class TestHardKumaraswamy(GateGuideSuite):
    gate_law = "hard_kumaraswamy"


class TestConcreteDropout(GateGuideSuite):
    gate_law = "concrete_dropout"


class TestDisARM(GateGuideSuite):
    gate_law = "bernoulli"


class TestDisARMTied(TestDisARM):
    options = {"tied": True}


class TestRLOO(TestDisARM):
    options = {"estimator": "rloo", "num_evaluations": 3}


class TestStraightThrough(TestDisARM):
    options = {"estimator": "straight_through"}
