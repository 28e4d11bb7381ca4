"""The fit and the judgement on tables of known slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from coordinates import PLACES, SIZES, table

from analysis.__main__ import main
from analysis.estimators.coordinate_check import check, draw
from scaling.common.errors import UserError
from scaling.parametrization.theory import THEORIES


def verdicts(found: Any) -> set[str]:
    return set(found.judged["verdict"])


def test_slopes_and_intervals_are_those_of_the_table() -> None:
    found = check(table(**{"size2 stream": 0.3})).slopes.set_index(["place", "step", "quantity"])
    row = found.loc[("stream", 2, "size")]
    assert row["slope"] == pytest.approx(0.3, abs=0.02)
    assert row["low"] < row["slope"] < row["high"]
    assert row["high"] - row["low"] < 0.1
    assert ("stream", 0, "change") not in found.index  # nothing has moved yet


@pytest.mark.parametrize("axis", ["width", "layers"])
@pytest.mark.parametrize("name", THEORIES)
def test_coordinates_by_theory_pass(name: str, axis: Any) -> None:
    verdict = check(table(name, axis))
    assert verdict.passes
    assert verdict.broken == verdict.undetermined == ()
    assert (verdict.axis, verdict.parametrization) == (axis, name)


@pytest.mark.parametrize("what", ["size0 mlp/in", "change2 stream", "size2 logits"])
def test_a_slope_whose_interval_excludes_its_limit_fails(what: str) -> None:
    verdict = check(table(**{what: 0.9}))
    beyond = verdict.judged[verdict.judged["verdict"] == "beyond"]
    assert not verdict.passes
    assert list(beyond["place"]) == [what.split(" ")[1]]
    assert verdict.broken == ()


def test_an_interval_that_reaches_the_limit_asks_for_seeds_and_does_not_fail() -> None:
    for seeds in (1, 3):
        verdict = check(table(seeds=seeds, noise=0.3, **{"size2 stream": 0.5}))
        assert verdict.passes
        assert verdict.undetermined == ("more --seeds",)


def test_intervals_hold_for_all_slopes_together() -> None:
    """Of pure noise at the limit, 1 in 20 tables may fail, though each has many slopes."""
    at_limit = {f"change2 {place}": 0.25 for place in PLACES}
    exact, failed = table(noise=0.0, **at_limit), 0
    exact = exact[(exact["step"] == 2) | (exact["quantity"] == "rate")]
    changes = exact["quantity"] == "change"
    for seed in range(40):
        noise = np.exp(0.1 * np.random.default_rng(seed).normal(size=len(exact)))
        noisy = exact.assign(value=exact["value"] * np.where(changes, noise, 1.0))
        failed += not check(noisy).passes
    assert failed <= 5  # P(6 or more of 40 at 0.05) = 0.01; each slope alone at 95 % gives 10


def test_a_slope_that_returns_at_the_largest_sizes_asks_for_larger_ones() -> None:
    frame = table()
    small = (frame["place"] == "stream") & (frame["step"] == 2) & (frame["width"] == SIZES[0])
    frame.loc[small, "value"] /= 2.0
    verdict = check(frame)
    assert verdicts(verdict) == {"within", "go wider (--widths)"}
    assert verdict.passes
    assert verdict.undetermined == ("go wider (--widths)",)
    deep = frame.assign(width=64, layers=frame["width"])
    inside = deep["layer"] >= 0
    deep.loc[inside, "layer"] = deep.loc[inside, "layers"] - 1
    deep["parametrization"] = "completep"
    assert check(deep).undetermined == ("go deeper (--depths)",)


def test_a_model_of_one_layer_says_nothing_of_what_reads_other_branches() -> None:
    deep = table("completep", "layers")
    assert not deep["layers"].eq(1).any()
    one = deep[deep["layers"] == deep["layers"].min()].assign(layers=1)
    one["layer"] = one["layer"].where(one["layer"] < 0, 0)
    inside = one["place"].eq("mlp/in") & one["step"].gt(0)
    one.loc[inside, "value"] /= 100
    assert not check(pd.concat([one, deep])).undetermined
    one.loc[one["place"] == "stream", "value"] /= 100
    assert check(pd.concat([one, deep])).undetermined == ("go deeper (--depths)",)


def test_limits_over_depth_follow_the_stream_at_the_start() -> None:
    def verdict(start: float, change: float) -> Any:
        more = start + 0.5  # than random branches have
        slopes = {"size0 stream": more, "size2 stream": more, "change2 stream": change}
        return check(table("completep", "layers", **slopes))

    assert verdict(-0.5, -0.6).passes
    assert not verdict(0.0, -0.6).passes
    assert not verdict(-0.5, -0.9).passes


def test_without_a_claim_nothing_is_judged_after_the_start() -> None:
    wild = check(table("sp", **{"change2 stream": 3.0}))
    assert wild.passes
    assert not wild.claims
    assert set(wild.judged["step"]) == {0}
    assert check(table("mup")).claims
    assert not check(table("mup", "layers")).claims


def test_a_start_at_zero_is_not_judged() -> None:
    frame = table()
    start = (frame["place"] == "logits") & (frame["step"] == 0)
    frame.loc[start, "value"] = 0.0
    judged = check(frame).judged
    assert not ((judged["place"] == "logits") & (judged["step"] == 0)).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="place"), "no column 'place'"),
        (lambda t: t[t["width"] == 32], "both are the same in every row"),
        (lambda t: t.assign(layers=t["width"]), "both vary"),
        (lambda t: t.assign(value=np.nan), "a run diverged"),
        (lambda t: pd.concat([t, t.assign(parametrization="sp")]), "parametrizations mup, sp"),
        (lambda t: t.assign(parametrization="mine"), "no theory of parametrization 'mine'"),
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


UNSURE: dict[str, Any] = {"noise": 0.05, "size2 stream": 0.3}


@pytest.mark.parametrize(
    ("made", "status", "said"),
    [
        ({}, 0, "passes: every rule and every slope is mup's over width"),
        ({"name": "sp"}, 0, "a learning rate does not transfer"),
        ({"rate mlp/in": 1.0}, 1, "broken rule: hidden learning rate (mlp/in)"),
        ({"rate mlp/in": 1.0}, 1, "mlp/in learning rate: width^0.00, by theory -1.00"),
        ({"rate mlp/in": 1.0}, 1, "fails: these rules are not mup's; windtunnel describe STUDY"),
        ({"change2 stream": 0.9}, 1, "fails: stream [1] change after 2 steps; every rule is mup's"),
        (UNSURE | {"seeds": 3}, 0, "undetermined: more --seeds for stream [1] after 2 steps; no"),
        (UNSURE | {"size2 stream": 0.2}, 0, "1 of 18 intervals reach beyond limits (more --seeds)"),
        ({"heads": False}, 0, "not to be seen here: the attention scale"),
    ],
)
def test_the_command_says_its_verdict(
    made: Any, status: int, said: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "coordinates.csv"
    table(**made).to_csv(path, index=False)
    assert main(["coordinate-check", str(path)]) == status
    assert said in capsys.readouterr().out


def test_a_table_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coordinate-check", "nowhere.csv"]) == 2
    assert "measure it with windtunnel coordinates" in capsys.readouterr().err
