"""Variables of the run to advise on: those that the user gives, and those derived from them.

A variable is taken from the user's input if present. Otherwise the first applicable rule of `WAYS`
derives it, and the advice lists the derivation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scaling.common.errors import UserError, nearest
from scaling.hyperparameters.given import GIVEN
from scaling.hyperparameters.law import Experts, Known, check_positive
from scaling.hyperparameters.published.deepseek import deepseek_flops_per_token
from scaling.laws.chinchilla import chinchilla
from scaling.laws.kaplan import kaplan

_NEEDED = ("params_total", "tokens")


@dataclass(frozen=True)
class Way:
    """A derivation of a variable from others; `how` is its text, empty where it is exact."""

    needs: tuple[str, ...]
    formula: Callable[..., float]
    how: str = ""


def _loss_c4(params: float, tokens: float) -> float:
    values = chinchilla.constants("muennighoff2023_c4").values
    return float(chinchilla.predict(values, params=params, tokens=tokens))


def _loss_webtext2(params: float, tokens: float) -> float:
    values = kaplan.constants("kaplan2020").values
    return float(kaplan.predict(values, params=params, tokens=tokens))


def _six_nd(params: float, tokens: float) -> float:
    return 6 * params * tokens


def _same(value: float) -> float:
    return value


WAYS: Mapping[str, tuple[Way, ...]] = {
    "params_nonembedding": (Way(("params_total",), _same, "embeddings included"),),
    "flops_nonembedding": (
        Way(
            ("layers", "width", "seq_len", "tokens"),
            lambda layers, width, seq_len, tokens: (
                deepseek_flops_per_token(layers, width, seq_len) * tokens
            ),
        ),
        *(
            Way((params, "tokens"), _six_nd, "6 N D, without attention")
            for params in ("params_active", "params_nonembedding")
        ),
    ),
    "flops_6nd": (
        Way(("params_active", "tokens"), _six_nd),
        Way(("params_total", "tokens"), _six_nd),
    ),
    "tokens_per_param": (Way(("params_total", "tokens"), lambda params, tokens: tokens / params),),
    "tokens_seen": (Way(("tokens",), _same, "the end of the run"),),
    "batch_seqs": (Way(("batch_tokens", "seq_len"), lambda batch, seq_len: batch / seq_len),),
    "loss_c4": (
        Way(("loss",), _same, "your loss, taken for that on C4"),
        Way(("params_total", "tokens"), _loss_c4, "by chinchilla:muennighoff2023_c4"),
    ),
    "loss_webtext2": (
        Way(("loss",), _same, "your loss, taken for that on WebText2"),
        Way(("params_nonembedding", "tokens"), _loss_webtext2, "by kaplan:kaplan2020"),
    ),
}


def given(values: Mapping[str, float]) -> dict[str, Known]:
    """The user's values, checked.

    Raises:
        UserError: a name is unknown or missing, or a value is not one of its kind.
    """
    for name, value in values.items():
        if name not in GIVEN:
            raise UserError(f"unknown '{name}': {nearest(name, GIVEN)}")
        check_positive(name, value)
    for name in _NEEDED:
        if name not in values:
            raise UserError(f"'{name}' is missing: {GIVEN[name]}")
    whole = values["params_total"]
    if (part := values.get("params_nonembedding", whole)) > whole:
        raise UserError(
            f"params_nonembedding={part:.3g} exceeds params_total={whole:.3g}, "
            "which it is a part of"
        )
    known = {name: Known(value) for name, value in values.items()}
    if is_sparse(known):
        known.pop("layers", None)  # with the width they count the FLOPs of a dense MLP
    return known


def is_sparse(known: Mapping[str, Known]) -> bool:
    """True for a mixture of experts: a token meets a part of the parameters."""
    return "params_active" in known and known["params_active"].value < known["params_total"].value


def counting(known: Mapping[str, Known], experts: Experts) -> dict[str, Known]:
    """The variables of a mixture of experts with N by one count; compute is by the active one.

    Raises:
        UserError: the embeddings alone exceed the active parameters.
    """
    active, total = known["params_active"].value, known["params_total"].value
    found = {**known, "params_active": Known(active, counted=Experts.ACTIVE)}
    idle = 0.0 if experts is Experts.TOTAL else total - active
    for name in {"params_total", "params_nonembedding"} & set(known):
        size = known[name].value - idle
        if size <= 0:
            raise UserError(
                f"params_active={active:.3g} is less than the embeddings alone, "
                f"params_total - {name} = {total - known[name].value:.3g}"
            )
        found[name] = Known(size, counted=experts)
    return found


def find(variable: str, known: Mapping[str, Known]) -> Known | None:
    """A variable as given, or as derived; None where neither is possible."""
    if variable in known:
        return known[variable]
    for way in WAYS.get(variable, ()):
        parts = [part for name in way.needs if (part := find(name, known)) is not None]
        if len(parts) == len(way.needs):
            value = way.formula(*(part.value for part in parts))
            how = tuple(text for part in parts for text in part.how)
            said = (f"{variable} = {value:.3g}: {way.how}",) if way.how else ()
            counted = next((part.counted for part in parts if part.counted), None)
            return Known(value, (*how, *said), counted)
    return None


def lacking(variable: str, known: Mapping[str, Known]) -> tuple[str, ...]:
    """Names that the user must add to derive `variable` by its last rule, the easiest."""
    if find(variable, known) is not None:
        return ()
    if variable not in WAYS:
        return (variable,)
    return tuple(name for need in WAYS[variable][-1].needs for name in lacking(need, known))
