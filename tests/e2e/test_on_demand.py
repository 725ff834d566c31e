"""Models that are started when somebody asks: two that do not fit together, asked for in turn by twenty clients.

`POTLUCK_TURNS_S=300` for many turns.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import monotonic

import psutil
import pytest

from support.machine import Machine, Running, eventually
from support.packaged_model import smollm2_path
from support.waiting_clients import Clients

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

DWELL_S = 10.0
CLIENTS = 20
SECONDS = float(os.environ.get("POTLUCK_TURNS_S", "50"))
MODELS = ("alpha", "beta")
CONFIG = """\
version: 1
residency: {{dwell: {dwell:g}s}}
gateway: {{timeouts: {{wait: 6s}}}}
nodes: {{box: {{engines: [llamacpp], memory: {{reserve: {reserve}B}}}}}}
models:
  alpha: {{source: "packaged:smollm2", engine: llamacpp, context: 2k, slots: 64, keep_alive: {keep_alive}}}
  beta: {{source: "packaged:smollm2", engine: llamacpp, context: 2k, slots: 64, keep_alive: {keep_alive}}}
"""


def configure(machine: Machine, reserve_bytes: int, keep_alive: str = "10m") -> Path:
    file = machine.state_dir.parent / "cluster.yaml"
    file.write_text(CONFIG.format(dwell=DWELL_S, reserve=reserve_bytes, keep_alive=keep_alive))
    return file


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("on-demand") / "state")
    for model in MODELS:
        machine.potluck("models", "import", str(smollm2_path()), "--name", model)
    yield machine
    machine.potluck("down", expect=None)


@pytest.fixture(scope="module")
def running(machine: Machine) -> Running:
    return machine.up("--node", "box", "--config", str(configure(machine, 1)))


def states(machine: Machine) -> dict[str, str]:
    return {model["name"]: model["state"] for model in machine.cluster()["models"]}


def ask(machine: Machine, model: str) -> None:
    assert machine.potluck("chat", model, "--prompt", "Say hello.", "--max-tokens", "4").stdout.strip()


def make_exclusive(machine: Machine) -> None:
    """Leave room for one and a half: what one takes is seen in its process, what others use in the status."""
    ask(machine, MODELS[0])
    needed = psutil.Process(machine.lease_pids()[f"{MODELS[0]}.box.1"]).memory_info().rss
    pools = machine.cluster()["nodes"][0]["snapshot"]["hardware"]["pools"]
    (ram,) = [pool for pool in pools if pool["kind"] == "ram"]
    reserve = ram["total_bytes"] - ram["used_by_others_bytes"] - needed * 3 // 2
    machine.potluck("config", "apply", str(configure(machine, reserve)))


def wakes(machine: Machine) -> list[datetime]:
    """When the head decided to start a model, from its log."""
    lines = (machine.state_dir / "logs" / "head.log").read_text().splitlines()
    events = [json.loads(line) for line in lines if '"model_wakes"' in line]
    return [datetime.fromisoformat(event["timestamp"]) for event in events]


def errors_of_etas(clients: Clients) -> Iterator[float]:
    """How far off was what streams were told after both models had been loaded once: of each ETA, against the truth.

    In the last seconds an error of one tick is a large share of what is left: they are not looked at.
    """
    loaded_s = max(clients.watch.ready_after(model, 0.0) or monotonic() for model in MODELS)
    for told in (told for seen in clients.streams() for told in seen.told if told.at_s > loaded_s):
        ready_s = clients.watch.ready_after(told.model, told.at_s)
        if told.eta_s is not None and ready_s is not None and ready_s - told.at_s > 3.0:
            yield abs(told.eta_s - (ready_s - told.at_s)) / (ready_s - told.at_s)


def test_two_that_do_not_fit_together_take_turns_and_nobody_is_failed(machine: Machine, running: Running) -> None:
    make_exclusive(machine)
    clients = Clients(running, MODELS, monotonic() + SECONDS)
    asyncio.run(clients.run(CLIENTS))
    woken = wakes(machine)
    report = f"{len(clients.seen)} requests, {len(woken)} wakes"

    assert len(woken) >= 3, report
    assert all((later - earlier).total_seconds() >= DWELL_S for earlier, later in pairwise(woken)), woken
    broken = [seen for seen in clients.streams() if seen.status != 200 or seen.error or not seen.whole]
    assert broken == [], report
    whole = [seen for seen in clients.seen if not seen.streamed]
    refused = [seen for seen in whole if not seen.whole]
    assert all(seen.status == 503 and int(seen.retry_after or 0) >= 1 for seen in refused), refused
    assert len(refused) < len(whole)
    slow = [seen for seen in clients.streams() if (seen.first_event_s or 0.0) - seen.began_s > 6.0]
    assert slow and all(len(seen.told) >= 2 for seen in slow), "those that wait are told how things stand"
    found = list(errors_of_etas(clients))
    print(
        f"RESULT on-demand requests={len(clients.seen)} swaps={len(woken) - 1} refused={len(refused)}",
        f"etas={len(found)} median_error={median(found):.3f}",
        f"within_30_percent={sum(error <= 0.3 for error in found) / len(found):.2f}",
    )
    # The aim is 0.3, and the line above shows it; what fails here must be worse than a busy machine makes it.
    assert median(found) <= 0.6, sorted(found)


def test_an_idle_model_leaves_and_is_back_for_the_next_request(machine: Machine, running: object) -> None:
    machine.potluck("config", "apply", str(configure(machine, 1, keep_alive="2s")))
    eventually(lambda: states(machine) == {"alpha": "asleep", "beta": "asleep"}, 60, "both sleep")
    ask(machine, "alpha")

    eventually(lambda: states(machine)["alpha"] == "asleep" and not machine.lease_pids(), 60, "it left")
    ask(machine, "alpha")
