"""Files that are whole or not there, and hold nothing that could run."""

from l0bayes.files.tensor_files import read_tensors, write_tensors
from l0bayes.files.whole_files import Stopped, folder_for, settle, staged, write_whole

__all__ = [
    "Stopped",
    "folder_for",
    "read_tensors",
    "settle",
    "staged",
    "write_tensors",
    "write_whole",
]
