"""Killed at any point, a run goes on to the same record, bit by bit."""

from __future__ import annotations

import multiprocessing
import random
import signal
from collections import Counter

import pytest
import records
import tiny
import victim

from experiments import data
from experiments.devices.slot import Slot

SEED = 4
KILLS = 20
# one row and one checkpoint for every step, so that there are many points to be killed at
BUSY = ("execution.steps_per_dispatch=1", "execution.checkpoint_seconds=0.0", "evaluation.times=3")


@pytest.fixture(scope="module")
def lives(tmp_path_factory, texts, cache):
    """Sends a job to a new worker and tells how that ended: (exit code, events)."""
    corpus = data.Corpora(cache).mixture(tiny.config(texts=texts).science.data)
    log = tmp_path_factory.mktemp("kill") / "workers.log"
    slot = Slot(cache, log, core=None)
    context = multiprocessing.get_context("forkserver")  # to import JAX only once
    context.set_forkserver_preload(["victim"])

    def live(folder, point=None, nth=1):
        job = tiny.job(folder, *BUSY, f"data.fingerprint={corpus.fingerprint}", texts=texts)
        ours, theirs = context.Pipe()
        process = context.Process(target=victim.live, args=(theirs, slot, point, nth))
        process.start()
        theirs.close()
        ours.send((job,))
        ours.send(None)
        events = []
        try:
            while True:
                events.append(ours.recv())
        except (EOFError, ConnectionResetError):
            process.join(60)
        return process.exitcode, events, job.folder

    return live


@pytest.fixture(scope="module")
def finished(lives, tmp_path_factory):
    """The folder of the run that was never interrupted."""
    code, events, folder = lives(tmp_path_factory.mktemp("finished"))
    assert (code, events[-1].phase) == (0, "completed")
    return folder


@pytest.mark.slow
def test_killed_at_twenty_points_the_record_is_the_same(lives, finished, tmp_path):
    """One run, killed over and over; every point comes at least once."""
    chance = random.Random(SEED)
    more = chance.choices([*victim.ON_THE_WAY], k=KILLS - len(victim.POINTS))
    way = [*victim.ON_THE_WAY, *more]
    chance.shuffle(way)
    killed = Counter()
    for point in (*victim.AT_THE_START, *way, *victim.AT_THE_END):
        code, events, folder = lives(tmp_path, point, chance.randint(1, 3))
        assert code == -signal.SIGKILL, (point, events)
        killed[point] += 1
    assert killed.total() == KILLS
    assert killed.keys() == victim.POINTS.keys()
    code, events, folder = lives(tmp_path)
    assert (code, events[-1].phase) == (0, "completed")
    assert records.means(folder) == records.means(finished)
    assert records.untimed(folder) == records.untimed(finished)
    others = ("claim.", "quarantine.")
    kept = sorted(path.name for path in folder.iterdir() if not path.name.startswith(others))
    assert kept == ["checkpoints", "config.json", "metrics.jsonl", "summary.json"]
    aside = [path.name for path in folder.glob("quarantine.*/*")]
    assert len(aside) <= killed["seal"] + killed["sealing"]  # checkpoints without a seal
    assert all(name.isdecimal() for name in aside)
