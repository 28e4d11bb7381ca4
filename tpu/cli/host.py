"""Train a study on a host of a launch, from the records in the bucket, and send the new ones.

The start-up script of each host gives this command.

  windtunnel tpu host gs://my-bucket/isoflop isoflop --shared /shared
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from scaling.common.command_line import Parser
from scaling.common.quantities import positive, whole
from tpu.pod.host_run import Host


def add(parser: Parser) -> None:
    parser.add_argument("folder", help="the launch's in the bucket: gs://BUCKET/NAME")
    parser.add_argument("words", nargs="+", metavar="STUDY ...", help="of `experiments run`")
    parser.add_argument("--shared", type=Path, help="a folder that all hosts of the slice see")
    parser.add_argument(
        "--worker",
        type=whole,
        default=int(os.environ.get("TPU_WORKER_ID", "0")),
        help="which host this is (default: TPU_WORKER_ID, else 0)",
    )
    parser.add_argument("--log", type=Path, help="a file of the output, sent too")
    parser.add_argument("--every", type=positive, default=60, help="seconds between two sendings")


def run(args: argparse.Namespace) -> int:
    return Host(args.folder, args.shared, args.worker, args.log).train(args.words, args.every)
