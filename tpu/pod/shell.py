"""Commands printed for a person to paste, or run one after another."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
from collections.abc import Sequence

from scaling.common.answers import Answer, Line
from scaling.common.errors import UserError
from tpu.pod.cloud_commands import Command

SOURCES = {
    "gcloud": "install the Google Cloud CLI: docs.cloud.google.com/sdk/docs/install",
    "gcluster": "install Cluster Toolkit: docs.cloud.google.com/cluster-toolkit/docs/setup",
    "git": "install git",
}


def carry_out(commands: Sequence[Command], args: argparse.Namespace) -> Answer:
    """Print the commands under --dry-run, or run them, their output shown; stop at the first that
    fails. Under --json each is an entry with its exit code and its output.

    Returns:
        The exit code of the last one that was run.

    Raises:
        UserError: a program is not here; nothing has been run.
    """
    if args.dry_run:
        for command in commands:
            yield Line("{command}", "commands", command=shlex.join(command))
        return 0
    for program in dict.fromkeys(command[0] for command in commands):
        if shutil.which(program) is None:
            remedy = SOURCES.get(program, "install it")
            raise UserError(f"{program}: not found here; {remedy}, or take --dry-run's text")
    for command in commands:
        text = shlex.join(command)
        if args.json:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace")
            code = done.returncode
            yield Line("", "commands", command=text, exit_code=code, output=done.stdout)
        else:
            print(f"$ {text}", flush=True)
            code = subprocess.run(command).returncode
        if code != 0:
            return code
    return 0
