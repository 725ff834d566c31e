"""A container that becomes too small: the engine gives way before the kernel has to choose, and comes back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.machine import Machine, eventually
from support.memory_group import MemoryGroup, memory_group

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

MIB = 1 << 20
LIMIT_BYTES = 1100 * MIB
HOG = Path(__file__).parent.parent / "support" / "memory_hog.py"
CONFIG = """\
version: 1
nodes: {box: {engines: [llamacpp], memory: {reserve: 256MiB}}}
models:
  smollm2: {source: "packaged:smollm2", engine: llamacpp, context: 2k, slots: 4}
"""


@contextmanager
def taking(group: MemoryGroup, size_bytes: int) -> Iterator[None]:
    """A program that takes so much, faster than the head looks, and keeps it to the end of the block."""
    words = [str(size_bytes // MIB), "400", "600", "0"]
    with subprocess.Popen([*group.enter, sys.executable, "-I", str(HOG), *words]) as process:
        try:
            yield
            assert process.poll() is None, "the kernel ended it"
        finally:
            process.kill()


def serves(machine: Machine) -> bool:
    return any(engine["state"] == "ready" for engine in machine.engines())


def shed(machine: Machine) -> list[str]:
    """Why engines were given up, from the node's log."""
    lines = (machine.state_dir / "logs" / "node.log").read_text().splitlines()
    return [json.loads(line)["reason"] for line in lines if '"engine_shed"' in line]


def test_the_engine_leaves_before_the_kernel_must_choose_and_is_back_when_there_is_room(tmp_path: Path) -> None:
    with memory_group(LIMIT_BYTES) as group:
        machine = Machine(tmp_path / "state", group.enter)
        (tmp_path / "cluster.yaml").write_text(CONFIG)
        try:
            machine.up("--node", "box", "--config", str(tmp_path / "cluster.yaml"))
            eventually(lambda: serves(machine), 60, "the engine serves")
            with taking(group, group.available_bytes - 20 * MIB):
                eventually(lambda: not machine.lease_pids(), 60, "the engine has gone")
                eventually(lambda: "! box: memory is " in machine.potluck("status").stdout, 60, "the cluster is told")
                (reason,) = eventually(lambda: shed(machine), 20, "the log tells of it")
                assert reason.startswith("stopped for memory: ")
                eventually(lambda: not serves(machine), 20, "the head knows that it has gone")
            eventually(lambda: serves(machine), 60, "the engine is back")
            assert machine.potluck("chat", "smollm2", "--prompt", "Hello", "--max-tokens", "4").stdout.strip()
        finally:
            machine.potluck("down", expect=None)
        assert group.oom_kills == 0
