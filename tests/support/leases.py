"""Processes that play engines, and the leases that name them."""

import subprocess
import sys
from pathlib import Path

from nodes.leases import Lease
from nodes.process_identity import identify
from nodes.snapshot import EngineId
from support.nodes import spec


def sleeper(code: str = "import time; print(flush=True); time.sleep(600)") -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def lease_of(pid: int, name: str = "engine-1", secret: Path | None = None) -> Lease:
    identity = identify(pid)
    assert identity is not None
    return Lease(
        engine_id=EngineId(name),
        pid=pid,
        start_mark=identity.start_mark,
        boot_id=identity.boot_id,
        generation=3,
        port=4711,
        secret_file=str(secret) if secret else None,
        config_revision=5,
        engine_version="1",
        spec=spec(name),
        started_s=1.5,
    )
