from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.hyperparameters import (
    Where,
    joint_surface,
    law_of_optima,
    near_optimal_set,
    optimum_per_cell,
    regress,
    regret,
)
from analysis.hyperparameters.cells import cells as sorted_cells
from analysis.hyperparameters.surface import Bowl
from scaling.common.errors import UserError

LRS = 1e-3 * 2.0 ** np.arange(-3, 4)


def sweep(
    best: float, size: float = 1e8, noise: float = 0.0, lrs: np.ndarray = LRS
) -> pd.DataFrame:
    """One cell: a parabola in ln lr, 0.02 nats at a factor of e from its vertex."""
    loss = 3.0 + 0.02 * np.log(lrs / best) ** 2
    loss = loss + np.random.default_rng(0).normal(0, noise, len(lrs))
    return pd.DataFrame({"size": size, "lr": lrs, "loss": loss})


def only(table: pd.DataFrame, within: float = 0.05, **options: int):
    optima = optimum_per_cell(table, cell=("size",), hyper=("lr",), within=within, **options)
    (entry,) = optima.entries
    return entry, optima.warnings


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_parabola_exactly(degree: int):
    entry, warnings = only(sweep(best=1.3e-3), degree=degree)
    assert entry.status is Where.INSIDE and not warnings
    assert entry.value == pytest.approx(1.3e-3, rel=1e-8)
    assert entry.loss == pytest.approx(3.0, abs=1e-9)
    assert entry.doubling == pytest.approx(0.02 * math.log(2) ** 2, rel=1e-6)


def test_the_standard_error_is_that_of_many_repeats():
    """Delta method against the spread of 400 vertices: within 4 standard errors of it, 14 %."""
    rng, found, claimed = np.random.default_rng(1), [], []
    table = pd.concat([sweep(1.3e-3, size) for size in range(1, 401)], ignore_index=True)
    table["loss"] += rng.normal(0, 2e-3, len(table))
    for each in optimum_per_cell(table, cell=("size",), hyper=("lr",), within=0.9).entries:
        found.append(math.log(each.value))
        claimed.append(each.log_sd)
    assert np.sqrt(np.mean(np.square(claimed))) == pytest.approx(np.std(found), rel=0.14)


@pytest.mark.parametrize(
    ("best", "status", "edge", "interval"),
    [
        (1e-2, Where.HIGH, LRS[-1], (LRS[-1], math.inf)),
        (1e-5, Where.LOW, LRS[0], (0.0, LRS[0])),
        (LRS[-1], Where.HIGH, LRS[-1], (LRS[-1], math.inf)),
    ],
)
def test_an_edge_is_a_bound(best: float, status: Where, edge: float, interval: tuple[float, float]):
    entry, warnings = only(sweep(best), within=0.5)
    assert entry.status is status
    assert entry.value == pytest.approx(edge)
    assert entry.interval() == pytest.approx(interval)
    assert math.isnan(entry.log_sd) and math.isnan(entry.loss)
    assert any(str(status) in text for text in warnings)


def test_a_bend_without_a_bottom_is_not_convex():
    table = sweep(1e-3, noise=0.01)
    table["loss"] = 3.0 + np.array([0.02, 0.0, 0.02, -0.01, 0.02, 0.0, 0.02])
    entry, warnings = only(table)
    assert entry.status is Where.NOT_CONVEX
    assert math.isnan(entry.value) and all(math.isnan(end) for end in entry.interval())
    assert any("not convex" in text for text in warnings)


def test_too_few_runs_near_the_minimum():
    entry, _ = only(sweep(1e-3), within=0.004)
    assert entry.status is Where.TOO_FEW and entry.runs == 3
    entry, _ = only(sweep(1e-3).query("lr == 0.001"))
    assert entry.status in (Where.LOW, Where.HIGH)  # a grid of one value has no inside


def test_beside_an_edge_there_is_no_value():
    """The best batch at an lr that was not tried is not known, though its own grid holds one."""
    lr, batch = (each.ravel() for each in np.meshgrid(LRS, 1e5 * 2.0 ** np.arange(7)))
    loss = 3 + 0.02 * np.log(lr / 3e-2) ** 2 + 0.02 * np.log(batch / 8e5) ** 2
    table = pd.DataFrame({"size": 1e8, "lr": lr, "batch": batch, "loss": loss})
    optima = optimum_per_cell(table, cell=("size",), hyper=("lr", "batch"), within=0.9)
    assert optima.of("lr")[0].status is Where.HIGH
    assert optima.of("batch")[0].status is Where.BESIDE
    assert math.isnan(optima.of("batch")[0].value)


def test_two_hyperparameters_with_a_tilt():
    lr, batch = (each.ravel() for each in np.meshgrid(LRS, 1e5 * 2.0 ** np.arange(7)))
    x, y = np.log(lr / 1.4e-3), np.log(batch / 5e5)
    table = pd.DataFrame(
        {
            "size": 1e8,
            "lr": lr,
            "batch": batch,
            "loss": 3 + 0.02 * x**2 - 0.02 * x * y + 0.03 * y**2,
        }
    )
    optima = optimum_per_cell(table, cell=("size",), hyper=("lr", "batch"), within=0.03)
    assert optima.of("lr")[0].value == pytest.approx(1.4e-3, rel=1e-8)
    assert optima.of("batch")[0].value == pytest.approx(5e5, rel=1e-8)
    assert optima.of("batch")[0].doubling == pytest.approx(0.03 * math.log(2) ** 2)


def cells(sizes: np.ndarray, noise: float = 1e-3) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    table = pd.concat([sweep(2e-3 * (size / 1e8) ** -0.4, size) for size in sizes])
    table["loss"] += rng.normal(0, noise, len(table))
    return table.reset_index(drop=True)


def test_law_of_optima_and_its_prediction():
    optima = optimum_per_cell(
        cells(np.geomspace(1e8, 1.6e9, 6)), cell=("size",), hyper=("lr",), within=0.03
    )
    law = law_of_optima(optima, "lr", ("size",))
    low, high = law.interval("size")
    assert low <= -0.4 <= high and law.params["size"] == pytest.approx(-0.4, abs=0.03)
    found = law.predict(size=[1e8, 1e10])
    assert found.value == pytest.approx([2e-3, 2e-3 * 100**-0.4], rel=0.1)
    assert (found.low <= [2e-3, 2e-3 * 100**-0.4]).all()
    assert found.high[1] / found.low[1] > found.high[0] / found.low[0]  # further out, wider
    assert str(law).startswith("lr = ") and "size^-0.4" in str(law)
    again = law_of_optima(optima, "lr", ("size",))
    assert np.array_equal(again.samples, law.samples)


def test_an_exponent_over_little_span_is_noted():
    table = cells(np.array([1e8, 1.3e8, 1.6e8]))
    law = law_of_optima(
        optimum_per_cell(table, cell=("size",), hyper=("lr",), within=0.03), "lr", ("size",)
    )
    assert "law of 'lr': size spans a factor of 1.6 only: its exponent is weakly known" in (
        law.warnings
    )


def test_censored_cells_are_left_out_and_named():
    table = pd.concat([cells(np.geomspace(1e8, 1.6e9, 5)), sweep(1e-1, 1e7)], ignore_index=True)
    optima = optimum_per_cell(table, cell=("size",), hyper=("lr",), within=0.03)
    law = law_of_optima(optima, "lr", ("size",))
    assert law.left_out == (f"size 1e+07: {Where.HIGH}",)
    assert law.units == 5
    assert any("1 of 6 cells left out: size 1e+07" in text for text in law.warnings)


def test_a_law_through_as_many_cells_as_constants_has_no_interval():
    optima = optimum_per_cell(
        cells(np.array([1e8, 1e9])), cell=("size",), hyper=("lr",), within=0.03
    )
    law = law_of_optima(optima, "lr", ("size",))
    assert not len(law.samples)
    assert any("passes through them exactly" in text for text in law.warnings)
    with pytest.raises(UserError, match="no interval of 'size'"):
        law.interval("size")
    assert np.isnan(law.predict(size=1e9).low)


def test_regress_is_least_squares():
    rng = np.random.default_rng(3)
    x, z = rng.uniform(1, 5, 30), rng.uniform(1, 5, 30)
    y = np.exp(0.3 - 0.7 * np.log(x) + 0.2 * np.log(z) + rng.normal(0, 0.1, 30))
    law = regress(pd.DataFrame({"x": x, "z": z, "y": y}), "y", ("x", "z"))
    design = np.column_stack([np.ones(30), np.log(x), np.log(z)])
    expected, *_ = np.linalg.lstsq(design, np.log(y), rcond=None)
    assert law.estimate == pytest.approx(expected, rel=1e-9)
    assert law.scatter == pytest.approx(np.sqrt(np.mean((np.log(y) - design @ expected) ** 2)))


def test_resampling_by_cluster_is_wider_where_rows_repeat():
    """Every row ten times: by row the interval shrinks, by cluster it does not."""
    rng = np.random.default_rng(4)
    x = np.geomspace(1, 100, 12)
    once = pd.DataFrame({"x": x, "y": x**0.5 * np.exp(rng.normal(0, 0.2, 12)), "cell": range(12)})
    many = pd.concat([once] * 10, ignore_index=True)
    widths = {
        cluster: np.diff(regress(many, "y", ("x",), cluster=cluster).interval("x"))[0]
        for cluster in (None, ("cell",))
    }
    single = np.diff(regress(once, "y", ("x",)).interval("x"))[0]
    assert widths[None] < 0.5 * widths["cell",]
    assert widths["cell",] == pytest.approx(single, rel=0.2)


def test_near_optimal_set_is_strict_and_by_cell():
    table = pd.DataFrame(
        {"size": [1.0, 1, 1, 2, 2], "lr": [1.0, 2, 3, 1, 2], "loss": [2.0, 2.5, 2.25, 8.0, 9.0]}
    )
    near = near_optimal_set(table, cell=("size",), hyper=("lr",), within=0.25)
    assert list(near.index) == [0, 2, 3, 4]
    assert near["excess"].tolist() == [0, 0.125, 0, 0.125]


def test_regret_takes_the_nearest_run():
    table = pd.DataFrame({"size": 1.0, "lr": [1e-3, 4e-3], "loss": [2.0, 2.2]})
    rules = {1.9e-3: 0.0, 2.1e-3: 0.1}
    for lr, excess in rules.items():
        found = regret(table, lambda _, lr=lr: {"lr": lr}, cell=("size",), hyper=("lr",))
        assert found["excess"].tolist() == pytest.approx([excess])


def test_joint_surface_of_one_hyperparameter():
    table = cells(np.geomspace(1e8, 1.6e9, 5), noise=0.0)
    surface = joint_surface(table, {"lr": ("size",)}, cell=("size",), within=0.03)
    assert surface.laws["lr"].params["size"] == pytest.approx(-0.4, abs=2e-3)
    low, high = surface.laws["lr"].interval("size")
    assert high - low < 0.01
    assert surface.laws["lr"].fitted_on["size"] == pytest.approx((1e8, 1.6e9))
    near = near_optimal_set(table, cell=("size",), hyper=("lr",), within=0.03)
    assert surface.runs == len(near) < len(table)


def test_the_jacobian_of_the_bowl_is_its_derivative():
    lr, batch = (each.ravel() for each in np.meshgrid(LRS, 1e5 * 2.0 ** np.arange(7)))
    grid = pd.DataFrame({"lr": lr, "batch": batch, "loss": 3.0 + 0.1 * np.log(lr * batch) ** 2})
    table = pd.concat([grid.assign(size=size) for size in (1e8, 3e8, 1e9)], ignore_index=True)
    depends = {"lr": ("size",), "batch": ()}
    runs = sorted_cells(table, ("size",), tuple(depends), "loss")
    bowl = Bowl.of(runs, np.ones(len(table), dtype=bool), depends)
    theta = np.random.default_rng(5).normal(size=(2, 3 + 3))  # A, then ln c and p of lr, ln c
    slopes = bowl.jacobian(theta)
    for at in range(theta.shape[1]):
        step = np.zeros(theta.shape[1])
        step[at] = 1e-6
        numeric = (bowl.residual(theta - step) - bowl.residual(theta + step)) / 2e-6
        assert slopes[:, :, at] == pytest.approx(numeric, abs=1e-7)  # central differences


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda t: optimum_per_cell(t, cell=("size",), hyper=("eta",)), "no column 'eta'"),
        (lambda t: optimum_per_cell(t, cell=("lr",), hyper=("lr",)), "one or the other"),
        (lambda t: optimum_per_cell(t, cell=(), hyper=("lr",)), "at least one column"),
        (lambda t: optimum_per_cell(t, cell=("size",), hyper=("lr",), within=0), "within=0"),
        (lambda t: optimum_per_cell(t, cell=("size",), hyper=("lr",), degree=1), "degree=1"),
        (
            lambda t: optimum_per_cell(
                t.assign(loss=[-1.0, *t["loss"][1:]]), cell=("size",), hyper=("lr",)
            ),
            "column 'loss' must be finite and positive .row 0",
        ),
        (lambda t: regress(t.assign(d=20 * t["size"]), "lr", ("size", "d")), "apart from d"),
        (lambda t: regress(t, "lr", ("size",), cluster=("cell",)), "no column 'cell'"),
        (
            lambda t: regress(t.assign(n=1e9 * (1 + 0.001 * t.index)), "lr", ("n",)),
            r"law of 'lr': n spans a factor of 1.02 only, which gives no exponent",
        ),
        (
            lambda t: regress(t.assign(n=1.1 * t["size"] + t.index), "lr", ("size", "n")),
            "size spans a factor of 1 only apart from n, which gives no exponent",
        ),
        (lambda t: regress(t[:1], "lr", ("size",)), r"1 usable cell\(s\) or run\(s\) for 2"),
        (lambda t: joint_surface(t, {"lr": ("d",)}, cell=("size",)), "'d' is no column"),
        (
            lambda t: joint_surface(t[t["size"] == 1e8], {"lr": ("size",)}, cell=("size",)),
            "size spans a factor of 1 only",
        ),
        (
            lambda t: joint_surface(
                t.assign(batch=1e5), {"lr": ("size",), "batch": ()}, cell=("size",)
            ),
            "do not determine the bowl",
        ),
        (
            lambda t: law_of_optima(
                optimum_per_cell(t, cell=("size",), hyper=("lr",)), "batch", ("size",)
            ),
            "no optimum of 'batch'",
        ),
    ],
)
def test_mistakes_are_named(call: object, match: str):
    with pytest.raises(UserError, match=match):
        call(cells(np.array([1e8, 4e8, 1.6e9])))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("n", "transformer", r"'n' holds text \(transformer\).*one value of it at a time"),
        ("lr", 0.0, r"'lr' is 0 in 1 row\(s\).*leave these rows out"),
    ],
)
def test_a_cell_that_has_no_logarithm_has_a_remedy(column: str, value: object, said: str):
    table = pd.DataFrame({"n": [1e7, 1e7, 1e8], "lr": [1e-3, 2e-3, 1e-3], "loss": [3.0, 3.1, 2.8]})
    whole = table.astype({column: object})
    whole.loc[[0] if value == 0.0 else slice(None), column] = value
    with pytest.raises(UserError, match=said):
        sorted_cells(whole, ("n",), ("lr",), "loss")
