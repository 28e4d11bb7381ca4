"""Send the points of a study's records that a tracker lacks; at any time, and again.

example:
  windtunnel mirror runs/quickstart --tracker tensorboard
"""

from __future__ import annotations

import argparse

from experiments.record import study_folder
from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    parser.add_argument(
        "folder", type=study_folder, help="the study's folder, or its name in runs/"
    )
    parser.add_argument(
        "--tracker", required=True, metavar="NAME", help="tensorboard, wandb or mlflow"
    )
    parser.add_argument(
        "--follow", action="store_true", help="continue until all planned runs have ended"
    )


def run(options: argparse.Namespace) -> Answer:
    from experiments.trackers import _mirror as mirrors

    looks = mirrors.forever() if options.follow else (None,)
    sent = mirrors.mirror(options.folder, options.tracker, looks)
    yield Line("{tracker}: {sent} points sent", tracker=options.tracker, sent=sent)
    return 0
