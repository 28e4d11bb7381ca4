"""Print the logs of a launch's hosts.

windtunnel tpu logs queued isoflop --project P --zone us-west4-a --bucket gs://my-bucket --dry-run
"""

from __future__ import annotations

import argparse

from scaling.common.answers import Answer
from scaling.common.command_line import Parser
from tpu.cli import _place as place
from tpu.pod import cloud_commands
from tpu.pod.shell import carry_out


def add(parser: Parser) -> None:
    place.add_place(parser)


def run(args: argparse.Namespace) -> Answer:
    return (yield from carry_out(cloud_commands.logs(place.place(args)), args))
