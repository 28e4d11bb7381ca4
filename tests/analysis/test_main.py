"""`python -m analysis`: help, and closed output."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
from commands import complaints

from analysis.__main__ import main, parser
from scaling.common import plugins


@pytest.mark.parametrize(
    "command", [name.replace("_", "-") for name in plugins.names("analysis.cli")]
)
def test_help_holds_examples_that_parse(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = capsys.readouterr().out
    examples = re.findall(rf"^  python -m analysis ({command}(?:\\\n|[^#\n])*)", said, re.M)
    assert examples
    for example in examples:
        assert parser().parse_args(shlex.split(example.replace("\\\n", " "))).command == command


def test_help_is_quick():
    """The list of commands imports nothing that takes long."""
    script = "import sys; from analysis.__main__ import parser; parser(); print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    assert "analysis.cli.fit" in loaded
    assert not {"numpy", "pandas", "scipy", "matplotlib", "jax"} & set(loaded)


def test_output_that_nobody_reads_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "analysis", "laws"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert complaints(process.stderr.read().decode()) == []
        assert process.wait() == 0
