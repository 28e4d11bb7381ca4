"""What every test shares: the CPU, compiled programs kept between test runs, and goldens."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DEVICES = ("gpu", "tpu")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden/*.json as things are now"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Set what JAX reads when it is imported, for this process and for those it starts."""
    if config.option.markexpr not in DEVICES:
        os.environ["JAX_PLATFORMS"] = "cpu"
    if config.pluginmanager.has_plugin("cacheprovider"):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(config.cache.mkdir("xla"))  # type: ignore[union-attr]
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"


@pytest.fixture(scope="session", autouse=True)
def windtunnel_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache without corpora, whose compiled programs are those of the last run of the tests."""
    cache = tmp_path_factory.mktemp("windtunnel")
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        (cache / "xla").symlink_to(os.environ["JAX_COMPILATION_CACHE_DIR"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINDTUNNEL_CACHE", str(cache))
        yield cache


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[..., None]:
    """golden(name, value) holds value to tests/golden/<name>.json, exactly, or writes it.

    golden(name, value, rel=0.1) lets numbers differ by a tenth.
    """
    folder, update = Path(__file__).parent / "golden", request.config.getoption("--update-golden")

    def check(name: str, value: Any, rel: float = 0) -> None:
        path = folder / f"{name}.json"
        if update:
            path.write_text(_text(value), encoding="utf-8")
        assert path.exists(), f"no {path.name}: pytest --update-golden writes it"
        found, kept = json.loads(_text(value)), json.loads(path.read_bytes())
        assert found == (_near(kept, rel) if rel else kept)

    return check


def _near(value: Any, rel: float) -> Any:
    """What equals a value whose numbers differ by so much."""
    if isinstance(value, dict):
        return {name: _near(inner, rel) for name, inner in value.items()}
    if isinstance(value, list):
        return [_near(inner, rel) for inner in value]
    return pytest.approx(value, rel=rel) if isinstance(value, int | float) else value


def _text(value: Any) -> str:
    """JSON with a line for each row of a list, so that a change reads as a change of lines."""
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(row) for row in value) + "\n]\n"
    return json.dumps(value, indent=1) + "\n"
