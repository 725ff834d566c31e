"""The control of the attack test: Ray as most people install and start it, in an environment of its own.

`python -m support.ray_default` installs it, as tests run where no package index can be reached.
"""

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from support.hosts import Host
from support.machine import eventually


def default_ray() -> Path:
    """The `ray` command of `ray[default]`, of the version under test. Installed once, beside the tests' engines."""
    shared = os.environ.get("POTLUCK_ENGINES_DIR")
    place = Path(shared).parent if shared else Path(tempfile.gettempdir())
    environment = place / f"ray-default-{version('ray')}"
    program = environment / "bin" / "ray"
    if not program.exists():
        uv = Path(sys.executable).parent / "uv"
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True)
        python = environment / "bin" / "python"
        wanted = f"ray[default]=={version('ray')}"
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, wanted], check=True)
    return program


def start_default_head(host: Host, program: Path) -> None:
    """`ray start --head` with nothing else said; returns once it serves."""
    log = host.root / "default.log"
    with log.open("wb") as output:
        host.start(program, "start", "--head", "--block", f"--node-ip-address={host.address}", output=output)
    eventually(lambda: "Ray runtime started" in log.read_text(), 90, "a default head")
    eventually(lambda: 52365 in host.open_ports(), 60, "its job agent")


if __name__ == "__main__":
    default_ray()
