from __future__ import annotations

import pytest

from scaling.errors import UserError
from scaling.hyperparameters import (
    HYPERPARAMETER_LAWS,
    adamw_timescale,
    by_name,
    deepseek_flops_per_token,
    recommend,
    rescale,
    weight_decay_at,
)

# each worked out by hand from the printed formula
VALUES = [
    ("steplaw2025", {"params_nonembedding": 1e9, "tokens": 1e11}, "lr", 1.6325e-3),
    ("steplaw2025", {"params_nonembedding": 1e9, "tokens": 1e11}, "batch_tokens", 1.1077e6),
    ("deepseek2024", {"flops_nonembedding": 1e19}, "lr", 1.3146e-3),
    ("deepseek2024", {"flops_nonembedding": 1e19}, "batch_tokens", 4.7886e5),
    ("minicpm2024", {"loss": 3.0}, "batch_tokens", 1.2751e6),
    ("olmo_ladder2024", {"params_nonembedding": 1.08e8}, "lr", 0.0047),
    ("olmo_ladder2024", {"params_nonembedding": 8 * 1.08e8}, "lr", 0.00235),
    ("olmo_ladder2024", {"params_nonembedding": 8 * 1.08e8}, "batch_tokens", 4 * 327680),
    ("power_scheduler2024", {"batch_seqs": 1024, "tokens_seen": 1e12}, "lr", 3.107e-3),
    ("power_scheduler2024", {"batch_seqs": 1024, "tokens_seen": 1e9}, "lr", 0.02),
    ("kaplan2020", {"pf_days_min": 100}, "batch_tokens", 6.0398e6),
]


@pytest.mark.parametrize(("name", "variables", "hyper", "value"), VALUES)
def test_recommendations(name: str, variables: dict[str, float], hyper: str, value: float):
    assert recommend(name, **variables).values[hyper] == pytest.approx(value, rel=1e-3)


def test_every_law_says_where_it_comes_from():
    for name, law in HYPERPARAMETER_LAWS.items():
        assert law.name == name
        assert law.source and law.recipe and law.convention.tokens
        assert set(law.fitted_on) <= set(law.variables)


def test_inside_its_range_a_law_is_not_warned_about():
    inside = recommend("deepseek2024", flops_nonembedding=1e18)
    assert inside.warnings == ()
    outside = recommend("deepseek2024", flops_nonembedding=2e22)
    assert any("1e+03 times outside" in text for text in outside.warnings)
    below = recommend("steplaw2025", params_nonembedding=2.1e7, tokens=1e10)
    assert any("params_nonembedding=2.1e+07 is 10 times outside" in t for t in below.warnings)


def test_an_unstated_range_is_said():
    assert any("not stated" in text for text in recommend("minicpm2024", loss=3.0).warnings)


def test_the_text_carries_source_and_warnings():
    text = str(recommend("steplaw2025", params_nonembedding=7e9, tokens=2e12))
    assert "arXiv 2503.04715" in text and "times outside" in text and "lr = " in text


def test_rescale_moves_a_tuned_value():
    assert rescale("bjorck2024", "lr", 3e-4, tokens=10) == pytest.approx(3e-4 * 10**-0.32)
    assert rescale("steplaw2025", "lr", 1e-3) == 1e-3
    assert rescale("power_scheduler2024", "lr", 0.01, tokens_seen=1e-3) == 0.02


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: recommend("bjorck2024", tokens=1e10),
            r"only the exponents.*rescale\('bjorck2024'",
        ),
        (lambda: recommend("step_law", tokens=1e10), "unknown hyperparameter law 'step_law'"),
        (lambda: recommend("steplaw2025", tokens=1e10), "'params_nonembedding' is missing"),
        (
            lambda: recommend("steplaw2025", params_total=1e9, tokens=1e10),
            "unknown 'params_total'; did you mean 'params_nonembedding'",
        ),
        (lambda: recommend("minicpm2024", loss=0.0), "loss=0.0: must be finite and positive"),
        (lambda: rescale("bjorck2024", "lr", 1e-3, params=2.0), "does not depend on 'params'"),
        (lambda: rescale("bjorck2024", "batch_tokens", 1e6), "no law of 'batch_tokens'"),
        (lambda: rescale("bjorck2024", "lr", -1.0, tokens=2.0), "lr=-1.0"),
    ],
)
def test_mistakes_are_named(call: object, match: str):
    with pytest.raises(UserError, match=match):
        call()  # type: ignore[operator]


def test_bjorck_and_step_law_disagree_in_sign_and_say_so():
    assert by_name("bjorck2024").powers["lr"].exponents["tokens"] < 0
    assert by_name("steplaw2025").powers["lr"].exponents["tokens"] > 0
    assert any("Step Law" in text for text in by_name("bjorck2024").notes)


def test_deepseek_counts_attention():
    assert deepseek_flops_per_token(24, 1024, 2048) == 72 * 24 * 1024**2 + 12 * 24 * 1024 * 2048


def test_weight_decay_inverts_the_timescale():
    decay = weight_decay_at(0.21, lr=2e-3, batch_tokens=1e6, tokens=12.2e9)
    assert adamw_timescale(2e-3, decay, 1e6, 12.2e9) == pytest.approx(0.21)
    assert decay == pytest.approx(1e6 / (2e-3 * 12.2e9 * 0.21))
