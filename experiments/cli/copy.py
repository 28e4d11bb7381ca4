"""Copy a study's runs to a URL, or from there into a new folder: what a cluster keeps in a bucket.

Runs are trained in a folder of this machine, whose file system keeps two workers apart. Beside the
sweep, --follow sends what has changed until all planned runs have ended. On another machine, bring
them and run the study again: it continues from the checkpoints. All commands that read a study take
the URL itself.

examples:
  windtunnel copy runs/quickstart gs://my-bucket/quickstart --follow
  windtunnel copy gs://my-bucket/quickstart runs/brought
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from experiments.record import study_folder
from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser
from scaling.common.errors import UserError

LOOK_AGAIN = 20.0  # seconds between two looks


def add(parser: Parser) -> None:
    parser.add_argument("source", help="a study's folder, or the URL of one")
    parser.add_argument("target", help="the URL, or a new folder")
    parser.add_argument(
        "--follow", action="store_true", help="continue until all planned runs have ended"
    )


def run(options: argparse.Namespace) -> Answer:
    from experiments.runs.copies import has_ended, receive, send
    from scaling.common.remote import is_url

    if is_url(options.source) == is_url(options.target):
        raise UserError(f"copy {options.source} {options.target}: name one folder and one URL")
    if is_url(options.source):
        if options.follow:
            raise UserError("--follow: sends a folder of this machine to a URL, and brings none")
        options.progress(f"bringing {options.source}")
        count = receive(options.source, Path(options.target))
        yield Line("{files} files brought into {folder}", files=count, folder=options.target)
        return 0
    folder, count = study_folder(options.source), 0
    while True:
        options.progress(f"sending {folder}, {count} files so far")
        is_over = not options.follow or has_ended(folder)  # before, so that the last rows are sent
        count += send(folder, options.target)
        if is_over:
            break
        time.sleep(LOOK_AGAIN)
    yield Line("{files} files sent to {url}", files=count, url=options.target)
    return 0
