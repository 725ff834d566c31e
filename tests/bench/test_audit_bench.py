"""The audit's bench runs, and ends with its result."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_quick_run_prints_a_result(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.audit", "--quick", "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    assert re.fullmatch(r"RESULT audit per_s=[1-9]\d* callers=256 wait_ms=[\d.]+ .*", done.stdout.splitlines()[-1])
    assert list(tmp_path.iterdir()) == []
