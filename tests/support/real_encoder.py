"""The real encoder with one of its packaged models, run by a supervisor, and what its vectors are held against."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inventory.acquire import acquire
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.sources import PackagedSource
from inventory.store import ModelStore
from inventory.store_records import held_of
from nodes.engine_body import Workshop
from nodes.engines.encoder import EncoderAdapter
from nodes.launching import NodeFacts, NodeLauncher
from nodes.leases import reap
from nodes.lifecycle_values import LifecyclePolicy
from nodes.orders import EngineSpec
from nodes.rates_book import RatesBook
from nodes.snapshot import EngineId, EngineSnapshot
from nodes.supervisor import Supervisor, supervising
from support.nodes import until_state
from support.real_engines import CHIEF, client_of, this_machine

DOCUMENT = "/v1/embeddings"

Vectors = npt.NDArray[np.float64]


@asynccontextmanager
async def encoding(key: str, root: Path, engines_dir: Path) -> AsyncIterator[Supervisor]:
    """One that runs the encoder with this packaged model as `vectors`, and measures what writes."""
    paths = StatePaths.at(root).ensure()
    store = ModelStore(paths.models, SystemClock())
    model = held_of(acquire(store, PackagedSource(key), "vectors", allow_network=False))
    launcher = NodeLauncher(engines_dir, store, {"encoder": EncoderAdapter()}, NodeFacts(this_machine()))
    rates = RatesBook(paths.root / "rates.json")
    workshop = Workshop(paths, SystemClock(), {"encoder": EncoderAdapter()}, launcher, rates=rates)
    try:
        async with supervising(workshop, LifecyclePolicy(), lambda: None) as supervisor:
            supervisor.ensure(EngineSpec(EngineId("vectors-1"), "encoder", model.ref, 2048, slots=4), CHIEF)
            await until_state(supervisor, "ready")
            yield supervisor
    finally:
        reap(paths.leases, grace_s=1.0)


def engine_of(supervisor: Supervisor) -> EngineSnapshot:
    (engine,) = supervisor.snapshots()
    assert engine.state == "ready"
    return engine


def by_the_library(python: str, script: str, texts: list[str]) -> Vectors:
    """The engine's own library in a process of its own: the script reads texts from its input and writes vectors."""
    words = [python, "-I", "-c", script]
    done = subprocess.run(words, input=json.dumps(texts), capture_output=True, check=True, text=True)
    return np.array(json.loads(done.stdout))


def cosines(vectors: Vectors) -> Vectors:
    long = np.linalg.norm(vectors, axis=1)
    return np.asarray(vectors @ vectors.T / np.outer(long, long), dtype=np.float64)


async def calls_after_leaving(supervisor: Supervisor, texts: list[str]) -> int:
    """How often the library is still called for a client that leaves while many texts of its are encoded, the call for
    the next client among them."""
    engine = engine_of(supervisor)

    async def abandoned() -> None:
        async with client_of(engine) as leaver:
            await leaver.post(DOCUMENT, json={"model": "vectors", "input": texts})

    async with client_of(engine) as client:

        async def calls() -> int:
            return EncoderAdapter().parse_load((await client.get("/metrics")).text).steps_total or 0

        before = await calls()
        request = asyncio.create_task(abandoned())
        while await calls() < before + 2:  # noqa: ASYNC110  the engine tells it to those who ask
            await asyncio.sleep(0.01)
        request.cancel()
        await asyncio.wait([request])
        after = await calls()
        answer = await client.post(DOCUMENT, json={"model": "vectors", "input": "next"})
        assert answer.status_code == 200
        return await calls() - after
