"""The bench of `--help` runs every group, and ends with its result."""

import re
import subprocess
import sys
from pathlib import Path

from bench.cli.__main__ import commands

ROOT = Path(__file__).parents[2]


def test_a_quick_run_prints_a_result() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.cli", "--quick"], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert done.returncode in (0, 1), done.stderr  # how fast it is says the bench, on a machine that does nothing else
    assert re.fullmatch(r"RESULT cli help_over_python_ms=[\d.]+ worst_command_ms=[\d.]+", done.stdout.splitlines()[-1])
    assert {"potluck --help", "potluck nodes --help", "potluck audit --help"} <= set(commands())
