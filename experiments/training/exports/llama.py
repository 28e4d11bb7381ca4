"""The folder of a Llama, as the package transformers reads it: for other programs, and back.

    config.json         the sizes
    model.safetensors   the weights, [outputs, inputs]; several files and an index are read too
    tokenizer.json      of the package tokenizers; bytes are pairs without merges

A parametrization's factors go into the weights, so that the folder needs none of them. With the
multiplier c of each weight w, f on q.k, r on a branch and t on the logits of a tied readout,

    query c f sqrt(k) w     out c r w     final gain c t w     all others c w.

Architectures that Llama lacks are refused by the field that makes the difference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from experiments.config.data import DataConfig
from experiments.config.fields import from_json
from experiments.config.run import BatchConfig, Execution, RunConfig, Science
from experiments.data.tokenizer import FILE, Tokenizer, byte_letters
from experiments.training.exports import single_file
from experiments.training.exports.single_file import Arrays, ExportedModel, weights_by_name
from experiments.training.step import recipe
from models.config import TransformerConfig
from models.mixers._attention import ROPE_BASE
from models.module import EPSILON
from scaling.common import files
from scaling.common.alphabet import parse
from scaling.common.errors import UserError
from scaling.common.plugins import import_extra
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.weight import Weight

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
INPUT, READOUT = "model.embed_tokens.weight", "lm_head.weight"
BUFFERS = "rotary_emb.inv_freq"  # of old files, and no weights
CONTEXT = 512  # of text by which a stranger's model is evaluated

# Our name of a layer's weight and theirs; gains of norms are vectors.
LAYER: Mapping[str, str] = {
    "attention_norm.gain": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.out": "self_attn.o_proj",
    "mlp_norm.gain": "post_attention_layernorm",
    "mlp.gate": "mlp.gate_proj",
    "mlp.in": "mlp.up_proj",
    "mlp.out": "mlp.down_proj",
}
BRANCHES = ("attention.out", "mlp.out")

# What a model must be, and a config.json of theirs.
OURS: Mapping[str, Any] = {
    "positions": "rope",
    "norm": "rmsnorm",
    "mlp": "swiglu",
    "quantized": "none",
    "weights": "dense",
    "qk_norm": "none",
    "embedding_norm": "none",
    "block": "sequential",
    "experts": 0,
    "sharing": "none",
    "recursion": "none",
    "norms": "pre",
    "layer_heads": (1.0, 1.0),
    "layer_ffn": (1.0, 1.0),
    "separator": -1,
}
BLOCK = ("attention", "mlp")
INSTEAD, AGAIN = "export a file by --to", "copy it again"
THEIRS: Mapping[str, Any] = {
    "model_type": "llama",
    "hidden_act": "silu",
    "rms_norm_eps": EPSILON,
    "rope_theta": ROPE_BASE,
    "rope_scaling": None,
    "rope_type": "default",  # of transformers 5
}


@dataclass(frozen=True)
class _Place:
    """An array of theirs for one of ours: its name, and the factor beside the multiplier."""

    name: str
    factor: float = 1.0


class _Index(msgspec.Struct, frozen=True):
    """The file of each array, of a model of several."""

    weight_map: dict[str, str]


def is_model(path: Path) -> bool:
    """True for a folder with weights of another program."""
    return any((path / name).is_file() for name in (WEIGHTS, INDEX))


def check(model: TransformerConfig) -> None:
    """Refuse a model that no Llama is. Raises a UserError with the field."""
    for field, wanted in OURS.items():
        if (said := getattr(model, field)) != wanted:
            raise UserError(f"model.{field}={said}: a Llama has {wanted}; {INSTEAD}")
    if set(model.blocks) != {BLOCK}:
        said = ",".join(model.pattern)
        raise UserError(f"model.pattern={said}: a Llama has {'+'.join(BLOCK)}; {INSTEAD}")


def places(config: RunConfig) -> dict[str, _Place]:
    """The place of each of our arrays."""
    model, p = config.science.model, config.science.parametrization
    tied = model.embeddings == "tied"
    found = {
        "embedding": _Place(INPUT),
        "readout": _Place(READOUT),
        "final_norm.gain": _Place(
            "model.norm.weight", p.tied_readout_factor(model) if tied else 1.0
        ),
    }
    factors = {
        "attention.query": p.attention_factor(model.head_dim) * math.sqrt(model.head_dim),
        **dict.fromkeys(BRANCHES, p.residual_factor(model)),
    }
    for layer in range(model.layers):
        for ours, theirs in LAYER.items():
            for kind, end in (("weight", ""), ("bias", "_bias")):
                name = f"model.layers.{layer}.{theirs}.{kind}"
                place = _Place(name, factors.get(ours, 1.0))
                found[f"blocks.{layer}.{ours}{end}"] = place
    return found


def tensors(found: ExportedModel) -> Arrays:
    """The arrays of a Llama of the same logits.

    Raises:
        UserError: the model is no Llama.
    """
    model, p = found.config.science.model, found.config.science.parametrization
    check(model)
    names = weights_by_name(recipe(found.config))
    made: dict[str, NDArray[np.float32]] = {}
    for ours, place in places(found.config).items():
        if ours in names:
            weight = names[ours]
            value = found.arrays[ours] * p.rule(weight, model).multiplier * place.factor
            made[place.name] = _theirs(value, weight, model.width)
        elif ours.endswith(".gain"):
            made[place.name] = np.full(model.width, place.factor, np.float32)
    return made


def _theirs(value: NDArray[Any], weight: Weight, width: int) -> NDArray[np.float32]:
    """[*inputs, *outputs] to [outputs, inputs]; a gain for all features to one for each."""
    if weight.role == "gain":
        value = np.broadcast_to(value, (width,))
    elif weight.role == "bias":
        value = value.reshape(-1)
    elif weight.role != "embedding":
        value = value.reshape(weight.fan_in, weight.fan_out).T
    return np.array(value, np.float32, order="C")


def _ours(value: NDArray[np.float32], weight: Weight, where: str) -> NDArray[np.float32]:
    """[outputs, inputs] to [*inputs, *outputs]."""
    inputs = (weight.fan_in,) if parse(weight.letters).inputs else ()
    shape = (weight.fan_out, *inputs)
    matrix = value.T if weight.role == "embedding" else value
    if matrix.shape != shape:
        raise UserError(f"{where} has the shape {value.shape}, which {CONFIG} denies")
    return matrix.T.reshape(weight.shape)


def settings(config: RunConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of config.json."""
    model = config.science.model
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": model.vocab_size,
        "hidden_size": model.width,
        "intermediate_size": model.ffn,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.science.batch.seq_len,
        "rms_norm_eps": EPSILON,
        "rope_theta": ROPE_BASE,
        "attention_bias": model.biases == "all",
        "mlp_bias": model.biases == "all",
        "tie_word_embeddings": model.embeddings == "tied",
        "bos_token_id": tokenizer.separator,
        "eos_token_id": tokenizer.separator,
        "torch_dtype": "float32",
    }


def write(folder: Path, found: ExportedModel) -> None:
    """Write the folder.

    Raises:
        UserError: the model is no Llama, safetensors is not installed, the folder holds another
            config.json, such as a run's, or the disk refuses.
    """
    if (folder / CONFIG).exists() and not is_model(folder):
        raise UserError(f"{folder}: holds another {CONFIG}; name a new folder")
    library = import_extra("safetensors.numpy", "safetensors", "an export")
    arrays = tensors(found)
    metadata = single_file.metadata(found)
    origin = {key: metadata[key] for key in single_file.ORIGIN}
    files.write_bytes(folder / WEIGHTS, library.save(arrays, {"format": "pt", **origin}))
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
    }
    for name, value in (
        (CONFIG, settings(found.config, found.tokenizer)),
        ("tokenizer_config.json", tokenizer),
    ):
        files.write_json(folder / name, value)
    files.write_bytes(folder / FILE, found.tokenizer.content or _of_bytes())


def _of_bytes() -> bytes:
    """The tokenizer of bytes in the JSON of the package tokenizers."""
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    level |= {"use_regex": False}
    model = {"type": "BPE", "vocab": byte_letters(), "merges": []}
    whole = {"version": "1.0", "added_tokens": [], "pre_tokenizer": level, "decoder": level}
    return json.dumps({**whole, "model": model}, ensure_ascii=False).encode()


def read(folder: Path) -> ExportedModel:
    """The model in a folder, of one written here with the data of its run, under SP.

    Raises:
        UserError: it is no Llama of ours, or its files do not fit one another.
    """
    stored, metadata = _arrays(folder)
    arrays, model = dict(stored), _model(folder)
    if model.embeddings == "tied" and np.array_equal(arrays.get(READOUT, ()), arrays.get(INPUT, 0)):
        del arrays[READOUT]  # the same weights again
    if single_file.CONFIG in metadata:
        config = single_file.config_of(metadata, folder / WEIGHTS)
    else:
        data = DataConfig(
            tokenizer="file", tokenizer_file=str(folder / FILE), vocab_size=model.vocab_size
        )
        config = RunConfig(
            Science(model=model, data=data, batch=BatchConfig(4, CONTEXT)), Execution()
        )
    plain = Parametrization(attention_scale="1/sqrt(d)")
    science = replace(config.science, model=model, parametrization=plain)
    config, corpus = replace(config, science=science), science.data
    content = b"" if corpus.tokenizer == single_file.BYTES else _bytes(folder / FILE)
    tokenizer = single_file.tokenizer_of(corpus, content, str(folder / FILE))
    ours: dict[str, NDArray[np.float32]] = {}
    names = weights_by_name(recipe(config))
    for name, place in places(config).items():
        if name in names and place.name in arrays:
            ours[name] = _ours(arrays.pop(place.name), names[name], f"{folder}: '{place.name}'")
    for left in arrays:
        if not left.endswith(BUFFERS):
            raise UserError(f"{folder}: '{left}' is no weight of the model of {CONFIG}; {AGAIN}")
    return ExportedModel(
        config, ours, tokenizer, single_file.step_of(metadata, folder, science.steps)
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise files.unreadable(path, error) from error


def _arrays(folder: Path) -> tuple[Arrays, Mapping[str, str]]:
    """The arrays of all files of a model."""
    if (folder / WEIGHTS).is_file():
        return single_file.contents(folder / WEIGHTS)
    listed = files.read_json(folder / INDEX, _Index, AGAIN)
    found: dict[str, NDArray[np.float32]] = {}
    for name in sorted(set(listed.weight_map.values())):
        found |= single_file.contents(folder / name)[0]
    return found, {}


def _model(folder: Path) -> TransformerConfig:
    """The sizes in a config.json. Raises a UserError with the field that we do not have."""
    where = folder / CONFIG
    said = files.read_json(where, dict[str, Any], AGAIN)
    said |= said.get("rope_parameters") or {}  # of transformers 5
    for field, wanted in THEIRS.items():
        if said.get(field, wanted) != wanted or (field == "model_type" and field not in said):
            raise UserError(f"{where}: {field}={said.get(field)}: only {wanted} can be read")
    biases = said.get("attention_bias", False)
    if biases != said.get("mlp_bias", False):
        raise UserError(f"{where}: mlp_bias={not biases}: only all matrices have biases, or none")

    def size(field: str, default: int | None = None) -> int:
        value = default if said.get(field) is None else said[field]
        if value is None:
            raise UserError(f"{where}: no {field}; {AGAIN}")
        found: int = from_json(f"{where}: {field}", value, int)
        return found

    heads, width = size("num_attention_heads"), size("hidden_size")
    return TransformerConfig(
        layers=size("num_hidden_layers"),
        width=width,
        heads=heads,
        kv_heads=size("num_key_value_heads", heads),
        head_dim=size("head_dim", width // max(1, heads)),
        ffn=size("intermediate_size"),
        vocab_size=size("vocab_size"),
        mlp="swiglu",
        biases="all" if biases else "none",
        embeddings="tied" if said.get("tie_word_embeddings") else "untied",
    )
