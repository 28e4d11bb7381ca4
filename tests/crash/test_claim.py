from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from experiments.runs import claim
from experiments.runs.claim import ClaimLostError, Owner, is_claimed, take
from scaling.common.errors import UserError
from scaling.common.files import read_json, write_json

SPAWN = multiprocessing.get_context("spawn")  # a fork would be of a process with JAX's threads


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def age(folder, seconds):
    """Let the claim's last sign of life be that long ago."""
    (name,) = files(folder)
    then = time.time() - seconds
    os.utime(folder / name, (then, then))


def of_another_machine(folder, **fields):
    (name,) = files(folder)
    owner = read_json(folder / name, Owner)
    changed = msgspec.structs.replace(owner, **{"boot": "another", **fields})
    write_json(folder / name, changed)


def hold(folder, pipe):
    """Take the run and keep it until told to go."""
    with take(folder):
        pipe.send("mine")
        pipe.recv()


@pytest.fixture
def holder(tmp_path):
    """Another process that has the run in `tmp_path`."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(tmp_path, theirs), daemon=True)
    process.start()
    assert ours.recv() == "mine"
    yield process, ours
    process.kill()
    process.join()


def test_one_has_it_until_released(tmp_path):
    run = tmp_path / "run"
    assert not is_claimed(run)
    first = take(run)
    with first:
        assert is_claimed(run)
        assert take(run) is None
        first.check()
    assert not is_claimed(run)
    with take(run):
        assert take(run) is None
    assert files(run) == ["claim.2"]


def test_claim_says_whose_it_is(tmp_path):
    with take(tmp_path):
        owner = read_json(tmp_path / "claim.1", Owner)
    assert owner.pid == os.getpid()


def test_owner_that_was_killed_is_followed_at_once(tmp_path, holder):
    process, _ = holder
    assert take(tmp_path) is None
    os.kill(process.pid, signal.SIGKILL)
    while not (found := take(tmp_path)):  # not yet waited for: a zombie is dead, too
        assert process.is_alive() or not is_claimed(tmp_path)
    process.join()
    with found:
        assert files(tmp_path) == ["claim.2"]


def test_number_that_another_process_has_by_now_is_not_the_owner(tmp_path):
    with take(tmp_path):
        owner = read_json(tmp_path / "claim.1", Owner)
        write_json(tmp_path / "claim.1", msgspec.structs.replace(owner, born="1"))
        assert not is_claimed(tmp_path)


DAY = 86400.0


@pytest.fixture
def watch(monkeypatch):
    """Pass seconds of the watcher's monotonic clock, in looks `BEAT` seconds apart at most."""
    now = float(round(time.monotonic()))  # whole seconds add up exactly

    def monotonic():
        return now

    def passing(folder, seconds, step=claim.BEAT):
        nonlocal now
        for _ in range(round(seconds / step)):
            now += step
            is_claimed(folder)

    monkeypatch.setattr(claim, "_watches", {})
    monkeypatch.setattr(claim.time, "monotonic", monotonic)
    return passing


@pytest.mark.parametrize("seconds", [-DAY, 0.0, claim.STALE + 1, DAY])
@pytest.mark.parametrize("fields", [{}, {"pid": 2**22 + 1}, {"boot": None}], ids=str)
def test_owner_elsewhere_is_dead_after_silence_whatever_the_clocks_say(
    tmp_path, watch, seconds, fields
):
    """A claim of the past or the future tells of a clock, and no process here of another boot."""
    first = take(tmp_path)
    of_another_machine(tmp_path, **fields)
    age(tmp_path, seconds)
    watch(tmp_path, claim.STALE)
    assert take(tmp_path) is None
    age(tmp_path, seconds - 1)  # a sign of life
    watch(tmp_path, claim.STALE)
    assert take(tmp_path) is None
    watch(tmp_path, claim.BEAT)
    with take(tmp_path):
        with pytest.raises(ClaimLostError, match="taken over by another worker"):
            first.check()
        assert is_claimed(tmp_path)


def test_pause_of_the_watcher_is_no_silence_of_the_owner(tmp_path, watch):
    take(tmp_path)
    of_another_machine(tmp_path)
    watch(tmp_path, DAY, step=DAY / 4)
    assert take(tmp_path) is None


def test_silence_is_seen_by_others_once_one_has_watched(tmp_path, watch, monkeypatch):
    take(tmp_path)
    of_another_machine(tmp_path)
    watch(tmp_path, claim.STALE + claim.BEAT)
    monkeypatch.setattr(claim, "_watches", {})  # as of another process
    with take(tmp_path):
        assert files(tmp_path) == ["claim.2"]


@pytest.mark.parametrize("field", ["host", "namespaces"])
def test_same_number_on_another_host_or_in_another_container_is_not_judged(tmp_path, field):
    take(tmp_path)
    of_another_machine(tmp_path, **{"boot": claim._machine()[1], field: "other", "pid": 2**22 + 1})
    assert take(tmp_path) is None


def test_living_owner_keeps_its_run_through_any_silence(tmp_path, watch, holder):
    """Its thread may be late, and its clock or ours may jump."""
    age(tmp_path, DAY)
    watch(tmp_path, 2 * claim.STALE)
    assert take(tmp_path) is None
    age(tmp_path, -DAY)
    watch(tmp_path, 2 * claim.STALE)
    assert take(tmp_path) is None


def test_stopped_owner_is_followed_after_silence(tmp_path, watch, holder):
    process, _ = holder
    os.kill(process.pid, signal.SIGSTOP)
    while claim._stat(process.pid)[0] != "T":
        time.sleep(0.01)
    assert take(tmp_path) is None
    watch(tmp_path, claim.STALE + claim.BEAT)
    with take(tmp_path):
        os.kill(process.pid, signal.SIGCONT)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"pid": 1}', '{"pid": "x"}', "\xff"])
def test_claim_that_names_no_owner_is_kept_until_its_silence(tmp_path, watch, text):
    (tmp_path / "claim.7").write_text(text, encoding="latin-1")
    watch(tmp_path, claim.STALE)
    assert take(tmp_path) is None
    assert claim.holder(tmp_path).name == f"a claim that cannot be read ({tmp_path / 'claim.7'})"
    watch(tmp_path, claim.BEAT)
    with take(tmp_path):
        assert files(tmp_path) == ["claim.8"]


def test_claim_of_another_process_by_the_same_name_is_not_ours(tmp_path):
    """The folder was removed and made again, and another worker has it."""
    with take(tmp_path) as first:
        (tmp_path / "claim.1").unlink()
        with take(tmp_path) as second:
            assert files(tmp_path) == ["claim.1"]
            with pytest.raises(ClaimLostError):
                first.check()
            first.__exit__(None, None, None)
            second.check()
            assert is_claimed(tmp_path)


def test_old_sign_of_life_elsewhere_seems_dead_and_a_future_one_alive(tmp_path):
    take(tmp_path)
    assert claim.seems_live(tmp_path)
    age(tmp_path, DAY)
    assert claim.seems_live(tmp_path)  # this very process
    of_another_machine(tmp_path)
    assert claim.seems_live(tmp_path)
    age(tmp_path, DAY)
    assert not claim.seems_live(tmp_path)
    age(tmp_path, -DAY)
    assert claim.seems_live(tmp_path)
    assert "in the future" in claim.holder(tmp_path).heard


def test_signs_of_life_are_shown_while_the_owner_is_busy(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "BEAT", 0.01)
    with take(tmp_path):
        age(tmp_path, DAY)
        deadline = time.monotonic() + 30
        while time.time() - (tmp_path / "claim.1").stat().st_mtime > claim.STALE:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_release_after_a_take_over_leaves_the_claim_of_the_other(tmp_path, watch):
    with take(tmp_path):
        of_another_machine(tmp_path)
        watch(tmp_path, claim.STALE + claim.BEAT)
        second = take(tmp_path)
    assert is_claimed(tmp_path)
    second.check()


def test_taker_that_decided_long_ago_finds_the_claim_followed(tmp_path, monkeypatch):
    """It saw claim.1 free; meanwhile others took 2 and 3, and 2 is gone."""
    (tmp_path / "claim.3").touch()
    looks = [([1], 2)]
    seen = claim._seen
    monkeypatch.setattr(claim, "_seen", lambda run: looks.pop() if looks else seen(run))
    monkeypatch.setattr(claim, "_is_held", lambda path: False)
    assert take(tmp_path) is None
    assert files(tmp_path) == ["claim.3"]


@pytest.mark.parametrize("before", [(), ("claim.1",)])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_a_claim_that_is_no_file_owns_nothing(make, before, tmp_path):
    """A folder, a pipe or a link to nothing where the next claim would be."""
    for name in before:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    make(tmp_path / f"claim.{len(before) + 1}")
    assert not is_claimed(tmp_path)
    assert take(tmp_path) is not None
    assert is_claimed(tmp_path)
    assert take(tmp_path) is None


def test_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot claim the run \(.*\); make room") as caught:
        take(tmp_path / "file" / "run")
    assert "\n" not in str(caught.value)


# --- races of real processes ---

RACER = """
import os, random, signal, sys, time
from pathlib import Path
from experiments.runs.claim import take

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)
left = set(range(200))
while left:
    number = min(left)  # all go for the same one
    run = folder / str(number)
    claim = take(run)
    if claim is None:
        continue
    with claim:
        if (run / "done").exists():
            left.remove(number)
            continue
        (run / "owner").touch(exist_ok=False)  # fails where two have the run at once
        os.sched_yield()
        (run / "owner").unlink()
        if chance.random() < 0.05:
            os.kill(os.getpid(), signal.SIGKILL)
        (run / "done").touch()
"""


def test_of_many_racers_one_has_each_run_and_the_dead_are_followed(tmp_path):
    """Six processes over two hundred runs; of twenty times that one has a run, it
    kills itself once."""
    racer = tmp_path / "racer.py"
    racer.write_text(RACER)
    folder = tmp_path / "runs"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    seeds = iter(range(1000))

    def start():
        command = [sys.executable, str(racer), str(folder), str(next(seeds))]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    racers, kills = [start() for _ in range(6)], 0
    while racers:
        process = racers.pop(0)
        _, error = process.communicate(timeout=60)
        if process.returncode == -signal.SIGKILL:
            kills += 1
            racers.append(start())
        else:
            assert process.returncode == 0, error
    assert kills >= 3
    assert len(list(folder.glob("*/done"))) == 200
