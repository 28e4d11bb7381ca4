"""Words by which trackers and people name the quantities of a run, for our name of each.

A column says a quantity where its name is one of the words, in any case and with any separators:
`n_params`, `N Params`, `config/numParams`. Leading parts that only hold others, such as `config` or
`summary`, do not count. Earlier words are clearer, and come first.

A name of sizes, tokens or FLOPs may hold their unit: `params (M)`, `tokens_B`, `compute (PF-days)`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from analysis.tables.number_text import SCALE, UNITS, number

WORDS: Mapping[str, tuple[str, ...]] = {
    "params_total": (
        "params_total", "total_params", "n_params", "num_params", "params", "parameters",
        "n_parameters", "num_parameters", "total_parameters", "param_count", "parameter_count",
        "params_count", "parameters_count", "model_params", "model_parameters", "n_param",
        "model_size", "n",
    ),
    "params_nonembedding": (
        "params_nonembedding", "nonembedding_params", "non_embedding_params",
        "num_non_embedding_params", "n_nonembedding_params", "n_params_nonembedding",
        "n_params_non_embedding", "params_non_embedding", "non_embedding_parameters",
        "nonembedding_parameters",
    ),
    "params_active": ("params_active", "active_params", "n_active_params", "num_active_params",
                      "active_parameters"),
    "tokens": (
        "tokens", "train_tokens", "training_tokens", "n_tokens", "num_tokens", "total_tokens",
        "tokens_seen", "seen_tokens", "tokens_total", "tokens_trained", "trained_tokens",
        "consumed_tokens", "token_count", "n_train_tokens", "num_train_tokens", "tokens_processed",
        "total_train_tokens", "d",
    ),
    "flops_6nd": ("flops_6nd", "6nd", "compute_6nd"),
    "flops": (
        "flops", "total_flops", "train_flops", "training_flops", "flops_total", "compute",
        "train_compute", "training_compute", "compute_flops", "flops_budget", "c",
    ),
    "loss": (
        "eval_loss", "val_loss", "valid_loss", "validation_loss", "test_loss", "final_loss",
        "loss_final", "loss", "eval_cross_entropy", "val_cross_entropy", "final_val_loss",
        "best_val_loss", "eval/paloma/c4_en/loss", "eval/c4_en-validation/CrossEntropyLoss",
        "cross_entropy", "cross_entropy_loss", "lm_loss", "train_loss", "training_loss",
        "train_cross_entropy_loss",
    ),
    "bits_per_byte": ("bits_per_byte", "bpb", "eval_bpb", "val_bpb", "eval_macro_bpb",
                      "eval/paloma/c4_en/bpb"),
    "learning_rate": ("learning_rate", "lr", "max_lr", "peak_lr", "learning_rate_peak",
                      "max_learning_rate", "peak_learning_rate", "base_lr"),
    "batch_tokens": ("batch_tokens", "tokens_per_batch", "batch_size_in_tokens", "tokens_per_step",
                     "global_batch_size_tokens", "batch_size_tokens"),
    "steps": ("steps", "step", "global_step", "train_steps", "num_train_steps", "max_steps",
              "total_steps", "num_steps", "n_steps", "iterations", "iteration"),
    "seed": ("seed", "random_seed", "data_seed"),
}  # fmt: skip
IN_NATS = re.compile(r"\s*[(\[]\s*nats[^()\[\]]*[)\]]\s*$", re.I)  # our unit of a loss
HOLDERS = frozenset((
    "config", "configs", "summary", "params", "metrics", "run", "hparams", "hyperparameters",
    "model", "trainer", "training", "data", "throughput", "optimizer", "optim", "stats", "args",
    "info", "tags", "results", "value",
))  # fmt: skip
SIZED = ("params_total", "params_nonembedding", "params_active", "tokens", "flops_6nd", "flops",
         "batch_tokens")  # fmt: skip
PF_DAY = 8.64e19
COMPUTE: Mapping[str, float] = {
    **{f"{letter}{word}": 10.0**power
       for power, letters in ((9, ("g", "giga")), (12, ("t", "tera")), (15, ("p", "peta")),
                              (18, ("e", "exa")), (21, ("z", "zetta")))
       for letter in letters for word in ("flop", "flops")},
    **dict.fromkeys(("pfdays", "pfday", "pfsdays", "pfsday", "petaflopdays", "petaflopsdays",
                     "petaflopsday", "petaflopday", "pflopdays", "pflopsdays"), PF_DAY),
}  # fmt: skip
BRACKET = re.compile(r"(?P<rest>.*\S)\s*[(\[](?P<unit>[^()\[\]]+)[)\]]")
BEHIND = re.compile(
    r"(?P<rest>.*?[^\W_]{2,})(?:[ _/,]+in)?[ _/,]+(?P<unit>[a-z]+(?:[-_ /]*s?[-_ ]*days?)?)", re.I
)
BEFORE = re.compile(r"(?P<unit>[a-z]+)(?: of)? (?P<rest>[^\W_]{2,}.*)", re.I)


def columns_saying(quantity: str, columns: Iterable[object]) -> list[str]:
    """The columns whose names say a quantity, the clearest first."""
    words = [_bare(word) for word in WORDS[quantity]]
    places = {}
    for column in map(str, columns):
        found = [words.index(form) for form in _forms(column) if form in words]
        if found:
            places[column] = min(found)
    return sorted(places, key=places.__getitem__)


def in_unit(head: object) -> tuple[str, float] | None:
    """The name without its unit, and the factor to the plain number; None without one."""
    for form in (BRACKET, BEHIND, BEFORE):
        found = form.fullmatch(str(head).strip())
        factor = _factor(found["unit"]) if found and _is_sized(found["rest"]) else None
        if found and factor is not None:
            return found["rest"].strip(), factor
    return None


def _forms(column: str) -> list[str]:
    """The name without separators, whole and then without leading holders."""
    column = IN_NATS.sub("", column)
    parts = [part for part in re.split(r"[./]", column) if part.strip(" _")]
    forms = [_bare("".join(parts))]
    while len(parts) > 1 and _bare(parts[0]) in HOLDERS:
        parts = parts[1:]
        forms.append(_bare("".join(parts)))
    return forms


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_sized(name: str) -> bool:
    """True for a name that says a size, tokens or FLOPs."""
    return any(columns_saying(quantity, (name,)) for quantity in SIZED)


def _factor(unit: str) -> float | None:
    word = re.sub(r"^in\s+", "", unit.strip().lower())
    plain = re.sub(r"[^a-z]", "", word)
    if plain in COMPUTE:
        return COMPUTE[plain]
    for each in UNITS:
        word = word.removesuffix(each).strip() or word
    if word and word.removesuffix("s") in SCALE:
        return SCALE[word.removesuffix("s")]
    value = number(f"1{word}" if re.fullmatch(r"e\+?\d+", word) else word.lstrip("x×· "))
    power = math.log10(value) if value and 1 < value < math.inf else 0.5
    return value if power.is_integer() else None
