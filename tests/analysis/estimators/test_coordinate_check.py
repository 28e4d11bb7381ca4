"""The fit and the judgement on tables of known slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.estimators.coordinate_check import MATRICES, check, draw
from scaling.common.errors import UserError

PLACES = ("embedded", *MATRICES, "attention/logits", "stream", "logits")
RANDOM = ("attention/logits", "logits")


def table(axis: str = "width", heads: bool = True, **slopes: float) -> pd.DataFrame:
    """Sound coordinates over 32, 64, 128 but for slopes["size0 stream"] and the like."""
    rows: list[dict[str, Any]] = []
    for size in (32, 64, 128):
        for seed in (0, 1, 2):
            noise = 1 + 0.01 * np.cos(7 * seed + size)
            for step in (0, 1, 2):
                for place in PLACES:
                    sound = -0.5 if place in RANDOM and axis == "width" else 0.0
                    value = {
                        what: noise * size ** slopes.get(f"{what}{step} {place}", sound)
                        for what in ("size", "change")
                    }
                    value["change"] *= step > 0
                    inside = place not in ("embedded", "logits")
                    shape = {"width": 64, "layers": 2, "head_dim": size if heads else 16}
                    shape[axis] = size
                    layer = shape["layers"] - 1 if inside else -1
                    rows.append(
                        shape | value | {"seed": seed, "step": step, "place": place, "layer": layer}
                    )
    return pd.DataFrame(rows)


def every(what: str, slope: float, places: tuple[str, ...] = PLACES) -> dict[str, float]:
    return {f"{what} {place}": slope for place in places}


def test_slopes_and_intervals_are_those_of_the_table() -> None:
    verdict = check(table(**{"size2 stream": 0.3}))
    found = verdict.slopes.set_index(["place", "step", "quantity"])
    row = found.loc[("stream", 2, "size")]
    assert row["slope"] == pytest.approx(0.3, abs=0.01)
    assert row["low"] < 0.3 < row["high"]
    assert row["high"] - row["low"] < 0.1
    assert ("stream", 0, "change") not in found.index  # nothing has moved yet
    assert not verdict.passes


@pytest.mark.parametrize("axis", ["width", "layers"])
def test_sound_coordinates_pass(axis: str) -> None:
    verdict = check(table(axis))
    assert verdict.passes
    assert verdict.broken == ()
    assert verdict.axis == axis


@pytest.mark.parametrize(
    ("rule", "slopes"),
    [
        ("embedding init", {"size0 embedded": 0.5}),
        ("hidden init", every("size0", 0.5, MATRICES)),
        ("attention scale", {"size0 attention/logits": 0.0}),
        ("readout multiplier", {"size0 logits": 0.5}),
        ("epsilon", every("change1", -0.7)),
        ("embedding learning rate", {"change1 embedded": -1.0}),
        ("hidden learning rate", every("change1", 1.0, MATRICES)),
        ("attention scale", {"change2 attention/logits": 0.5}),
        ("readout learning rate", {"change2 logits": 0.5}),
    ],
)
def test_each_symptom_names_its_rule(rule: str, slopes: dict[str, float]) -> None:
    assert check(table(**slopes)).broken[0] == rule


def test_symptoms_of_depth() -> None:
    assert check(table("layers", **{"size0 stream": 0.5})).broken == ("residual multiplier",)
    found = check(table("layers", **{"change1 stream": 0.5})).broken
    assert found == ("learning rate in the blocks",)


def test_heads_that_do_not_grow_say_nothing_of_their_scale() -> None:
    slopes = {f"size{step} attention/logits": 0.0 for step in (0, 1, 2)}
    assert check(table(heads=False, **slopes)).broken == ()


def test_a_start_at_zero_has_no_slope_and_the_strict_limit_later() -> None:
    frame = table()
    frame.loc[frame["place"].isin(RANDOM) & (frame["step"] == 0), "size"] = 0.0
    assert not check(frame).passes  # -1/2 is no longer the rest of a random start
    assert check(table()).passes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="place"), "no column 'place'"),
        (lambda t: t[t["width"] == 32], "both are the same in every row"),
        (lambda t: t.assign(layers=t["width"]), "both vary"),
        (lambda t: t.assign(size=np.nan), "a run diverged"),
    ],
)
def test_a_table_that_cannot_answer_is_refused(change: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(change(table()))


def test_the_figure_names_every_place_and_its_axis() -> None:
    axes = draw(check(table()), "title").axes[0]
    places = [label.get_text() for label in axes.get_yticklabels()]
    assert {place.split(" [")[0] for place in places} == set(PLACES)
    assert "ln width" in axes.get_xlabel()


def test_a_table_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coordinate-check", "nowhere.csv"]) == 2
    assert "measure it with python -m experiments coordinates" in capsys.readouterr().err
