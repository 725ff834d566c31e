"""Process families that live as Ray's do, without Ray."""

import sys
from pathlib import Path

from nodes.engines.base import Command
from nodes.ray_process import RayRun

# A leader with a child in its group and one, like Ray's workers, in a group of its own.
WORKER = "import os, time; os.setpgid(0, 0); time.sleep(600)"
FAMILY = f"sleep 600 & {sys.executable} -c '{WORKER}' & wait"


def a_run(root: Path, script: str = FAMILY, *proofs: Path) -> RayRun:
    return RayRun(
        name="raylet",
        command=Command(("/bin/sh", "-c", script), (("HOME", str(root)),), str(root)),
        home=root / "home",
        home_files=(("stub.yaml", "provider: {type: local}\n"),),
        temp_dir=root / "t",
        store=root / "store",
        proofs=proofs,
        lease_file=root / "run" / "raylet.lease",
        log_file=root / "raylet.log",
    )
