"""Rent TPUs and run a study on them; runs that the bucket holds are continued.

  windtunnel tpu launch queued isoflop --project P --zone us-west4-a --bucket gs://my-bucket \\
      --accelerator v5litepod-8 --spot --set scale=gpu --dry-run
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from experiments.cli import _common as common
from experiments.record import StudyPart
from scaling.common.answers import Answer
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from tpu.aot.topologies import topology
from tpu.cli import _place as place
from tpu.pod import cloud_commands
from tpu.pod.launch import Launch
from tpu.pod.shell import carry_out


def add(parser: Parser) -> None:
    place.add_place(parser)
    parser.add_argument("--accelerator", required=True, help="as v5p-128, v5litepod-16 or v5e:4x4")
    common.add_assignments(parser, "as of `windtunnel run`")
    parser.add_argument(
        "--part", type=StudyPart, choices=list(StudyPart), help="as of `windtunnel run`"
    )
    parser.add_argument(
        "--spot", action="store_true", help="cheaper, and taken away when others need it"
    )
    parser.add_argument("--service-account", metavar="EMAIL", help="whose rights the hosts have")
    parser.add_argument(
        "--shared", metavar="SERVER:/SHARE", help="the NFS share for the record of several hosts"
    )
    parser.add_argument("--image", help="of gke: the container with this code")


def run(args: argparse.Namespace) -> Answer:
    """Check everything before anything is rented."""
    launch = Launch(
        place.place(args),
        args.study,
        topology(args.accelerator),
        arguments=_more(args),
        spot=args.spot,
        service_account=args.service_account,
        shared=args.shared,
        image=args.image,
    )
    if Path(args.study).is_absolute():
        raise UserError(f"{args.study}: give its path from the top of the repository")
    from experiments import studies  # after the arguments, so that --help stays quick

    if studies.named(args.study).folder:
        raise UserError(f"{args.study}: give the study's name or file; the hosts lack this folder")
    studies.load(args.study, args.assignments)
    if not args.dry_run:
        _refuse_changes()
    return (yield from carry_out(cloud_commands.start(launch), args))


def _more(args: argparse.Namespace) -> tuple[str, ...]:
    sets = (word for text in args.assignments for word in ("--set", text))
    return *sets, *(("--part", str(args.part)) if args.part else ())


def _refuse_changes() -> None:
    """Refuse uncommitted changes: records name the commit that is sent."""
    if not Path(cloud_commands.STARTUP).exists():
        raise UserError(f"no {cloud_commands.STARTUP} here: launch from the top of the repository")
    try:
        answer = subprocess.run(
            ["git", "status", "--porcelain"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            "no git repository here, and a launch sends its commit; clone it"
        ) from error
    if answer.stdout:
        path = answer.stdout.splitlines()[0][3:]
        raise UserError(f"{path}: not committed, and a launch sends the commit; commit it first")
