"""`python -m bench.models`: how long `/v1/models` takes while three of four machines hang and one serves chats."""

import argparse
import asyncio
import http.client
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import quantiles

import httpx2
import platformdirs

from bench.models.fleet import HANGING, hanging_ports, hung_models, write_fleet
from bench.one_machine import BenchError
from bench.relay import programs
from bench.relay.machine import Cores, ForeignLoad, free_port
from bench.relay.peers import GATEWAY, mock_engines
from bench.relay.scenarios import PACED_64, STREAM_TOKENS, Load, LoadGenerator, Scenario
from bench.relay.targets import Launch, Target

CALLS, QUICK_CALLS = 4000, 400
A_SECOND = 200  # calls: as many front ends as anybody has
ANEW = 10  # every so many, on a connection of its own
STUCK = 8  # requests at a time for each machine that hangs
WANTED_MS = 50.0


def ask_for_models(port: int, key: str, calls: int) -> list[float]:
    """Milliseconds of each call, from sending it to the last byte."""
    headers, taken = {"authorization": f"Bearer {key}"}, []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began_s = time.perf_counter()
    for number in range(calls):
        if number % ANEW == 0:
            connection.close()
        time.sleep(max(0.0, began_s + number / A_SECOND - time.perf_counter()))
        asked_s = time.perf_counter()
        connection.request("GET", "/v1/models", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        taken.append(1000 * (time.perf_counter() - asked_s))
        if answer.status != 200 or any(name.encode() not in body for name in hung_models()):
            raise SystemExit(f"/v1/models answered {answer.status}: {body[:500]!r}")
    connection.close()
    return taken


async def stay_stuck(client: httpx2.AsyncClient, model: str, answered: list[int]) -> None:
    """Ask a machine that hangs, again and again; what comes at last is the gateway's own error."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    while True:
        answer = await client.post("/v1/chat/completions", json=body)
        answered.append(answer.status_code)


async def measured(target: Target, load: LoadGenerator, calls: int) -> tuple[list[float], Load, list[int]]:
    assert target.launch.bearer_file is not None
    key, port = target.launch.bearer_file.read_text().strip(), target.launch.port
    chats = Scenario(PACED_64, 64, calls / A_SECOND + 1.0, STREAM_TOKENS, paced=True)
    load.drive(chats.warm_up(), target)
    limits = httpx2.Limits(max_connections=HANGING * STUCK + 8)
    answered: list[int] = []
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {key}"}, timeout=120, limits=limits,
        trust_env=False,
    ) as client:  # fmt: skip
        stuck = [
            asyncio.create_task(stay_stuck(client, model, answered)) for model in hung_models() for _ in range(STUCK)
        ]
        chatting = asyncio.create_task(asyncio.to_thread(load.drive, chats, target))
        taken = await asyncio.to_thread(ask_for_models, port, key, calls)
        chatted = await chatting
        for one in stuck:
            one.cancel()
        await asyncio.wait(stuck)
        broken = [one.exception() for one in stuck if not one.cancelled()]
        if broken:
            raise SystemExit(f"a request for a machine that hangs broke off: {broken[0]!r}")
    return taken, chatted, answered


async def run(calls: int, cache: Path) -> bool:
    cores = Cores.of_this_machine()
    load = LoadGenerator(programs.compiled("load_generator", cache), cores.load)
    if cores.load is not None:
        os.sched_setaffinity(0, {cores.load})  # what asks is not the gateway's
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="potluck-models-")))
        ports = stack.enter_context(mock_engines(programs.compiled("mock_engine", cache), cores.load))
        state = write_fleet(scratch / "state", ports, await stack.enter_async_context(hanging_ports(HANGING)))
        port, potluck = free_port(), Path(sys.executable).with_name("potluck")
        command = (str(potluck), "gateway", "--state-dir", str(state.paths.root), "--port", str(port))
        launch = Launch(GATEWAY, port, command, ready_path="/readyz", bearer_file=state.key_file)
        target = stack.enter_context(Target(launch, scratch, cores.proxy))
        await asyncio.to_thread(target.wait_ready)
        foreign = ForeignLoad()
        taken, chatted, answered = await measured(target, load, calls)
        foreign_cores = foreign.cores()
    cuts = quantiles(taken, n=100, method="inclusive")
    print(f"chats beside it: {chatted.requests} with {chatted.tokens} tokens, gap p99 {chatted.gap_p99_ms:.1f} ms")
    refused = ", ".join(f"{count} x {status}" for status, count in sorted(Counter(answered).items()))
    print(f"machines that hang: {HANGING}, with {HANGING * STUCK} requests at a time; told in the end: {refused}")
    print(f"foreign load: {foreign_cores:.2f} cores")
    print(f"RESULT models p99_ms={cuts[98]:.2f} p50_ms={cuts[49]:.2f} max_ms={max(taken):.2f} calls={len(taken)}")
    return cuts[98] <= WANTED_MS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.models", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few calls: shows that all works, measures little")
    options = parser.parse_args()
    cache = (platformdirs.user_cache_path("potluck") / "bench-relay").absolute()
    cache.mkdir(parents=True, exist_ok=True)
    try:
        return 0 if asyncio.run(run(QUICK_CALLS if options.quick else CALLS, cache)) else 1
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
