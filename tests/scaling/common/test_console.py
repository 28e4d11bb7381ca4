"""The console script: commands of all rooms, from any folder, by any Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import parsers
from paths import ROOT
from plugged import plugged

from scaling.common import plugins
from scaling.common.command_line import SHELLS, parser
from scaling.common.console import main
from scaling.common.packages import ROOMS

SCRIPT = Path(sys.executable).with_name("windtunnel")
COMMANDS = {name for name, _ in parsers()}


def windtunnel(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_every_file_of_a_room_is_a_command_of_one_name():
    files = [name.replace("_", "-") for room in ROOMS for name in plugins.names(f"{room}.cli")]
    assert len(COMMANDS) == len(files) > 30
    assert {name.rpartition(" ")[2] for name in COMMANDS} == set(files)


def test_the_list_of_commands_has_their_first_lines():
    said = " ".join(parser(*ROOMS).declared().format_help().split())
    for name, command in parsers():
        assert f" {name} {(command.description or '').partition(chr(10))[0]}" in said


def test_a_command_of_two_rooms_is_refused_alone(tmp_path: Path, capsys):
    with plugged(tmp_path, {"experiments.cli.fit": '"""Another."""'}):
        assert main(["fit", "x.csv"]) == 2
        assert "'fit' is a command of experiments and analysis" in capsys.readouterr().err
        assert main(["laws", "chinchilla"]) == 0


def test_folders_of_the_users_do_no_harm(tmp_path: Path):
    for name in (*ROOMS, "models", "scaling"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    done = windtunnel("describe", "quickstart", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "params_total" in done.stdout


def test_a_python_without_the_packages_says_so_in_one_line():
    for room in ROOMS:
        done = subprocess.run(
            [sys.executable, "-S", "-m", room, *{"tpu": ["host"]}.get(room, ["list"])],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_and_their_options(shell: str, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", shell])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    for name, command in parsers():
        assert name.rpartition(" ")[2] in said
        for option in command._option_string_actions:
            assert option.lstrip("-") in said


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("windtunnel 0.")
