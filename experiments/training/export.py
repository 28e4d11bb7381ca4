"""The parameters of a model as one plain safetensors file, and back.

A weight of layer 3 is the array "blocks.3.attention.query", of the shape of its letters ("d->hk":
[d, h, k], inputs first), in float32 and as stored: the forward pass uses it times its multiplier.
Scanned and unrolled layers give the same file. The file's metadata hold, as JSON,

    config         {"science": ..., "execution": ...} as in config.json
    letters        of every array
    multipliers    of every array, by the parametrization
    factors        on q.k ("attention"), on a branch's output ("residual"), and on the logits where
                   the embedding is the readout too ("tied_readout")

The file alone is enough to compute the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from numpy.typing import NDArray

from experiments import record
from experiments.config.from_record import from_record, read_config, stored
from experiments.config.run import RunConfig
from experiments.record import Status, StoredConfig
from experiments.runs.checkpoint import Checkpoints
from experiments.training.hypers import hypers
from experiments.training.populations.programs import programs
from experiments.training.step import Recipe, recipe
from experiments.training.update import evaluated
from models.weights import STACK, Params
from scaling.common import files
from scaling.common.errors import UserError, nearest
from scaling.common.extras import import_extra
from scaling.machines.layout import Layout
from scaling.parametrization.weight import Weight

Arrays = Mapping[str, NDArray[np.float32]]
CONFIG = "config"
AGAIN = "export it again"


def name(weight: Weight, layer: int | None) -> str:
    """The name of a weight's array; without a number for a weight in no layer."""
    where = weight.path.replace("/", ".")
    return where if layer is None else where.replace(f"{STACK}.", f"{STACK}.{layer}.", 1)


def to_arrays(made: Recipe, params: Params) -> Arrays:
    """The parameters by name, one array for each layer."""
    found: dict[str, NDArray[np.float32]] = {}
    for weight, leaf in zip(made.table, jax.tree.leaves(params), strict=True):
        value = np.asarray(leaf)
        arrays = [(weight.layer, value)]
        if weight.stacked:
            arrays = list(zip(weight.layers(made.spec.config.layers), value, strict=True))
        found |= {name(weight, layer): np.ascontiguousarray(part) for layer, part in arrays}
    return found


def from_arrays(made: Recipe, arrays: Arrays, where: str) -> Params:
    """The parameters in the form of a recipe; `where` is the file, for messages.

    Raises:
        UserError: an array is missing, has another shape, or is of no weight of the model.
    """
    left = dict(arrays)

    def take(weight: Weight, layer: int | None) -> NDArray[np.float32]:
        key = name(weight, layer)
        if key not in left:
            raise UserError(f"{where}: no array '{key}', which this model has; export it again")
        value = left.pop(key)
        if value.shape != weight.shape:
            raise UserError(
                f"{where}: '{key}' has the shape {value.shape}, and {weight.shape} in this model: "
                "it is of another config"
            )
        return np.asarray(value, np.float32)

    def leaf(weight: Weight) -> NDArray[np.float32]:
        if weight.stacked:
            layers = weight.layers(made.spec.config.layers)
            return np.stack([take(weight, layer) for layer in layers])
        return take(weight, weight.layer)

    params: Params = jax.tree.map(leaf, made.weights, is_leaf=lambda x: isinstance(x, Weight))
    if left:
        hint = nearest(next(iter(left)), arrays.keys() - left.keys())
        raise UserError(f"{where}: '{next(iter(left))}' is no weight of this model; {hint}")
    return params


def finished(folder: Path) -> tuple[RunConfig, Params]:
    """The config of a completed run, for one device, and the parameters that it is evaluated by.

    Raises:
        UserError: it is not completed, or its last checkpoint is gone.
    """
    if (status := record.run_status(folder)) is not Status.COMPLETED:
        raise UserError(f"{folder}: {status}; give the folder of a completed run: runs/STUDY/RUN")
    config = read_config(folder / record.CONFIG)
    config = replace(config, execution=replace(config.execution, layout=Layout()))
    made = recipe(config)
    with Checkpoints(folder / record.CHECKPOINTS) as checkpoints:
        state = checkpoints.restore(programs(made).init(hypers(config.science)))
    if int(state.step) < config.science.steps:
        raise UserError(f"{folder / record.CHECKPOINTS}: that of the last step is gone")
    return config, evaluated(state.optimizer, state.params)


def metadata(config: RunConfig) -> dict[str, str]:
    """The metadata of a file: its config, and the letters and factors of its arrays."""
    made, model = recipe(config), config.science.model
    p = config.science.parametrization
    names: dict[str, Weight] = {}
    for weight in made.table:
        layers = range(weight.stacked) if weight.stacked else [weight.layer]
        names |= {name(weight, layer): weight for layer in layers}
    factors = {
        "attention": p.attention_factor(model.head_dim),
        "residual": p.residual_factor(model),
    }
    if model.embeddings == "tied":
        factors["tied_readout"] = p.tied_readout_factor(model)
    values = {
        CONFIG: files.plain(stored(config)),
        "letters": {key: weight.letters for key, weight in names.items()},
        "multipliers": {key: p.rule(weight, model).multiplier for key, weight in names.items()},
        "factors": factors,
    }
    return {key: json.dumps(value) for key, value in values.items()}


def write(path: Path, config: RunConfig, params: Params) -> None:
    """Write the file, whole or not at all.

    Raises:
        UserError: safetensors is not installed, or the file cannot be written.
    """
    library = import_extra("safetensors.numpy", "safetensors", "an export")
    data = library.save(to_arrays(recipe(config), params), metadata(config))
    files.write_bytes(path, data)


def read(path: Path) -> tuple[RunConfig, Arrays]:
    """The config and the arrays of a file made by `write`.

    Raises:
        UserError: safetensors is not installed, or the file is of another format, damaged, or
            without a config.
    """
    library = import_extra("safetensors", "safetensors", "an import")
    try:
        with library.safe_open(path, framework="numpy") as file:
            found = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror or error})") from error
    except library.SafetensorError as error:
        raise UserError(f"{path}: no whole safetensors file ({error}); export it again") from error
    if CONFIG not in found:
        raise UserError(f"{path}: its metadata hold no config; was it exported here?")
    config = files.decode(found[CONFIG], StoredConfig, f"{path}: {CONFIG}", AGAIN)
    return from_record(config, str(path)), arrays
