"""Options, caches, goldens and the tiny corpus that all tests share."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import pickle
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from tiny import OneCorpus

    from experiments.runs.job import Event
    from experiments.sweep.sweep import Sweep

DEVICES = ("gpu", "tpu")
IN_FULL = (*DEVICES, "slow")  # these tests run for longer than XLA takes to optimise
LONG = ("tests/invariance/eight_devices/", "tests/transfer/", "tests/experiments/")
# programs that tests of any checkout have compiled; the key of a program is its text and flags
COMPILED = Path("~/.cache/windtunnel/compiled_by_tests").expanduser()
MONTH = 30 * 24 * 3600.0


# Tests check every shape that these files annotate; elsewhere the annotations cost nothing.
SHAPED = (
    "models.dense",
    "models.module",
    "models.transformer",
    "models.pipeline",
    "models.mixers._attention",
    "models.mixers._splash",
    "models.ffn._mlp",
    "models.ffn._experts",
    "models.routers",
    "experiments.training.objective",
)
install_import_hook(SHAPED, "beartype.beartype")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in this process tell no progress, however slow the machine is."""
    monkeypatch.setattr("scaling.common.progress.PATIENCE", 3600.0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden/*.json as things are now"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Set what JAX reads when it is imported, for this process and for its children."""
    config.pluginmanager.register(importlib.import_module("cpu_time"))
    if config.option.markexpr not in DEVICES:
        os.environ["JAX_PLATFORMS"] = "cpu"
    if config.option.markexpr not in IN_FULL:
        flags = importlib.import_module("quick").FLAGS
        os.environ["XLA_FLAGS"] = f"{flags} {os.environ.get('XLA_FLAGS', '')}"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILED))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
    if not hasattr(config, "workerinput"):
        for program in COMPILED.glob("*-cache"):
            if program.stat().st_mtime < time.time() - MONTH:
                program.unlink(missing_ok=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, so that the workers end together."""
    items.sort(key=lambda item: [not item.nodeid.startswith(folder) for folder in LONG])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send whole files to the workers, so that a module's fixtures are made once.

    The folder with eight devices is one file. (loadgroup does not group with pytest 9.2.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder, found, _ = nodeid.partition("eight_devices")
            return folder if found else nodeid.partition("::")[0]

    return Files(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say last how many tests were skipped for each reason."""
    yield
    skipped = terminalreporter.stats.get("skipped", ())
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"skipped: {count} x {reason}")


@pytest.fixture(scope="session", autouse=True)
def windtunnel_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty cache of corpora for commands that name none."""
    cache = _cache(tmp_path_factory.mktemp("windtunnel"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINDTUNNEL_CACHE", str(cache))
        yield cache


@pytest.fixture(scope="session", autouse=True)
def windtunnel_data() -> Iterator[None]:
    """The published tables that `paths.DATA` names, whether or not the caller named them."""
    from paths import DATA

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINDTUNNEL_DATA", str(DATA))
        yield


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test workers share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def texts(common: Path) -> Path:
    """The text files of the tiny corpus. Read only."""
    import tiny

    with once(common / "texts") as folder:
        if not folder.exists():
            tiny.write_texts(folder)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the tiny corpus once a test has prepared it."""
    return _cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def corpus(texts: Path, cache: Path) -> OneCorpus:
    """The tiny corpus, prepared, for every run."""
    import tiny

    return tiny.OneCorpus(texts, cache)


@pytest.fixture(scope="session")
def swept(
    common: Path, texts: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sweep, list[Event]]:
    """The tiny study, trained: three runs by two workers, one of which diverges; and the events.

    One test worker trains it, and each has a copy.
    """
    import tiny

    told = common / "events.pickle"
    with once(common / "swept") as folder:
        if not told.exists():
            told.write_bytes(pickle.dumps(tiny.swept(texts, folder, cache)[1]))
    copy = tmp_path_factory.mktemp("swept")
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    bound, _ = tiny.swept(texts, copy, cache)  # trains nothing more
    return bound, pickle.loads(told.read_bytes())


@pytest.fixture(scope="session")
def study_file(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study file as a user writes it."""
    import tiny

    path = tmp_path_factory.mktemp("study") / "mine.py"
    path.write_text(tiny.STUDY_FILE.format(path=str(texts)))
    return str(path)


@pytest.fixture(scope="session")
def search_file(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A search file as a user writes it."""
    import tiny

    path = tmp_path_factory.mktemp("search") / "mine.py"
    path.write_text(tiny.SEARCH_FILE.format(path=str(texts)))
    return str(path)


@contextmanager
def once(folder: Path) -> Iterator[Path]:
    """One worker at a time is in here, so the first makes the folder, and the others find it."""
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _cache(folder: Path) -> Path:
    """An empty cache whose compiled programs are those of earlier sessions."""
    compiled = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    compiled.mkdir(parents=True, exist_ok=True)
    (folder / "xla").symlink_to(compiled)
    return folder


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[..., None]:
    """golden(name, value) compares value with tests/golden/<name>.json, or writes the file.

    The comparison is exact; golden(name, value, rel=0.1) lets numbers differ by a tenth.
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
    """A value that equals all values whose numbers differ by at most `rel`."""
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
