"""The ledger is told of every engine that is ready, writes down what says more, and outlives the head."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.desired import WantedNode
from cluster.fit import Workload, need_of
from cluster.fit_ledger import LedgerRow
from cluster.ledger_book import LedgerBook, measured_bytes
from cluster.ledger_records import LedgerRecords
from cluster.placement import place
from cluster.placement_values import Candidate
from cluster.registry import Registry
from inventory.catalog import ArtifactId
from inventory.hardware import Accelerator, PoolId
from nodes.snapshot import EngineLoad, EngineSnapshot, MemoryItem
from support.cluster_facts import GIB, engine, held, node, pool, wanted_models
from support.ledgers import MIB, start
from support.manual_clock import ManualClock
from support.shapes import EVERY, HYBRID, shape

SMALL = shape(layers=4, width=512, weights=GIB)
(SMOL,) = wanted_models("  smol: {source: 'packaged:smol', context: 2048, slots: 2}")
WORKLOAD = Workload("llamacpp", SMALL, 2048, 2)
NEED = need_of(WORKLOAD)
TOLD = (MemoryItem(("weights",), GIB), MemoryItem(("kv cache",), NEED.of("kv cache")))


class Writes:
    """A shelf that keeps what was put on it, in sequence."""

    def __init__(self) -> None:
        self.put_rows: list[LedgerRow] = []

    def put(self, row: LedgerRow) -> None:
        self.put_rows.append(row)

    def drop(self, rows: object) -> None: ...


def running(peak_bytes: int, generation: int = 1, output_tokens: int = 0) -> EngineSnapshot:
    load = EngineLoad(slots=2, output_tokens_total=output_tokens)
    ready = replace(engine("smol.box.1"), generation=generation, load=load)
    return replace(ready, memory_peak_bytes=peak_bytes, memory_items=TOLD)


def machine(*engines: EngineSnapshot) -> Candidate:
    snapshot = node("box", [replace(held("smol"), shape=SMALL)], engines=engines)
    return Candidate(WantedNode(snapshot.node_id, (), None), snapshot)


def noted(book: LedgerBook, *engines: EngineSnapshot) -> LedgerBook:
    candidate = machine(*engines)
    book.note([candidate], place([SMOL], [candidate]), 1000.0)
    return book


def test_a_start_is_written_down_with_what_was_predicted_and_what_it_took() -> None:
    (row,) = noted(LedgerBook(), running(NEED.total_bytes - 5)).rows

    assert row.predicted_bytes == NEED.total_bytes
    assert (row.told, row.peak_bytes, row.served) == (TOLD, NEED.total_bytes - 5, False)
    assert (row.build.version, row.workload, row.start.generation) == ("1", WORKLOAD, 1)


def test_only_what_says_more_is_written_again() -> None:
    writes = Writes()
    book, peak = LedgerBook(shelf=writes), NEED.total_bytes
    for now_bytes in (peak, peak + peak // 200, peak - GIB // 2, peak + peak // 50):
        noted(book, running(now_bytes))
    noted(book, running(1, output_tokens=7))
    noted(book, running(2, output_tokens=8))

    assert [row.peak_bytes for row in writes.put_rows] == [peak, peak + peak // 50, peak + peak // 50]
    assert [row.served for row in writes.put_rows] == [False, False, True]
    assert len(book.rows) == 1


def test_the_next_start_is_predicted_by_what_the_last_one_took() -> None:
    book = noted(LedgerBook(), running(NEED.total_bytes + 100 * MIB))
    candidate = machine()

    (memory,) = book.memories(candidate.snapshot)
    (assignment,) = place([SMOL], [replace(candidate, memories=(memory,))]).assignments

    assert assignment.need_bytes >= NEED.total_bytes + 100 * MIB
    noted(book, running(NEED.total_bytes + 100 * MIB, generation=2))
    assert {row.start.generation: row.predicted_bytes > NEED.total_bytes for row in book.rows} == {1: False, 2: True}


def test_what_is_not_known_to_be_what_was_ordered_is_not_written_down() -> None:
    ready = running(NEED.total_bytes)
    for other in (
        replace(ready, state="starting"),
        replace(ready, context_tokens=4096),
        replace(ready, memory_items=()),
        replace(ready, memory_peak_bytes=None),
        replace(ready, model=replace(ready.model, artifact_id=ArtifactId("another"))),
    ):
        assert noted(LedgerBook(), other).rows == ()


def test_what_runs_keeps_its_place_however_much_its_ledger_adds() -> None:
    """Each by itself fits after the correction, but not beside the other."""
    models = wanted_models(
        "  first: {source: 'packaged:first', context: 2048, slots: 2}\n"
        "  second: {source: 'packaged:second', context: 2048, slots: 2}"
    )
    books = [replace(held(name), shape=SMALL) for name in ("first", "second")]
    budget = 2 * NEED.total_bytes + 10 * MIB
    tight = replace(pool("ram", 64), total_bytes=budget)
    engines = [engine("first.box.1"), engine("second.box.1")]
    snapshot = node("box", books, engines=engines, pools=[tight])
    book = LedgerBook([start(WORKLOAD, 200 * MIB)])
    candidate = Candidate(WantedNode(snapshot.node_id, (), None), snapshot, memories=book.memories(snapshot))
    assert len(candidate.memories) == 1

    assert [one.spec.model.name for one in place(models, [candidate]).assignments] == ["first", "second"]
    absent = replace(candidate, snapshot=replace(snapshot, engines=tuple(engines[:1])))
    (left_out,) = place(models, [absent]).unplaced
    assert left_out.model == "second"


def test_gpu_memory_counts_where_the_engine_computes_there() -> None:
    ready = replace(running(10), vram_peak_bytes=5)
    gpu = Accelerator("nvidia", "GPU", PoolId("vram:0"), None, None)
    plain = machine(ready).snapshot
    both = replace(
        plain, hardware=replace(plain.hardware, pools=(pool("ram", 8), pool("vram", 8)), accelerators=(gpu,))
    )

    assert measured_bytes(plain, ready) == 10
    assert measured_bytes(both, ready) == 15
    assert measured_bytes(both, replace(ready, kind="vllm")) == 5
    assert measured_bytes(both, replace(ready, vram_peak_bytes=None)) is None


@pytest.fixture
def records(tmp_path: Path) -> Iterator[LedgerRecords]:
    registry = Registry.open(tmp_path / "registry.db", ManualClock())
    yield LedgerRecords(registry)
    registry.close()


@pytest.mark.parametrize("name", list(EVERY))
def test_a_row_of_every_family_of_models_is_read_as_it_was_written(records: LedgerRecords, name: str) -> None:
    row = start(Workload("llamacpp", EVERY[name], 4096, 2, 8), 7, told=TOLD)

    records.put(replace(row, peak_bytes=1))
    records.put(row)

    assert records.all() == (row,)


def test_a_head_that_starts_again_knows_what_the_last_one_did(records: LedgerRecords) -> None:
    first = noted(LedgerBook(records.all(), records), running(NEED.total_bytes + 100 * MIB))
    for generation in range(2, 9):
        noted(first, running(NEED.total_bytes - 5, generation))

    again = LedgerBook(records.all(), records)
    snapshot = machine().snapshot

    assert sorted(again.rows, key=str) == sorted(first.rows, key=str)
    assert again.memories(snapshot) == first.memories(snapshot)


def test_a_row_that_this_version_cannot_read_is_passed_over(records: LedgerRecords, tmp_path: Path) -> None:
    records.put(start(Workload("llamacpp", HYBRID, 4096, 2)))
    with sqlite3.connect(tmp_path / "registry.db") as other:
        other.execute("UPDATE memory_ledger SET facts = '{}'")
    other.close()

    assert records.all() == ()
