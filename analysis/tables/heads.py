"""Names of columns that hold a unit: `params (M)`, `tokens_B`, `compute (PF-days)`.

Only sizes, tokens and FLOPs are read so; `loss (nats)` and `lr (1e-3)` have no such unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from analysis.tables.number_text import SCALE, UNITS, number
from analysis.tables.words import columns_saying

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


def in_unit(head: object) -> tuple[str, float] | None:
    """The name without its unit, and the factor to the plain number; None without one."""
    for form in (BRACKET, BEHIND, BEFORE):
        found = form.fullmatch(str(head).strip())
        factor = _factor(found["unit"]) if found and _is_sized(found["rest"]) else None
        if found and factor is not None:
            return found["rest"].strip(), factor
    return None


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
