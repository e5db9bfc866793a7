"""Real data, read from installed packages or a local folder, checksummed; nothing is downloaded."""

from l0bayes.datasets.folder import data_folder
from l0bayes.datasets.idx import mnist
from l0bayes.datasets.packaged import diabetes, digits
from l0bayes.datasets.png import cifar10
from l0bayes.datasets.shifts import Shifts
from l0bayes.datasets.splits import ImageSplit, Split, Table

__all__ = ["ImageSplit", "Shifts", "Split", "Table", "cifar10", "data_folder", "diabetes", "digits", "mnist"]
