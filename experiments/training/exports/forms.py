"""The forms of a trained model: a run's folder, the folder of a Llama, one file."""

from __future__ import annotations

from pathlib import Path

from experiments.training.exports import llama, single_file
from experiments.training.exports.single_file import ExportedModel


def is_exported(path: Path) -> bool:
    """True for a form that holds one model; other folders are of runs and studies."""
    return not path.is_dir() or llama.is_model(path)


def model_of(path: Path) -> ExportedModel:
    """The model of a completed run, or of an export. Raises a UserError where there is none."""
    if not is_exported(path):
        return single_file.trained(path)
    return (llama if path.is_dir() else single_file).read(path)
