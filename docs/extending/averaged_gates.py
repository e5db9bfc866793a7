"""A callback: the moving average of the inclusion probabilities, recorded and kept in checkpoints."""

from l0bayes.infer import Callback


class AveragedGates(Callback):
    """Averages P(z != 0) of every gate over the steps, which steadies it at a high learning rate.

    Args:
        memory: Weight of the past in each step, in [0, 1).
    """

    def __init__(self, memory=0.99):
        self.memory = memory
        self.mean = {}

    def on_start(self, run):
        self.mean = {name: law.prob_active.detach() for name, law in run.guide.gates().items()}

    def after_step(self, run):
        for name, law in run.guide.gates().items():
            self.mean[name] = self.mean[name].lerp(law.prob_active.detach(), 1.0 - self.memory)

    def columns(self, run):
        return {"averaged_l0": sum(float(mean.sum()) for mean in self.mean.values())}

    def state_dict(self, run):
        return self.mean

    def load_state_dict(self, run, state):
        self.mean = state
