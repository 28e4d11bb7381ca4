"""Figures of a fit: what they show, on axes of their own and on a caller's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anybody import TRUTH

from analysis import fit
from analysis.__main__ import main
from analysis.fitting.result import FitResult
from analysis.inference.plots import KINDS, draw, plot
from scaling import laws
from scaling.common.errors import UserError


def rows() -> pd.DataFrame:
    n, d = np.repeat(np.geomspace(5e7, 1e10, 5), 4), np.tile(np.geomspace(1e9, 3e11, 4), 5)
    noise = np.exp(np.random.default_rng(0).normal(0, 0.003, 20))
    loss = laws.chinchilla.predict(TRUTH, params=n, tokens=d) * noise
    return pd.DataFrame({"params_total": n, "tokens": d, "loss": loss})


@pytest.fixture(scope="module")
def result() -> FitResult:
    return fit(laws.chinchilla, rows(), bootstrap=30, holdout="flops_6nd>1e21")


def test_a_figure_shows_rows_law_interval_and_plan(result: FitResult):
    plan = result.optimal(1e23)
    figure = draw(("compute", "frontier"), result, [plan])
    loss, best = figure.axes
    named = [text.get_text() for text in loss.get_legend().get_texts()]
    assert named[:3] == ["rows", "held out", "law, best split"] and named[3].startswith("plan: ")
    assert loss.get_xlabel() == "compute 6ND, FLOPs" and loss.get_ylabel() == "loss, nats/token"
    star = next(line for line in loss.lines if line.get_marker() == "*")
    assert star.get_xydata().tolist() == [[1e23, pytest.approx(float(plan.loss[0]))]]
    assert len(loss.collections) == 1 and len(best.collections) == 2  # the bands
    assert loss.get_xlim()[1] > 1e23


def test_axes_of_the_caller_are_drawn_on(result: FitResult):
    from matplotlib.figure import Figure

    axes = Figure().subplots(1, 3)
    for ax, kind in zip(axes, KINDS, strict=True):
        assert plot(result, kind, ax=ax) is ax and ax.lines
    with pytest.raises(UserError, match="plot 'residual': did you mean 'residuals'"):
        plot(result, "residual")


@pytest.mark.parametrize("ax", ["axes", 0, [], np.array([1.0]), pd.Series([1.0])])
def test_what_is_no_axes_is_one_line(ax: object, result: FitResult):
    with pytest.raises(UserError, match=r"^ax=.*: give axes of matplotlib"):
        plot(result, ax=ax)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plan_of_one_budget_is_one_line(kind: str, result: FitResult):
    for plans in ([1e20], [None], b"plan", [result.optimal([1e20, 2e20])]):
        with pytest.raises(UserError, match=r"^plans=.*: give (a list of )?what optimal"):
            plot(result, kind, plans)


def test_rows_that_determine_no_optimum_are_shown_without_one():
    found = fit(laws.chinchilla, rows().assign(params_total=1e9))
    assert [text.get_text() for text in plot(found).get_legend().get_texts()] == ["rows"]


@pytest.mark.parametrize("command", [["fit"], ["plan", "--flops", "1e22"]])
def test_commands_draw(command: list[str], tmp_path: Path):
    rows().to_csv(tmp_path / "runs.csv", index=False)
    name, *rest = command
    figure = tmp_path / "figure"
    assert main([name, str(tmp_path / "runs.csv"), *rest, "--plot", str(figure)]) == 0
    assert figure.with_suffix(".png").stat().st_size > 10_000
    assert figure.with_suffix(".svg").exists()


def test_a_plan_of_constants_has_nothing_to_draw(tmp_path: Path, capsys):
    law = ["--law", "chinchilla:besiroglu2024", "--flops", "1e22"]
    assert main(["plan", *law, "--plot", str(tmp_path / "x")]) == 2
    assert "--plot: draws rows with their law" in capsys.readouterr().err
