"""The parameters of a model as one plain safetensors file, and back.

A weight of layer 3 is the array "blocks.3.attention.query", of the shape of its letters ("d->hk":
[d, h, k], inputs first), in float32 and as stored: the forward pass uses it times its multiplier.
Scanned and unrolled layers give the same file. The file's metadata hold, as JSON,

    config         {"science": ..., "execution": ...} as in config.json
    letters        of every array
    multipliers    of every array, by the parametrization
    step           of the checkpoint
    tokenizer      of the package tokenizers, or "bytes": each byte is its own id, 0 ends a document
    factors        on q.k ("attention"), on a branch's output ("residual"), and on the logits where
                   the embedding is the readout too ("tied_readout")

The file alone is enough to compute the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from experiments import record
from experiments.config.data import CorpusConfig
from experiments.config.from_record import from_record, read_config, stored
from experiments.config.overrides import assign
from experiments.config.run import RunConfig
from experiments.data.tokenizer import Tokenizer, load_tokenizer
from experiments.record import Status, StoredConfig
from experiments.runs import checkpoint
from experiments.training.hypers import hypers
from experiments.training.populations.programs import programs
from experiments.training.step import Recipe, TrainState, evaluated, recipe
from models.weights import STACK, Params
from scaling.common import files
from scaling.common.errors import UserError, nearest
from scaling.common.plugins import import_extra
from scaling.machines.layout import Layout
from scaling.parametrization.weight import Weight

Arrays = Mapping[str, NDArray[np.float32]]
CONFIG, STEP, TOKENIZER = "config", "step", "tokenizer"
BYTES = "bytes"
ORIGIN = (CONFIG, STEP)  # of the metadata, what a file of another layout keeps
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
        found |= {name(weight, layer): np.asarray(part, order="C") for layer, part in arrays}
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
            raise UserError(f"{where}: no array '{key}', which this model has; {AGAIN}")
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


@dataclass(frozen=True)
class ExportedModel:
    """All that an export holds: the config of a run, for one device, and its trained parts."""

    config: RunConfig
    arrays: Arrays
    tokenizer: Tokenizer
    step: int


def trained(folder: Path, step: int | None = None) -> ExportedModel:
    """The model of a run at a kept checkpoint. Raises as `parameters`, or it has no tokenizer."""
    config, step, arrays = parameters(folder, step)
    return ExportedModel(config, arrays, _tokenizer(config, folder / record.TOKENIZER), step)


def parameters(folder: Path, step: int | None = None) -> tuple[RunConfig, int, Arrays]:
    """The config, step and arrays of a kept checkpoint, those that the run is evaluated by.

    Without a step it is the last, of a completed run. Rounded matrices are rounded here, and the
    config is of a run that does not round.

    Raises:
        UserError: the run is not completed, or there is no such checkpoint.
    """
    config, step, made, state = kept_state(folder, step)
    arrays = to_arrays(made, evaluated(made, state))
    return assign(config, {"optimizer.rounded": "none"}), step, arrays


def kept_state(folder: Path, step: int | None) -> tuple[RunConfig, int, Recipe, TrainState]:
    """The config, step, recipe and state of a kept checkpoint; raises as `parameters`."""
    status = record.run_status(folder)
    if status is Status.MISSING:
        raise UserError(f"{folder}: holds no run; give the folder of one, runs/STUDY/RUN")
    if step is None and status is not Status.COMPLETED:
        raise UserError(
            f"{folder}: {status}, not completed; make a file of a kept checkpoint: "
            f"windtunnel export {folder} --step N --to FILE.safetensors"
        )
    config = read_config(folder / record.CONFIG)
    config = replace(config, execution=replace(config.execution, layout=Layout()))
    made, step = recipe(config), config.science.steps if step is None else step
    fresh = programs(made).init(hypers(config.science))
    return config, step, made, checkpoint.read(folder / record.CHECKPOINTS, step, fresh)


def _tokenizer(config: RunConfig, path: Path) -> Tokenizer:
    """The tokenizer of a run, whose folder holds it."""
    corpus = config.science.data
    try:
        content = b"" if corpus.tokenizer == "bytes" else path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot read ({error.strerror}); copy the one of the corpus "
            f"{corpus.fingerprint} from a cache"
        ) from error
    return tokenizer_of(corpus, content, str(path))


def tokenizer_of(corpus: CorpusConfig, content: bytes, where: str) -> Tokenizer:
    """The tokenizer of a corpus, from its file's content; `where` is for messages."""
    try:
        return load_tokenizer(corpus.tokenizer, corpus.vocab_size, content)
    except ValueError as error:
        raise UserError(f"{where}: no tokenizer ({error}); {AGAIN}") from error


def weights_by_name(made: Recipe) -> dict[str, Weight]:
    """The weight of each array, as its maker described it."""
    names: dict[str, Weight] = {}
    for weight in made.table:
        layers = weight.layers(made.spec.config.layers) if weight.stacked else [weight.layer]
        names |= {name(weight, layer): weight for layer in layers}
    return names


def metadata(found: ExportedModel) -> dict[str, str]:
    """The metadata of a file: its config, its tokenizer, the letters and factors of its arrays."""
    config = found.config
    made, model = recipe(config), config.science.model
    p = config.science.parametrization
    names = weights_by_name(made)
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
        STEP: found.step,
    }
    tokenizer = found.tokenizer.content.decode() or json.dumps(BYTES)
    return {key: json.dumps(value) for key, value in values.items()} | {TOKENIZER: tokenizer}


def write(path: Path, found: ExportedModel) -> None:
    """Write the file, whole or not at all.

    Raises:
        UserError: safetensors is not installed, or the file cannot be written.
    """
    library = import_extra("safetensors.numpy", "safetensors", "an export")
    files.write_bytes(path, library.save(found.arrays, metadata(found)))


def contents(path: Path) -> tuple[Arrays, Mapping[str, str]]:
    """The arrays of any safetensors file, in float32, and its metadata.

    Raises:
        UserError: safetensors is not installed, the file cannot be read or is damaged, or an array
            holds no finite real numbers.
    """
    library = import_extra("safetensors", "safetensors", "an import")
    try:
        with library.safe_open(path, framework="flax") as file:  # NumPy has no bfloat16
            keys = list(file.keys())
            arrays = {key: _weight(file.get_tensor(key), f"{path}: '{key}'") for key in keys}
            return arrays, file.metadata() or {}
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror or error})") from error
    except library.SafetensorError as error:
        raise UserError(f"{path}: no whole safetensors file ({error}); {AGAIN}") from error


def _weight(array: jax.Array, where: str) -> NDArray[np.float32]:
    """An array in float32. Raises a UserError with `where` if it holds no finite real numbers."""
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise UserError(f"{where} holds {array.dtype}, and weights are real numbers; {AGAIN}")
    value = np.asarray(array, np.float32)
    if not np.isfinite(value).all():
        raise UserError(f"{where} holds values that are not finite; {AGAIN}")
    return value


def read(path: Path) -> ExportedModel:
    """The content of a file made by `write`.

    Raises:
        UserError: as `contents`, or the file has no config or lacks its tokenizer.
    """
    arrays, found = contents(path)
    if CONFIG not in found:
        raise UserError(f"{path}: its metadata hold no config; was it exported here?")
    config = config_of(found, path)
    corpus, where = config.science.data, f"{path}: {TOKENIZER}"
    if TOKENIZER not in found and corpus.tokenizer != BYTES:
        raise UserError(f"{path}: its metadata hold no {TOKENIZER}; {AGAIN}")
    tokenizer = tokenizer_of(
        corpus, found[TOKENIZER].encode() if TOKENIZER in found else b"", where
    )
    return ExportedModel(config, arrays, tokenizer, step_of(found, path, config.science.steps))


def config_of(found: Mapping[str, str], path: Path) -> RunConfig:
    """The config in a file's metadata."""
    stored_config = files.decode(found[CONFIG], StoredConfig, f"{path}: {CONFIG}", AGAIN)
    return from_record(stored_config, str(path))


def step_of(found: Mapping[str, str], path: Path, last: int) -> int:
    """The step in a file's metadata; `last` of a file of an earlier version."""
    return files.decode(found[STEP], int, f"{path}: {STEP}", AGAIN) if STEP in found else last
