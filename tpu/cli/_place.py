"""The arguments that the verbs of a launch have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

from scaling.common.command_line import Parser
from tpu.pod.launch import KINDS, Place


def add_place(parser: Parser) -> None:
    parser.add_argument(
        "kind",
        choices=KINDS,
        help="vm: one machine, at once; queued: a slice, when there is room; gke: on a cluster",
    )
    parser.add_argument("study", help="its name, or the path of its file in this repository")
    parser.add_argument("--name", help="of the launch and of its folders (default: the study's)")
    parser.add_argument("--project", required=True, help="the cloud project that pays")
    parser.add_argument("--zone", required=True, help="as us-east5-a")
    parser.add_argument("--bucket", required=True, help="gs://BUCKET or gs://BUCKET/PATH")
    parser.add_argument("--cluster", help="of gke: the cluster's name")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")


def place(args: argparse.Namespace) -> Place:
    name = args.name or Path(args.study).stem
    return Place(args.kind, name, args.project, args.zone, args.bucket, args.cluster)
