"""A study's folder sent to a URL, and brought back: records and checkpoints, not claims.

A reader of the URL finds at any time what it would find here a little earlier. A run's summary and
a checkpoint's seal are sent after the files that they vouch for. A file is sent again when its size
or time has changed; one that is gone here is removed there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from experiments.record import ENDED, STUDY, SUMMARY, StudyPlan, read, run_status
from experiments.runs.checksums import SEAL
from scaling.common.errors import UserError
from scaling.common.files import SCRATCH, cache_folder, output_folder, read_json, write_json
from scaling.common.remote import bring, in_one_line, listed, spelled, system

SENT = "remote_sent"  # in the cache
LAST = (SEAL, SUMMARY)  # these vouch for the other files of their folder
CLAIM = "claim."


class _Sent(msgspec.Struct, frozen=True):
    """Size and time of each file when it was sent."""

    files: dict[str, tuple[int, int]] = {}


def send(folder: Path, url: str) -> int:
    """Make the files at a URL those of a study's folder.

    Returns:
        the number of files sent or removed.

    Raises:
        UserError: the folder holds no study, or the service refuses.
    """
    if not (folder / STUDY).exists():
        raise UserError(f"{folder}: holds no {STUDY}, so no runs of a study")
    found, root = system(url)
    text = spelled(url).rstrip("/")
    name = hashlib.sha256(f"{folder.resolve()} {text}".encode()).hexdigest()[:16]
    memory = cache_folder() / SENT / f"{name}.json"
    sent = dict(read_json(memory, _Sent).files) if memory.exists() else {}
    try:
        there = listed(text)
    except UserError:  # nothing yet, or no service: sending tells
        there = {}
    count, here = 0, dict(_files(folder))
    for name in sorted(here, key=lambda name: (Path(name).name in LAST, name)):
        if sent.get(name) == here[name] and name in there:
            continue
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:  # a checkpoint that was just removed
            continue
        with in_one_line(f"{text}/{name}"):
            found.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
            found.pipe_file(f"{root}/{name}", content)
        sent[name], count = here[name], count + 1
    for name in sent.keys() - here.keys():
        if name in there:
            with in_one_line(f"{text}/{name}"):
                found.rm_file(there[name].place)
            count += 1
        del sent[name]
    write_json(memory, _Sent(sent))
    return count


def receive(url: str, folder: Path) -> int:
    """Bring a study with its checkpoints from a URL into a new folder.

    Raises:
        UserError: the folder holds something, or the URL no study.
    """
    output_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: is not empty; name a new folder")
    files = listed(url)
    if STUDY not in files:
        raise UserError(f"{spelled(url)}: holds no {STUDY}, so no runs of a study")
    name = hashlib.sha256(f"{spelled(url)} {folder.resolve()}".encode()).hexdigest()[:16]
    index = cache_folder() / SENT / f"from_{name}.json"
    index.unlink(missing_ok=True)
    bring(files, folder, index)
    return len(files)


def has_ended(folder: Path) -> bool:
    """True once all planned runs have ended."""
    plan = read(folder, StudyPlan)
    return all(run_status(folder / run.run_id) in ENDED for run in plan.runs)


def _files(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """The files of a folder with size and time; none that is being written."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if name.endswith(SCRATCH) or name.startswith(CLAIM):
                continue
            try:
                stat = path.stat()
            except FileNotFoundError:  # a checkpoint that was just removed
                continue
            yield path.relative_to(folder).as_posix(), (stat.st_size, stat.st_mtime_ns)
