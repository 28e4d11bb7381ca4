"""Searches carried out on tiny runs: what is trained, what goes on, and what search.json says."""

from __future__ import annotations

import itertools
import shutil

import msgspec
import pytest
import records

from experiments import record, studies
from experiments.__main__ import main
from experiments.launchers.local import Local
from experiments.record import SearchRecord
from experiments.runs.branch_point import take_over
from experiments.search import promotion
from experiments.search.cost import planned
from experiments.search.plan import halve
from experiments.search.promotion import unwatched
from experiments.search.searcher import bind
from experiments.sweep.sweep import write_study
from experiments.training.trainer import train

RATE = "optimizer.learning_rate"


class Here:
    """A sweep that trains in this process, and is interrupted after so many runs."""

    def __init__(self, runs: float = float("inf")) -> None:
        self.left = runs
        self.trained: list[str] = []

    def __call__(self, sweep, part, launcher, watch):
        write_study(sweep)
        for run in sweep.study.part(part):
            if sweep.status(run) not in record.FINISHED:
                if not self.left:
                    return
                self.left -= 1
                self.trained.append(run.run_id)
                job = sweep.job(run)
                take_over(job)
                train(job, sweep.corpora, watch=watch)


@pytest.fixture
def call(search_file, cache, tmp_path, monkeypatch, capsys):
    """A command line, its runs trained by `Here`; gives (exit code, stdout, stderr, trained)."""

    def call(*arguments: str, runs: float = float("inf"), out=tmp_path / "out"):
        here = Here(runs)
        monkeypatch.setattr(promotion, "run_sweep", here)
        code = main(["search", search_file, "--out", str(out), "--cache", str(cache), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err, here.trained

    return call


def sets(*assignments: str) -> list[str]:
    return [word for text in assignments for word in ("--set", text)]


def error(captured) -> str:
    assert captured[0] == 2
    assert not captured[3]
    return captured[2].splitlines()[-1]


def scores(folder) -> dict[tuple, dict[int, float | None]]:
    page = record.read(folder, SearchRecord)
    return {tuple(one.fields.values()): one.scores for one in page.candidates}


def written(folder) -> dict:
    return {path: path.stat().st_mtime_ns for path in folder.glob("*/summary.json")}


@pytest.fixture(scope="module")
def shallow(search_file, cache, tmp_path_factory):
    """A folder with a whole Hyperband of R=2: 4 candidates, 2 of them begun on half of it."""
    folder = tmp_path_factory.mktemp("shallow") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promotion, "run_sweep", Here())
        plan = studies.load_search(search_file, [])
        bind(plan, "random", folder, cache, Local(1), unwatched).run()
    return folder


def test_dry_run_prints_brackets_and_exact_costs_and_writes_nothing(call, tmp_path):
    code, out, err, trained = call("--dry-run", *sets("R=4"))
    assert (code, err, trained) == (0, "", [])
    assert not (tmp_path / "out").exists()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["Which", "rate?"]
    rungs = [line[:4] for line in lines if len(line) == 5 and line[0].isdigit()]
    assert rungs == [
        ["2", "1", "320", "4"],
        ["2", "2", "640", "2"],
        ["2", "4", "1,280", "1"],
        ["1", "2", "640", "3"],
        ["1", "4", "1,280", "1"],
        ["0", "4", "1,280", "3"],
    ]
    costs = [line[-4:-2] for line in lines if line and line[-1].endswith("%")]
    assert costs == [["28", "8,960"], ["34", "10,880"], ["40", "12,800"]]


@pytest.mark.slow
def test_search_file_reaches_the_end_over_real_workers(search_file, cache, tmp_path, capsys):
    arguments = [
        "search",
        search_file,
        "--out",
        str(tmp_path),
        "--cache",
        str(cache),
        "--workers",
        "1",
    ]
    assert main([*arguments, *sets("method=successive_halving")]) == 0
    out, err = capsys.readouterr()
    assert "[2/2 runs, " in err
    assert "[3/3 runs, " in err
    head = next(i for i, line in enumerate(out.splitlines()) if line.startswith("validation loss"))
    table = [line.split() for line in out.splitlines()[head + 1 : head + 4]]
    assert table[0] == [RATE, "optimizer.beta2", "320", "640"]
    assert [len(row) for row in table[1:]] == [4, 3]
    assert out.splitlines()[-3].split()[-4:-2] == ["3", "960"]
    page = record.read(tmp_path, SearchRecord)
    assert page.finished
    assert page.best.fields[RATE] == pytest.approx(float(table[1][0]), rel=1e-3)
    restarted = page.cost["restarted"]
    assert (restarted.units, restarted.tokens) == (4, 1280)


def test_interrupted_search_exits_with_75_and_the_same_command_redoes_nothing(
    call, shallow, tmp_path
):
    everything = []
    for _ in range(3):
        before = written(tmp_path / "out")
        code, out, _, trained = call(runs=2)
        assert all(path.stat().st_mtime_ns == time for path, time in before.items())
        everything += trained
        if len(everything) < 5:
            assert code == record.AGAIN
            assert "the same command continues" in out
            assert not record.read(tmp_path / "out", SearchRecord).finished
    assert code == 0
    assert len(everything) == len(set(everything)) == 5
    assert scores(tmp_path / "out") == scores(shallow)
    assert call()[3] == []


def test_failed_run_exits_with_75_and_is_told_with_its_reason(call, tmp_path):
    call(runs=2)
    out = tmp_path / "out"
    short = next(iter(written(out)))
    record.write(short.parent, records.run_summary(status="failed", message="out of memory"))
    code, said, _, _ = call(runs=0)
    assert code == record.AGAIN
    assert f"{short}: out of memory; search again" in said
    code, _, _, trained = call()
    assert (code, len(trained)) == (0, 4)


@pytest.mark.parametrize(
    ("rule", "R"),
    [
        ("efficient", 8),
        pytest.param("preserving", 8, marks=pytest.mark.slow),
        ("discarding", 4),
    ],
)
def test_deepening_goes_on_with_what_is_there(rule, R, call, shallow, tmp_path, search_file, cache):
    """Interrupted, too; what was trained is what the rule asks for, and nothing else."""
    out, reached = tmp_path / "deep", tuple(2**k for k in range(1, R.bit_length()))
    shutil.copytree(shallow, out)
    method = record.read(out, SearchRecord).search
    records.change(out, SearchRecord, search=msgspec.structs.replace(method, promotion=rule))
    before, old = written(out), scores(out)
    deeper = sets("method=deepening", f"promotion={rule}", f"R={R}")
    assert call(*deeper, runs=5, out=out)[0] == record.AGAIN
    assert call(*deeper, out=out)[0] == 0
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    page = record.read(out, SearchRecord)
    assert reached == page.R
    new = scores(out)
    assert all(new[candidate].items() >= row.items() for candidate, row in old.items())

    used = set()

    def look_up(candidates, budget):
        rows = [(c.science.optimizer.learning_rate, c.science.optimizer.beta2) for c in candidates]
        used.update((row, plan.tokens(budget)) for row in rows)
        return [new[row][plan.tokens(budget)] for row in rows]

    plan = studies.load_search(search_file, ["method=deepening", f"promotion={rule}", f"R={R}"])
    candidates = [plan.config(one.fields) for one in record.read(out, SearchRecord).candidates]
    done = halve(plan, reached, iter(candidates), look_up)
    assert used == {(row, tokens) for row, known in new.items() for tokens in known}
    cost = page.cost["restarted"].units
    assert cost == done.cost >= planned(plan).restarted.units
    if rule == "efficient":
        assert cost == planned(plan).restarted.units
    assert len(list(out.glob("*/config.json"))) == len(used)
    for entry in page.candidates:
        folders = [out / entry.runs[tokens] for tokens in entry.scores]
        rows = [list(record.read_rows(folder / record.METRICS)) for folder in folders]
        for short, long in itertools.pairwise(rows):
            *training, validation = short
            assert long[: len(training)] == training  # wall time and all: not trained again
            assert validation not in long
            assert long[-1].step == 2 * short[-1].step


def test_who_diverged_is_not_trained_again_and_comes_last(call, tmp_path):
    code, out, _, trained = call(*sets("method=successive_halving", "R=4", "top=1e12"))
    assert code == 0
    page = record.read(tmp_path / "out", SearchRecord)
    lost = [one for one in page.candidates if None in one.scores.values()]
    assert 1 <= len(lost) < 4
    statuses = [record.run_status(tmp_path / "out" / run) for run in trained]
    assert statuses.count(record.Status.DIVERGED) == len(lost)
    table = out.splitlines()[
        out.splitlines().index(
            next(line for line in out.splitlines() if line.startswith("validation"))
        ) :
    ]
    assert "diverged" in table[5] and "diverged" not in table[2]


def test_optuna_search_goes_on_with_the_same_candidates(call, tmp_path):
    """Interrupted, and with and without what search.json remembers."""
    settings = ("--sampler", "optuna", *sets("R=4"))
    assert call(*settings, out=tmp_path / "whole")[0] == 0
    for _ in range(2):
        assert call(*settings, runs=6, out=tmp_path / "parts")[0] == record.AGAIN
        (tmp_path / "parts" / record.SEARCH).rename(tmp_path / "away.json")
        (tmp_path / "parts" / record.STUDY).unlink()
    assert call(*settings, out=tmp_path / "parts")[0] == 0
    assert scores(tmp_path / "parts") == scores(tmp_path / "whole")


def test_candidates_of_earlier_calls_come_first_whatever_the_sampler_would_say(
    shallow, cache, search_file, tmp_path, monkeypatch
):
    shutil.copytree(shallow, tmp_path / "out")
    backwards = record.read(tmp_path / "out", SearchRecord).candidates[::-1]
    records.change(tmp_path / "out", SearchRecord, candidates=backwards)
    found = bind(
        studies.load_search(search_file, []), "random", tmp_path / "out", cache, Local(1), unwatched
    )
    assert [one.fields for one in found.tried.values()] == [c.fields for c in backwards]


def test_mistakes_are_one_line_before_any_work(call, shallow, tmp_path):
    assert "did you mean 'optuna'" in error(call("--sampler", "optun"))
    assert "--workers 0: must be at least 1" in error(call("--workers", "0"))
    assert "declare data.epochs=" in error(call(*sets("R=128")))
    assert "schedule.name=constant" in error(call(*sets("schedule.name=linear")))
    assert not (tmp_path / "out").exists()
    held = {"out": shallow}
    assert "method=hyperband, now successive_halving" in error(
        call(*sets("method=successive_halving"), **held)
    )
    assert "sampler=random, now optuna" in error(call("--sampler", "optuna", **held))
    assert "holds a search with seed=0, now 1" in error(call(*sets("seed=1"), **held))
    assert f"{RATE}=LogUniform" in error(call(*sets("top=0.2"), **held))
    assert "set method=deepening" in error(call(*sets("R=4"), **held))
    record.write(tmp_path / "out", records.plan("other", []))
    assert "holds a study; choose another folder" in error(call())
    assert not (tmp_path / "out" / record.SEARCH).exists()
