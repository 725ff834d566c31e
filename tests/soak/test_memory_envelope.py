"""Ten minutes in a container that is too small: bursts, long prompts, models that do not fit together, and a browser
that takes memory and gives it back. potluck loses no engine to the kernel; a rule that looks at weights alone does.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from nodes.engines.llamacpp import SERVER_SCRIPT
from support.burst_clients import Seen, Target, bursts
from support.machine import Machine, eventually
from support.memory_group import MemoryGroup, memory_group
from support.packaged_model import smollm2_path
from support.real_engines import installed_engine

pytestmark = pytest.mark.soak

MIB = 1 << 20
SOAK_S = float(os.environ.get("POTLUCK_SOAK_S", "600"))
CONTROL_S = min(40.0, SOAK_S)
LIMIT_BYTES = 1792 * MIB  # two engines of 500 MiB beside potluck's own 350 and the browser's small days
HOG = ("760", "64", "12", "20")  # MiB, MiB a second, seconds held, seconds without
CLIENTS = 12
MODELS = ("alpha", "beta", "steady")
CONTEXT, SLOTS = 4096, 4
# One thread for each engine: where engines have more threads than there are cores, these wait for each other in loops.
CONFIG = """\
version: 1
residency: {dwell: 15s}
gateway: {timeouts: {wait: 20s}}
nodes: {box: {engines: [llamacpp], memory: {reserve: 384MiB}}}
models:
  alpha: {source: "packaged:smollm2", engine: llamacpp, context: 4k, slots: 4, options: {threads: 1}, keep_alive: 30s}
  beta: {source: "packaged:smollm2", engine: llamacpp, context: 4k, slots: 4, options: {threads: 1}, keep_alive: 30s}
  steady: {source: "packaged:smollm2", engine: llamacpp, context: 4k, slots: 4, options: {threads: 1}}
"""


@contextmanager
def a_browser(group: MemoryGroup) -> Iterator[subprocess.Popen[bytes]]:
    script = Path(__file__).parent.parent / "support" / "memory_hog.py"
    with subprocess.Popen([*group.enter, sys.executable, "-I", str(script), *HOG]) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass(frozen=True)
class History:
    """What the node's log says of its engines."""

    shed: tuple[str, ...]
    at_once: int
    deaths: tuple[str, ...]
    levels: tuple[str, ...]


def history(machine: Machine) -> History:
    lines = (machine.state_dir / "logs" / "node.log").read_text().splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    ended = [event for event in events if event["event"] == "engine_state"]
    deaths = [
        f"{event['engine']}: {event['reason']}"
        for event in ended
        if event["state"] == "quarantined"
        or (event["state"] == "backoff" and not event["reason"].startswith(("stopped for memory", "waits for memory")))
    ]
    shed = [event for event in events if event["event"] == "engine_shed"]
    return History(
        shed=tuple(f"{event['engine']} {event['how']}: {event['reason']}" for event in shed),
        at_once=sum(event["how"] == "stop" for event in shed),
        deaths=tuple(deaths),
        levels=tuple(event["now"] for event in events if event["event"] == "memory_pressure"),
    )


def start(machine: Machine, directory: Path) -> dict[str, Target]:
    for model in MODELS:
        machine.potluck("models", "import", str(smollm2_path()), "--name", model)
    (directory / "cluster.yaml").write_text(CONFIG)
    running = machine.up("--node", "box", "--config", str(directory / "cluster.yaml"))
    return dict.fromkeys(MODELS, Target(running.endpoint, running.api_key))


def potluck_run(directory: Path) -> tuple[Seen, History, int]:
    seen = Seen()
    with memory_group(LIMIT_BYTES) as group:
        machine = Machine(directory / "state", group.enter)
        try:
            targets = start(machine, directory)
            with a_browser(group) as browser:
                asyncio.run(bursts(targets, CLIENTS, SOAK_S, seen))
                assert browser.poll() is None, "the kernel ended the browser"
            told, kills = history(machine), group.oom_kills
        finally:
            machine.potluck("down", expect=None, timeout_s=180)
        eventually(lambda: not machine.processes(), 30, "nothing is left")
    return seen, told, kills


def control_run(directory: Path) -> tuple[Seen, int, int]:
    """Engines are placed by the size of their files: all three fit what is free many times over. How clients fared, how
    often the kernel killed, and how many engines: it may choose the browser."""
    seen, weights = Seen(), smollm2_path().stat().st_size
    engine = installed_engine("llamacpp", Path(os.environ["POTLUCK_ENGINES_DIR"]))
    with memory_group(LIMIT_BYTES) as group, a_browser(group):
        engines: list[subprocess.Popen[bytes]] = []
        targets: dict[str, Target] = {}
        try:
            for model in MODELS:
                assert weights < LIMIT_BYTES - group.used_bytes, "the rule lets it in"
                port = free_port()
                words = [engine.python, "-I", SERVER_SCRIPT, "--model", str(smollm2_path()), "--alias", model]
                words += ["--port", str(port), "--slots", str(SLOTS), "--context", str(CONTEXT * SLOTS)]
                words += ["--threads", "1", "--batch-tokens", "128"]
                log = (directory / f"{model}.log").open("wb")
                with log:
                    engines.append(subprocess.Popen([*group.enter, *words], stdout=log, stderr=log))
                targets[model] = Target(f"http://127.0.0.1:{port}/v1", "none")
                wait_until_it_serves(port, engines[-1])
            asyncio.run(bursts(targets, CLIENTS, CONTROL_S, seen))
            return seen, group.oom_kills, sum(process.poll() == -signal.SIGKILL for process in engines)
        finally:
            for process in engines:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_it_serves(port: int, process: subprocess.Popen[bytes]) -> None:
    """Or until the kernel has killed it."""
    end = monotonic() + 60
    while process.poll() is None:
        assert monotonic() < end, "an engine does not start"
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            sleep(0.2)


def test_a_container_that_is_too_small_costs_no_engine(tmp_path: Path) -> None:
    control_seen, control_kills, control_deaths = control_run(tmp_path)
    seen, told, kills = potluck_run(tmp_path)

    print(f"\nlevels: {' '.join(told.levels)}\nshed: {len(told.shed)}", *told.shed, sep="\n  ")
    print("control:", dict(control_seen.ends))
    print("cut:", *seen.cut, sep="\n  ")
    print(
        f"RESULT soak oom_kills={kills} engine_deaths={len(told.deaths)} requests={seen.requests}",
        f"answered={seen.ends['ok']} refused={seen.ends['refused']} cut={seen.ends['cut']}",
        f"shed={len(told.shed)} control_oom_kills={control_kills} control_engine_deaths={control_deaths}",
    )
    assert kills == 0
    assert told.deaths == ()
    assert seen.odd == []
    assert seen.ends["cut"] <= CLIENTS * told.at_once, "only an engine that was stopped at once cuts its answers"
    assert seen.ends["ok"] > 0
    assert control_kills > 0, "the load is no test"
