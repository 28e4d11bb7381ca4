"""The facts of a run's sources: what was asked of each, what it gave, and what it is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import tiny
from plugged import plugged

from experiments import data
from experiments.config.overrides import override
from experiments.config.run import Science
from experiments.data import cache
from scaling.common.errors import UserError

T = 16


def science(*assignments: str) -> Science:
    return override(
        tiny.config(), [f"batch.seq_len={T}", "data.source=stdlib", *assignments]
    ).science


def test_parts_of_one_text_are_counted_apart_and_validated_together(tmp_path: Path) -> None:
    texts = tiny.write_texts(tmp_path / "texts")
    run = science(
        f"data.corpora=again=files:{texts},fresh=files:{texts}",
        "data.weights=0.5,0.5",
        f"data.unique_tokens={4 * T},0",
        "budget.tokens=3200",
    )
    mixture = data.Corpora(tmp_path / "cache").mixture(run.data)
    (text,) = mixture.texts.values()
    assert len(mixture.valid) == 1
    assert mixture.fingerprint == f"{text.fingerprint}+{text.fingerprint}"
    tokens, unique = mixture.tokens_by_source(run), mixture.unique_by_source(run)
    assert sum(tokens.values()) == run.tokens == 3200
    assert tokens.keys() == {"again", "fresh"}
    assert abs(tokens["again"] - 1600) <= T
    assert unique["again"] == 4 * T
    assert unique["fresh"] == (text.train.tokens - 1) // T * T - 4 * T
    assert mixture.epochs_by_source(run)["again"] == pytest.approx(tokens["again"] / (4 * T))
    assert mixture.repeats_by_source(run) == {"again": 25, "fresh": 1}
    assert mixture.weights_by_source(run) == {"again": 0.5, "fresh": 0.5}
    unnamed = override(
        tiny.config(), [f"data.corpora=files:{texts},files:{texts}/*", "data.weights=0.5,0.5",
                        "data.source=stdlib"],
    )  # fmt: skip
    with pytest.raises(UserError, match="two are the same text; name them"):
        data.Corpora(tmp_path / "cache").mixture(unnamed.science.data)


def test_a_generator_has_its_entropy_and_stages_their_mean_weights(tmp_path: Path) -> None:
    run = science(
        "data.corpora=sums=arithmetic:documents=60,trees=dag:documents=60",
        "data.weights=1,0,0.5,0.5",
        "data.stages=800",
        "budget.tokens=3200",
        "data.valid_fraction=0.2",
    )
    mixture = data.Corpora(tmp_path / "cache").mixture(run.data)
    assert mixture.weights_by_source(run) == {"sums": 0.625, "trees": 0.375}
    tokens = mixture.tokens_by_source(run)
    assert abs(tokens["trees"] - 1200) <= T
    found = mixture.entropy_by_source()
    assert found == pytest.approx({"sums": 1.017, "trees": 0.419}, rel=0.01)
    texts = tiny.write_texts(tmp_path / "texts")
    assert (
        not data.Corpora(tmp_path / "cache")
        .mixture(tiny.config(texts=texts).science.data)
        .entropy_by_source()
    )


def test_one_text_under_two_names_is_one_text(tmp_path: Path) -> None:
    """Two ways of naming the same files: without a cap, nothing is left for the second."""
    texts = tiny.write_texts(tmp_path / "texts")
    run = science(f"data.corpora=a=files:{texts},b=files:{texts}/*", "data.weights=0.5,0.5")
    mixture = data.Corpora(tmp_path / "cache").mixture(run.data)
    assert len(mixture.texts) == 1
    with pytest.raises(UserError, match="only the last goes without a cap"):
        mixture.train.targets_per_epoch(T)


def test_two_sources_of_the_same_files_are_two_texts(tmp_path: Path) -> None:
    """A reading is remembered for the source that made it, not for the files alone."""
    files = tiny.write_texts(tmp_path / "texts")
    for each in files.iterdir():
        os.utime(each, (1e9, 1e9))
    kinds = {"upper": "content.upper()", "lower": "content"}
    plugin = """
import os
import time
from pathlib import Path
from experiments.data.sources import Document, Source
FOLDER = Path({folder!r})
def files(config):
    return sorted(FOLDER.iterdir())
def documents(config):
    for file in files(config):
        content = file.read_bytes()
        yield Document(file.name, {text})
SOURCE = Source(documents, takes_path=False, files=files)
"""
    written = {
        f"experiments.data.sources.{name}": plugin.format(folder=str(files), text=text)
        for name, text in kinds.items()
    }
    time.sleep(cache.SETTLED_SECONDS + 0.1)  # after which readings are remembered
    with plugged(tmp_path / "plug-ins", written):
        found = [
            data.Corpora(tmp_path / "cache")
            .mixture(data.DataConfig(source=name, valid_fraction=0.2))
            .fingerprint
            for name in kinds
        ]
    assert len(set(found)) == 2
