"""Documents parsed as Ray tasks on three hosts, one of which dies midway: what one machine makes of them."""

import asyncio
import csv
import io
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from cluster.jobs import InProcessJobs, JobFabric, JobKind, JobOutcome, JobPart
from cluster.knowledge import NewStore
from cluster.ray_jobs import RayJobs
from cluster.ray_setup import bridge_socket
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from nodes.snapshot import NodeId
from rag.library.machines import Machines
from rag.library.opened import OpenLibrary
from rag.values import NewChunk
from support.fleet import Fleet
from support.hosts import a_lan
from support.libraries import ANA, NODE, WordEncoders, opened, reading

pytest.importorskip("ray")
pytestmark = pytest.mark.soak

DOCUMENTS, BEFORE_IT_DIES = 500, 120
NODES = ("server", "one", "two")
CONFIG = """
version: 1
cluster: {{name: home, listen: {address}}}
nodes: {{server: {{}}, one: {{}}, two: {{}}}}
"""
SLOWEST_S = 480.0


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with a_lan() as lan:
        fleet = Fleet(lan, CONFIG, NODES)
        fleet.start_head()
        for name in NODES[1:]:
            fleet.join(name)
        fleet.wait_for_links("ray", *NODES[1:])
        yield fleet


class Noted:
    """A JobFabric, and who answered it and who did not."""

    def __init__(self, fabric: JobFabric) -> None:
        self._fabric = fabric
        self.answered: Counter[NodeId] = Counter()
        self.failed: Counter[NodeId] = Counter()

    async def run(self, kind: JobKind, parts: Sequence[JobPart]) -> tuple[JobOutcome, ...]:
        outcomes = await self._fabric.run(kind, parts)
        for one in outcomes:
            (self.failed if one.answer is None else self.answered)[one.node_id] += 1
        return outcomes


async def test_what_three_hosts_read_while_one_dies_is_what_one_machine_reads(fleet: Fleet, tmp_path: Path) -> None:
    folder, here, there = tmp_path / "documents", tmp_path / "here", tmp_path / "there"
    write_documents(folder)
    here.mkdir(mode=0o700)
    async with a_library(here, InProcessJobs(NODE), lambda: (NODE,)) as alone:
        store_id = (await alone.knowledge.create_store(ANA, NewStore("all"))).store_id
        await alone.knowledge.add_folder(ANA, store_id, str(folder), watched=False)
    shutil.copytree(here, there)  # the same store: ids of chunks are the same or they are not
    async with a_library(here, InProcessJobs(NODE), lambda: (NODE,)) as alone, reading(alone):
        expected = await chunks_once(alone, store_id, DOCUMENTS)

    jobs = Noted(RayJobs(bridge_socket(StatePaths.at(fleet.head.state_dir))))
    nodes = tuple(NodeId(name) for name in NODES)
    async with a_library(there, jobs, lambda: nodes) as spread, reading(spread):
        await completed(spread, store_id, BEFORE_IT_DIES)
        before = set(jobs.answered)
        await asyncio.to_thread(fleet.members["two"].host.power_off)
        found = await chunks_once(spread, store_id, DOCUMENTS)

    print(
        f"RESULT reading_hosts documents={DOCUMENTS} chunks={len(found)} same={found == expected} "
        f"by={dict(jobs.answered)} failed={dict(jobs.failed)}"
    )
    assert before == set(nodes)
    assert set(jobs.failed) == {NodeId("two")}
    assert found == expected


@asynccontextmanager
async def a_library(root: Path, fabric: JobFabric, nodes: Callable[[], Sequence[NodeId]]) -> AsyncIterator[OpenLibrary]:
    clock = SystemClock()
    async with opened(root, WordEncoders(), clock, Machines(fabric, nodes, clock)) as library:
        yield library


async def completed(library: OpenLibrary, store_id: str, count: int) -> None:
    """Once so many files can be found; none has failed."""
    async with asyncio.timeout(SLOWEST_S):
        while True:
            files = await library.knowledge.files(ANA, store_id)
            problems = [(one.name, one.problem) for one in files if one.status == "failed"]
            assert not problems
            if sum(one.status == "completed" for one in files) >= count:
                return
            await asyncio.sleep(0.05)


async def chunks_once(library: OpenLibrary, store_id: str, count: int) -> dict[str, NewChunk]:
    """Every chunk by its id, once all files are read."""
    await completed(library, store_id, count)
    store = library.shelves.store
    (space,) = await store.spaces(ANA.tenant)
    found: dict[str, NewChunk] = {}
    for version in await store.documents(space.space_id):
        found |= {one.chunk_id: one.content for one in await store.chunks(version, 0, version.chunks)}
    return found


def write_documents(folder: Path) -> None:
    """Of five kinds."""
    folder.mkdir()
    for number in range(DOCUMENTS):
        name, content = _document(number)
        (folder / name).write_bytes(content)


def _document(number: int) -> tuple[str, bytes]:
    said = " ".join(f"sentence {at} of document {number} says little." for at in range(40))
    if number % 5 == 0:
        return f"{number:03}.md", f"# Part {number}\n\n{said}\n\n## More\n\n{said}\n".encode()
    if number % 5 == 1:
        return f"{number:03}.txt", said.encode("latin-1")
    if number % 5 == 2:
        return f"{number:03}.html", f"<html><title>{number}</title><body><h1>A</h1><p>{said}</p></body></html>".encode()
    if number % 5 == 3:
        table = io.StringIO()
        csv.writer(table).writerows([("name", "value"), *((f"row {at}", f"{number}.{at}") for at in range(30))])
        return f"{number:03}.csv", table.getvalue().encode()
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = f"Letter {number}", "ana@school.test", "ben@school.test"
    mail.set_content(said)
    return f"{number:03}.eml", mail.as_bytes()
