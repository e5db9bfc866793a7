"""Networks in folders: safetensors, a JSON architecture, programs for others and a certificate. No pickle."""

from l0bayes.files.tensor_files import read_tensors, write_tensors
from l0bayes.network.saved.deployment_origin import DeploymentOrigin, origin_of, remember_origin
from l0bayes.network.saved.folder_contents import read_index
from l0bayes.network.saved.network_reader import load_deployed, read_certificate
from l0bayes.network.saved.network_writer import SavedNetwork, save_deployed
from l0bayes.network.saved.saved_classes import register_saved_class
from l0bayes.network.saved.saved_errors import ExportWarning, SavedNetworkError, UndecidedGatesWarning

__all__ = [
    "DeploymentOrigin",
    "ExportWarning",
    "SavedNetwork",
    "SavedNetworkError",
    "UndecidedGatesWarning",
    "load_deployed",
    "origin_of",
    "read_certificate",
    "read_index",
    "read_tensors",
    "register_saved_class",
    "remember_origin",
    "save_deployed",
    "write_tensors",
]
