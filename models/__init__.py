"""Model families, one a file, and the architectures of the literature as plain torch modules."""

from l0bayes.models.lenet import LeNet5Caffe, LeNet300100
from l0bayes.models.network import SparseNetwork
from l0bayes.models.regression import SparseRegression
from l0bayes.models.terms import column_groups
from l0bayes.models.vision_transformer import VisionTransformer
from l0bayes.models.wide_resnet import WideResNet

__all__ = [
    "LeNet5Caffe",
    "LeNet300100",
    "SparseNetwork",
    "SparseRegression",
    "VisionTransformer",
    "WideResNet",
    "column_groups",
]
