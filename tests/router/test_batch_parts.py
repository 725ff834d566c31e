"""What batches decide without anybody's help: what a file holds, where a line runs, what becomes of an answer."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from inventory.paths import StatePaths
from nodes.snapshot import EngineId, NodeId
from router.batches.lines import MOST_LINES, MOST_PROBLEMS, read_lines
from router.batches.picking import QUIET_S, Bench, Scene, free_places, roomiest
from router.batches.store import BatchesVersionError, BatchStore
from router.batches.values import MOST_TRIES, BatchRow, FileRow, LineAnswer, LineSpan, Owner, fate_of
from router.request import Identity

CHAT = "/v1/chat/completions"
OWNER = Owner("home", "k1", "")
NAMES = st.text(min_size=1, max_size=20)


def line(custom_id: str, **body: object) -> bytes:
    asked = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {"model": "toy", **body}}
    return json.dumps(asked).encode() + b"\n"


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, st.text()), min_size=1, max_size=8), st.booleans())
def test_each_body_is_found_where_it_lies(bodies: dict[str, dict[str, str]], spaced: bool) -> None:
    content = b"".join(line(name, **{f"x{key}": text for key, text in body.items()}) for name, body in bodies.items())
    content = content.replace(b"\n", b"\r\n\n") if spaced else content

    spans, problems = read_lines(content.splitlines(keepends=True), CHAT, 10_000_000)

    assert problems == []
    assert [span.custom_id for span in spans] == list(bodies)
    found = [json.loads(content[span.offset : span.offset + span.size]) for span in spans]
    assert found == [{"model": "toy", **{f"x{key}": text for key, text in body.items()}} for body in bodies.values()]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"), (b"\n \n", "empty_file"), (b"{}\n", "invalid_json_line"), (b"\xff\n", "invalid_json_line"),
        (b'{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{}}', "invalid_json_line"),
        (line(""), "invalid_custom_id"), (line("x" * 257), "invalid_custom_id"),
        (line("1") + line("1"), "duplicate_custom_id"), (line("1", long="x" * 200), "too_large"),
        (line("1").replace(b"POST", b"GET"), "invalid_method"), (line("1").replace(b"chat/", b""), "invalid_url"),
        (line("1").replace(b'"method"', b'"way"'), "invalid_json_line"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_has_a_name(content: bytes, code: str) -> None:
    _, problems = read_lines(content.splitlines(keepends=True), CHAT, 200)

    assert [problem.code for problem in problems] == [code]


def test_neither_faults_nor_lines_are_without_end() -> None:
    _, problems = read_lines([b"no\n"] * 1000, CHAT, 200)
    assert len(problems) == MOST_PROBLEMS
    _, problems = read_lines((line(str(number)) for number in range(MOST_LINES + 5)), CHAT, 200)
    assert [problem.code for problem in problems] == ["too_many_requests"]


FREE = Scene({}, {}, {}, 0)
ONE = Bench(EngineId("toy.one"), NodeId("one"), 4, True)


def test_a_line_runs_where_nobody_asks_and_room_is_left() -> None:
    other = Bench(EngineId("toy.two"), NodeId("two"), 2, True)
    assert free_places([ONE, other], FREE) == ({"one": 4, "two": 2}, "")
    assert free_places([ONE, other], FREE._replace(asked={NodeId("one"): 1})) == ({"two": 2}, "")
    assert free_places([ONE, other], FREE._replace(guests={ONE.engine_id: 3, other.engine_id: 2})) == ({"one": 1}, "")
    assert free_places([ONE], FREE._replace(quiet_s={NodeId("one"): QUIET_S / 2})) == (
        {}, "every machine that serves it is at work"
    )  # fmt: skip
    assert free_places([ONE], FREE._replace(waiting=1)) == ({}, "requests wait for an engine")
    assert free_places([ONE._replace(able=False)], FREE) == ({}, "no engine that serves it runs well")
    assert roomiest({NodeId("b"): 2, NodeId("a"): 2, NodeId("c"): 1}) == "a"


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 8), st.booleans()), max_size=6),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 2)),
    st.dictionaries(st.integers(0, 5), st.integers(0, 9)),
    st.integers(0, 1),
)
def test_no_line_ever_goes_to_a_machine_that_is_asked(
    engines: list[tuple[str, int, bool]], asked: dict[str, int], guests: dict[int, int], waiting: int
) -> None:
    benches = [Bench(EngineId(str(at)), NodeId(node), slots, able) for at, (node, slots, able) in enumerate(engines)]
    scene = Scene(
        {NodeId(node): count for node, count in asked.items()},
        {},
        {EngineId(str(at)): count for at, count in guests.items()},
        waiting,
    )
    places, why = free_places(benches, scene)

    assert bool(why) != bool(places)
    assert not (places and waiting)
    for node, free in places.items():
        there = [bench for bench in benches if bench.node_id == node and bench.able]
        assert not asked.get(node)
        assert 0 < free <= sum(max(bench.slots - guests.get(int(bench.engine_id), 0), 0) for bench in there)


def test_an_answer_counts_a_refusal_waits_and_a_failure_is_tried_again() -> None:
    def fate(status: int, tries: int = 1) -> str:
        return fate_of(LineAnswer(status, "req_1", b"{}"), tries)

    assert fate_of(None, 0) == "again"
    assert [fate(status) for status in (200, 400, 404, 429, 503, 502, 504)] == [
        "done", "failed", "failed", "later", "later", "again", "again"
    ]  # fmt: skip
    assert fate(502, MOST_TRIES) == "failed"


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


def batch(name: str) -> BatchRow:
    identity = Identity("k1", "home", "family", "user", "private", frozenset())
    return BatchRow(name, OWNER, identity, CHAT, "file-in", None, "validating", {"validating": 1, "expires": 9})


def a_file(file_id: str, expires_s: int | None = 100) -> FileRow:
    return FileRow(file_id, OWNER, "in.jsonl", "batch", 2, 1, expires_s)


def test_what_was_answered_is_kept_over_a_restart_and_once(paths: StatePaths) -> None:
    store = BatchStore(paths)
    store.save(batch("batch_1"))
    begun = replace(batch("batch_1"), status="in_progress")
    store.begin(begun, [LineSpan(at, f"line {at}", "toy", at * 10, 10) for at in range(4)])
    store.settle("batch_1", 2, LineAnswer(200, "req_1", b'{"a":1}'), failed=False)
    store.settle("batch_1", 2, LineAnswer(200, "req_2", b'{"a":2}'), failed=False)
    store.close()

    again = BatchStore(paths)
    assert again.open_batches() == [begun]
    assert [span.at for span in again.left("batch_1", 0, 10)] == [0, 1, 3]
    assert [(at, answer.body) for at, _, answer in again.answers("batch_1", failed=False)] == [(2, b'{"a":1}')]
    assert again.counts("batch_1") == (4, 1, 0)
    assert again.in_use("file-in") == "batch_1"
    again.close()


def drop_expired(store: BatchStore, now_s: int) -> None:
    for row in store.expired(now_s):
        store.drop_file(row.file_id)
    store.clean()


def test_files_go_when_their_time_is_over_unless_a_batch_reads_them(paths: StatePaths) -> None:
    store = BatchStore(paths)
    for file_id in ("file-in", "file-old", "file-young", "left-by-a-crash"):
        store.content(file_id).write_bytes(b"{}")
    store.add_file(a_file("file-in"))
    store.add_file(a_file("file-old"))
    store.add_file(a_file("file-young", 1000))
    store.save(batch("batch_1"))
    store.sweep_folder()
    drop_expired(store, 500)
    assert sorted(path.name for path in store.folder.iterdir()) == ["file-in", "file-young"]

    store.save(replace(batch("batch_1"), status="cancelled"))
    drop_expired(store, 500)
    assert store.batches(OWNER) == []
    assert [row.file_id for row in store.files(OWNER)] == ["file-young"]
    assert [path.stat().st_mode & 0o077 for path in (paths.batches_db, store.folder)] == [0, 0]
    store.close()


def test_the_database_of_a_later_potluck_is_left_alone(paths: StatePaths) -> None:
    store = BatchStore(paths)
    store._connection.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(BatchesVersionError, match="99"):
        BatchStore(paths)
