"""Bring the records of a launch to runs/NAME, for analysis and for `status`."""

from __future__ import annotations

import argparse

from scaling.arguments import Parser
from tpu import arguments, commands
from tpu.shell import carry_out


def add(parser: Parser) -> None:
    arguments.add_place(parser)


def run(args: argparse.Namespace) -> int:
    return carry_out(commands.fetch(arguments.place(args)), args.dry_run)
