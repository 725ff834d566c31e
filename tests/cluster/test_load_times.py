from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.arrivals import FIRST_GUESS_S, LEARNS, Arrivals, Start
from cluster.load_records import LoadRecords
from cluster.load_times import KEPT, LoadBook, LoadKey, LoadTime
from cluster.registry import Registry
from inventory.catalog import ArtifactId, ModelName
from nodes.snapshot import NodeId
from support.cluster_facts import engine
from support.manual_clock import ManualClock

BOX, SMOL = NodeId("box"), ModelName("smol")
KEY = LoadKey(BOX, ArtifactId("smol-1"), "llamacpp")


@pytest.fixture
def records(tmp_path: Path) -> Iterator[LoadRecords]:
    registry = Registry.open(tmp_path / "registry.db", ManualClock())
    yield LoadRecords(registry)
    registry.close()


def test_each_start_counts_once_and_an_outlier_does_not_count() -> None:
    kept: list[LoadTime] = []
    book = LoadBook(keep=kept.append)
    for generation, seconds in enumerate((9.0, 2.0, 2.2, 2.1), start=1):
        ready = replace(engine("smol.box.1"), generation=generation, ready_after_s=seconds)
        for _ in range(3):
            book.note(BOX, ready, 0.0)

    assert [time.seconds for time in kept] == [9.0, 2.0, 2.2, 2.1]
    assert book.expected_s(KEY) == 2.1


def test_an_engine_that_was_forgotten_numbers_its_starts_anew() -> None:
    kept: list[LoadTime] = []
    book = LoadBook(keep=kept.append)
    for since_s in (10.0, 20.0):
        book.note(BOX, replace(engine("smol.box.1", since_s=since_s), generation=1), 0.0)

    assert len(kept) == 2


def test_what_starts_or_was_found_running_says_nothing() -> None:
    book = LoadBook()
    book.note(BOX, engine("smol.box.1", "starting"), 0.0)
    book.note(BOX, replace(engine("smol.box.1"), ready_after_s=None), 0.0)

    assert book.expected_s(KEY) is None


def test_a_head_that_starts_again_remembers_the_last_few(records: LoadRecords) -> None:
    for number in range(10):
        records.put(LoadTime(KEY, float(number), 100.0 + number))
    records.put(LoadTime(replace(KEY, node_id=NodeId("other")), 50.0, 1.0))

    assert len(records.all()) == KEPT + 1
    assert LoadBook(records.all()).expected_s(KEY) == 8.0


def test_an_eta_counts_down_and_never_below_nothing() -> None:
    arrivals = Arrivals(LoadBook())
    arrivals.follow({SMOL: Start(100.0, made_room=False, load_s=4.0)})

    assert arrivals.eta_s(SMOL, 101.0) == 4.0 + FIRST_GUESS_S[False] - 1.0
    assert arrivals.eta_s(SMOL, 200.0) == 0.0
    assert arrivals.eta_s(ModelName("other"), 101.0) is None


def test_nothing_is_said_of_what_was_never_loaded() -> None:
    arrivals = Arrivals(LoadBook())
    arrivals.follow({SMOL: Start(100.0, made_room=False, load_s=None)})

    assert arrivals.eta_s(SMOL, 101.0) is None


def test_what_comes_on_top_of_a_load_is_learnt_apart_for_those_that_others_make_room_for() -> None:
    arrivals = Arrivals(LoadBook())
    arrivals.follow({SMOL: Start(100.0, made_room=True, load_s=4.0)})
    arrivals.follow({SMOL: Start(105.0, made_room=False, load_s=9.0)})  # seen again: it began when it began
    arrivals.arrived(SMOL, 4.0, 112.0)

    learnt_s = FIRST_GUESS_S[True] + LEARNS * (8.0 - FIRST_GUESS_S[True])
    assert arrivals.takes_s(1.0, made_room=True) == 1.0 + learnt_s
    assert arrivals.takes_s(1.0, made_room=False) == 1.0 + FIRST_GUESS_S[False]


def test_a_start_that_failed_on_the_way_teaches_nothing() -> None:
    arrivals = Arrivals(LoadBook())
    arrivals.follow({SMOL: Start(100.0, made_room=False, load_s=4.0, spoilt=True)})
    arrivals.follow({SMOL: Start(100.0, made_room=False, load_s=4.0)})
    arrivals.arrived(SMOL, 4.0, 200.0)

    assert arrivals.takes_s(0.0, made_room=False) == FIRST_GUESS_S[False]
