from __future__ import annotations

from typing import Any

import pytest

from models.config import TransformerConfig
from scaling.common.errors import UserError
from scaling.machines.program import Program


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        *(
            ({name: 0}, f"model.{name}=0: must be at least 1, and at most 2^53")
            for name in ("width", "heads", "kv_heads", "head_dim", "ffn", "vocab_size")
        ),
        *(
            ({"layers": n}, f"model.layers={n}: must be at least 1, and at most 10000")
            for n in (0, 10**9)  # a loop over so many would not end
        ),
        ({"heads": 4, "kv_heads": 3}, "model.heads=4 is not a multiple of model.kv_heads=3"),
        (
            {"width": 66, "heads": 4},
            "model.width=66 is not a multiple of model.heads=4; set both (and model.head_dim)",
        ),
        ({"head_dim": 7}, "model.head_dim=7: rope rotates pairs, make it even"),
        ({"positions": "rotary"}, "model.positions=rotary: known: learned, none, rope"),
        ({"experts": -1}, "model.experts=-1: must be 0 (a dense model) or more"),
        (
            {"experts": 4, "experts_active": 5},
            "model.experts_active=5: must lie between 1 and model.experts=4",
        ),
        ({"capacity_factor": 0.0}, "model.capacity_factor=0.0: must be positive and finite"),
        ({"mlp": "swigl"}, "model.mlp=swigl: did you mean 'swiglu'?"),
    ],
    ids=str,
)
def test_an_impossible_shape_is_one_line_that_names_the_field(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        TransformerConfig(**fields)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("context", "factor", "slots"), [(16, 1.0, 4), (16, 1.1, 5), (10, 1.2, 3), (16, 9.0, 16)]
)
def test_capacity_is_rounded_up_and_no_more_than_the_tokens(
    context: int, factor: float, slots: int
) -> None:
    """k T / E = T / 4 slots where all experts are chosen alike."""
    config = TransformerConfig(experts=8, experts_active=2, capacity_factor=factor)
    assert config.capacity(context) == slots


def test_an_odd_head_is_fine_without_rotations() -> None:
    assert TransformerConfig(head_dim=7, positions="none").head_dim == 7


def test_an_unknown_program_is_refused() -> None:
    with pytest.raises(UserError, match=r"^execution\.program\.remat=blocks: did you mean 'block'"):
        Program(remat="blocks")  # type: ignore[arg-type]
