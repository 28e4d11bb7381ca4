"""`python -m analysis`: light imports, and closed output."""

from __future__ import annotations

import subprocess
import sys

from commands import complaints


def test_help_is_quick():
    """The arguments of a command import nothing that takes long."""
    script = "import sys; from scaling.common.command_line import parser; "
    script += "parser('analysis').parse_args(['fit', 'x.csv']); print(*sys.modules)"
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
