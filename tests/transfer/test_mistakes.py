"""The check names each mistake that theory can see, and is silent of sound tables.

Rules in force are exact, so a mistake is named by every draw or by none: one program for all
mistakes, without training. Sound tables are trained by seed, in the slow test of their rate of
false alarms.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from faulty import Variant, config, tables
from scipy.stats import binomtest

from analysis.estimators.coordinate_check import check
from experiments.config.optimizer import FOLDER, Optimizer, optimizer
from experiments.config.overrides import override
from scaling.common import plugins
from scaling.parametrization.tables import TABLES

# Every role has a weight here
EVERYTHING = {
    "embedding_norm": "none", "positions": "learned", "norm": "layernorm", "biases": "all",
    "experts": 4, "capacity_factor": 2.0, "qk_norm": "rmsnorm",
}  # fmt: skip
WIDE: dict[str, Variant] = {
    "embedding init": {"embedding_init": 0.5},
    "hidden init": {"hidden_init": 0.5},
    "hidden init (mlp/experts/out)": {"e,f->d_init": 0.25},
    "hidden learning rate": {"hidden_rate": 1.0},
    "hidden learning rate (attention/query)": {"d->hk_rate": 0.5},
    "hidden learning rate (attention/out)": {"hk->d_rate": 1.0},
    "hidden epsilon": {"hidden_epsilon": 1.0},
    "hidden weight decay": {"hidden_decay": -1.0},
    "attention scale": {"attention": 0.5},
    "readout multiplier": {"readout_multiplier": 1.0},
    "readout init": {"readout_init": 0.5},
    "readout learning rate": {"readout_rate": -1.0},
    "router multiplier": {"router_multiplier": 1.0},
    "router learning rate": {"router_rate": 0.5},
    "embedding learning rate": {"embedding_rate": -1.0},
    "position learning rate": {"position_rate": 1.0},
    "gain learning rate": {"gain_rate": -1.0},
    "bias learning rate": {"bias_rate": -1.0},
    "epsilon": {"epsilon": 1.0},
}
DEEP: dict[str, Variant] = {
    "residual multiplier": {"branch": 0.5},
    "learning rate in the blocks": {"block_rate": 0.5},
    "epsilon in the blocks": {"block_epsilon": 1.0},
}
BACK: dict[str, Variant] = {
    "residual multiplier": {"branch": -0.5},
    "learning rate in the blocks": {"block_rate": -0.5},
}


def measured(base: Any, variants: Any, seeds: int, steps: int, **sizes: Any) -> list[pd.DataFrame]:
    found = tables(base, list(variants), seeds, steps, **sizes)
    return [pd.DataFrame([vars(row) for row in table]) for table in found]


def named(base: Any, variants: dict[Any, Variant], **sizes: Any) -> dict[Any, tuple[str, ...]]:
    frames = measured(base, variants.values(), 1, 0, **sizes)
    return {name: check(frame).broken for name, frame in zip(variants, frames, strict=True)}


@pytest.fixture(scope="module")
def wide() -> dict[str, tuple[str, ...]]:
    from_zero = {"readout multiplier, from zero": {"readout_multiplier": 1.0, "keep_readout": 0.0}}
    sound = {name: {"name": name} for name in TABLES}
    return named(config(**EVERYTHING), WIDE | from_zero | sound, width=(32, 64))


@pytest.fixture(scope="module")
def deep() -> dict[str, tuple[str, ...]]:
    back = {f"{name}, less": variant for name, variant in BACK.items()}
    sound = {name: {"name": name} for name in TABLES}
    return named(config("completep"), DEEP | back | sound, layers=(2, 4))


@pytest.mark.parametrize("mistake", WIDE)
def test_a_mistake_over_width_is_named(wide: dict[str, tuple[str, ...]], mistake: str) -> None:
    assert wide[mistake] == (mistake,)


@pytest.mark.parametrize("mistake", DEEP)
def test_a_mistake_over_depth_is_named(deep: dict[str, tuple[str, ...]], mistake: str) -> None:
    assert deep[mistake] == (mistake,)
    assert deep.get(f"{mistake}, less", (mistake,)) == (mistake,)


def test_a_multiplier_is_named_from_a_readout_of_zero(wide: dict[str, tuple[str, ...]]) -> None:
    assert wide["readout multiplier, from zero"] == ("readout multiplier",)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_its_theory(
    wide: dict[str, tuple[str, ...]], deep: dict[str, tuple[str, ...]], name: str
) -> None:
    assert wide[name] == deep[name] == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", plugins.names(FOLDER))
def test_every_table_is_its_theory_with_other_updates(name: str) -> None:
    """At a rate that is no power of two, so that no rounding is hidden."""
    base = override(config(), [f"optimizer.name={name}", "optimizer.learning_rate=0.01"])
    families = set(optimizer(name).families)
    sound = [table for table in TABLES if families <= set(TABLES[table].families)]
    mistake: Variant = {"hidden_rate": 0.5}
    variants = {table: {"name": table} for table in sound} | {"mistake": mistake}
    found = named(base, variants, width=(32, 128))
    assert found.pop("mistake") == ("hidden learning rate",)
    assert len(found) >= 7
    assert not any(found.values()), found


def test_a_tied_factor_is_named() -> None:
    found = named(
        config(embeddings="tied"), {"sound": {}, "dropped": {"tied": 1.0}}, width=(32, 64)
    )
    assert found == {"sound": (), "dropped": ("tied readout factor",)}


def narrow(**model: Any) -> Any:
    """The model at half its width: 20 checks of 5 seeds and 4 sizes in minutes."""
    base = config(width=16, head_dim=16, ffn=64, **model)
    own = ["parametrization.base_width=16", "parametrization.base_head_dim=16"]
    return override(base, own)


DRAWS, SEEDS, STEPS = 20, 5, 8  # SEEDS and STEPS are the command's defaults
SIZES = {"width": (16, 32, 64, 128), "layers": (1, 2, 4, 8)}
RATES: dict[str, float] = {  # each at a rate that moves its features as far as muP's
    "sp": 2.0**-8,
    "lingle_relative": 2.0**-5,
    "lingle_absolute": 2.0**-2,
    "umup": 1.0,
}


@pytest.mark.slow
@pytest.mark.parametrize("axis", SIZES)
@pytest.mark.parametrize("optimizer_name", plugins.names(FOLDER))
def test_sound_tables_alarm_in_at_most_one_of_twenty_checks(
    optimizer_name: str, axis: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each check has seeds of its own, and the defaults of the command."""
    base = override(narrow(embedding_norm="none"), [f"optimizer.name={optimizer_name}"])
    families = set(optimizer(optimizer_name).families)
    names = [name for name in TABLES if families <= set(TABLES[name].families)]
    variants: list[Variant] = [
        {"name": name} | ({"learning_rate": RATES[name]} if name in RATES else {}) for name in names
    ]
    alarms: dict[str, int] = {}
    frames = measured(base, variants, DRAWS * SEEDS, STEPS, **{axis: SIZES[axis]})
    for name, frame in zip(names, frames, strict=True):
        found = [check(part) for part in draws(frame)]
        alarms[name] = sum(not verdict.passes for verdict in found)
        undetermined = sum(bool(verdict.undetermined) for verdict in found)
        with capsys.disabled():
            print(
                f"{optimizer_name} over {axis}, {name}: of {DRAWS} checks {alarms[name]} alarm "
                f"{interval(alarms[name], DRAWS)}, {undetermined} are undetermined"
            )
    assert max(alarms.values()) <= DRAWS * 0.05, alarms


def interval(count: int, of: int) -> str:
    """The exact binomial interval of a share (Clopper and Pearson 1934), at 95 %."""
    ends = binomtest(count, of).proportion_ci()
    return f"[{ends.low:.1%}, {ends.high:.1%}]"


def draws(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Checks of `SEEDS` seeds each, with the rules that are common to all."""
    activations = frame["quantity"].isin(("size", "change"))
    return [frame[~activations | (frame["seed"] // SEEDS == draw)] for draw in range(DRAWS)]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer_name", plugins.names(FOLDER))
def test_mistakes_are_named_in_at_least_nine_of_ten(
    optimizer_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every table that claims the axis and has rules for the updates, at the default sizes."""
    kind = optimizer(optimizer_name)
    of_each: dict[str, list[bool]] = {}  # by mistake, of every table
    for claim, every, model, axis in (
        (tuple(TABLES), WIDE, narrow(**EVERYTHING), "width"),
        (("completep", "depth_mup", "umup"), DEEP, narrow(), "layers"),
    ):
        names = [name for name in claim if set(kind.families) <= set(TABLES[name].families)]
        mistakes = {key: each for key, each in every.items() if _is_read(kind, each)}
        base = override(model, [f"optimizer.name={optimizer_name}"])
        planted = {(n, key): {**each, "name": n} for n in names for key, each in mistakes.items()}
        found = named(base, planted, **{axis: SIZES[axis]})
        for name in names:
            wrong = {key: found[name, key] for key in mistakes if found[name, key][:1] != (key,)}
            for key in mistakes:
                of_each.setdefault(key, []).append(key not in wrong)
            with capsys.disabled():
                print(
                    f"{optimizer_name} over {axis}, {name}: of {len(mistakes)} mistakes "
                    f"{len(mistakes) - len(wrong)} are named, not {wrong}"
                )
    right, asked = sum(map(sum, of_each.values())), sum(map(len, of_each.values()))
    with capsys.disabled():
        print(f"{optimizer_name}: named {right} of {asked} {interval(right, asked)}")
    assert all(sum(found) >= 0.9 * len(found) for found in of_each.values()), of_each


def _is_read(kind: Optimizer, mistake: Variant) -> bool:
    """False for a wrong epsilon of weights whose update has none."""
    unread = {"epsilon", "hidden_epsilon", "block_epsilon"}
    if "epsilon" in kind.reads:
        unread = {"hidden_epsilon"} if kind.matrices == "orthogonal" else set()
    return not unread & set(mistake)
