"""A machine that `potluck up` starts for a bench, and `potluck down` ends; and the program around it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class BenchError(Exception):
    """Nothing can be measured. The program prints it and ends with 1."""


@contextmanager
def one_machine(config: str, state_dir: Path) -> Iterator[dict[str, str]]:
    """What `up --json` told: `endpoint`, `api_key` and more. Raises BenchError."""
    file = state_dir.with_name("cluster.yaml")
    file.write_text(config)
    command, place = [sys.executable, "-m", "cli.main"], ["--state-dir", str(state_dir)]
    words = ["up", "--detach", "--json", "--install", "--port", "0", "--config", str(file), *place]
    try:
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(done.stderr.strip()[-1000:])
        told: dict[str, str] = json.loads(done.stdout)
        yield told
    finally:
        subprocess.run([*command, "down", *place], capture_output=True, check=False)


def measured(name: str, run: Callable[[Path], None]) -> int:
    """The exit status of a program that measures in a folder of its own."""
    try:
        with tempfile.TemporaryDirectory(prefix=f"potluck-{name}-") as scratch:
            run(Path(scratch))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
