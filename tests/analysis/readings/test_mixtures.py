"""The reading of mixtures whose losses follow a known law."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_studies import Row, write

from analysis.readings import mixtures
from analysis.tables.study import load_study

TEXTS = ("code", "prose", "stubs")
T = np.array([[-3.0, 0.2, 0.4], [0.3, -2.0, 0.1], [0.5, 0.3, -1.0]])
E = np.array([1.0, 0.8, 1.5])


def row(label: str, weights: np.ndarray, seed: int, luck: float = 0.0) -> Row:
    losses = (E + np.exp(T @ weights)) * np.exp(luck)
    return Row(
        label,
        {
            "loss": float(losses.mean()),
            "weights_by_source": dict(zip(TEXTS, weights.tolist(), strict=True)),
            "losses_by_source": dict(zip(TEXTS, losses.tolist(), strict=True)),
        },
        seed,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    drawn = enumerate(rng.dirichlet([1] * 3, 30))
    rows = [row("proxy", weights, k, rng.normal(0, 0.002)) for k, weights in drawn]
    for label, weights in (("equal", [1 / 3] * 3), ("all code", [0.98, 0.01, 0.01])):
        rows += [row(label, np.array(weights), 100 + k, 0.01 * k) for k in range(3)]
    return write(tmp_path_factory.mktemp("mixtures"), "mixtures", rows)


def test_the_law_is_judged_and_the_trained_mixtures_are_ranked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixtures, "RESAMPLES", 2)
    monkeypatch.setattr(mixtures, "NAMES", ("law", "ridge"))
    found = mixtures.read(load_study(folder))
    assert found is not None
    assert len(found.proxies.weights) == 30
    assert found.judged["law"].error < 0.004
    assert found.judged["law"].low > 0.9
    assert found.judged["ridge"].error > found.judged["law"].error
    assert [each.label for each in found.trained] == ["equal", "all code"]
    value, low, high = found.trained[1].above(found.trained[0])
    assert low == pytest.approx(value, abs=1e-9)  # luck of a seed is of both
    assert high == pytest.approx(value, abs=1e-9)
    said = str(found)
    assert "the mixing law errs by 0." in said
    assert "'equal' is best, above it: all code" in said
    assert found.predicted["equal"] == pytest.approx(found.trained[0].losses[100], rel=0.003)
    assert sum(found.predictions[f"law: {text}"] for text in TEXTS) == pytest.approx(1)
    assert found.predictions["law: loss"] <= found.predicted["equal"]
    heads = [table.title for table in found.tables]
    assert heads == [
        "Errors on runs left out",
        "The best mixture for the mean of all texts",
        "Mixtures that were trained",
    ]
    (picture,) = found.pictures()
    assert len(picture.draw().axes) == 3
