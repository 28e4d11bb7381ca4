"""The study that a command reads: `windtunnel report quickstart`."""

from __future__ import annotations

import argparse

from experiments.record import study_folder


def add_study(parser: argparse.ArgumentParser) -> None:
    """Declare the folder of the study."""
    parser.add_argument(
        "study", type=study_folder, help="folder with study.json, or its name in runs/"
    )
