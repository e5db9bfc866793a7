r"""What ``l0bayes demo`` shows: a table, a network and a model of one's own, one file each."""

from l0bayes.apps.demo.clinics_act import run_clinics
from l0bayes.apps.demo.diabetes_act import run_diabetes
from l0bayes.apps.demo.digits_act import run_digits
from l0bayes.apps.demo.next_steps import next_steps

__all__ = ["next_steps", "run_clinics", "run_diabetes", "run_digits"]
