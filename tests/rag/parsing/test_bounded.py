"""Parsing in a child: as quick as without, and dead when it goes too far, with the reason told."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import msgspec
import psutil
import pytest

from cluster.knowledge import Chunking
from inventory.clock import SystemClock
from rag.parsing.bounded import BoundedChildren
from rag.parsing.job import ParseAnswer, ParseJob, parse_document, parsed_by
from rag.parsing.wire import Bounds
from support.hostile_made import MADE

TEXT = "El comedor del colegio abre a las trece treinta y cierra a las quince horas. " * 100


@pytest.fixture
def children() -> Iterator[BoundedChildren]:
    with BoundedChildren(Bounds(), SystemClock()) as children:
        yield children


def asked(children: BoundedChildren, name: str, content: bytes, chunking: Chunking | None = None) -> ParseAnswer:
    argument = msgspec.msgpack.encode(ParseJob(name, content, chunking))
    return msgspec.msgpack.decode(parsed_by(children, argument), type=ParseAnswer)


def own_children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_a_document_comes_back_cut(children: BoundedChildren) -> None:
    whole = asked(children, "aviso.txt", TEXT.encode())
    small = asked(children, "aviso.txt", TEXT.encode(), Chunking(50, 10))

    assert (whole.problem, whole.title, whole.language, whole.media_type) == (None, "aviso.txt", "es", "text/plain")
    assert whole.text_length == len(TEXT.strip())
    assert "".join(whole.chunks[0].text.split()) in "".join(TEXT.split())
    assert max(len(chunk.text) for chunk in small.chunks) <= 200 < max(len(chunk.text) for chunk in whole.chunks)


def test_a_file_that_cannot_be_parsed_is_told_with_its_code(children: BoundedChildren) -> None:
    told = asked(children, "photo.png", b"\x89PNG\r\n\x1a\n" + bytes(100))

    assert told.problem_code == "unsupported_file"
    assert told.problem is not None and told.problem.startswith("photo.png is a picture")


def test_the_next_file_is_parsed_by_the_same_child_and_none_is_left(children: BoundedChildren) -> None:
    before = own_children()
    for _ in range(3):
        asked(children, "aviso.txt", TEXT.encode())
    during = own_children() - before
    children.close()

    assert len(during) == 1
    assert own_children() == before


def test_a_child_is_not_given_what_this_process_was_given(
    children: BoundedChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    before = own_children()
    asked(children, "aviso.txt", b"text")
    (child,) = (psutil.Process(pid) for pid in own_children() - before)

    assert "SOME_TOKEN" not in child.environ()
    assert child.environ()["PYTHONSAFEPATH"] == "1"


def test_several_files_are_parsed_at_the_same_time(children: BoundedChildren) -> None:
    answers: list[ParseAnswer] = []
    threads = [Thread(target=lambda: answers.append(asked(children, "aviso.txt", TEXT.encode()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [answer.problem for answer in answers] == [None] * 3


def test_a_child_that_is_killed_is_told_and_the_next_file_has_another(children: BoundedChildren) -> None:
    before = own_children()
    asked(children, "aviso.txt", b"first")
    for process in [psutil.Process(pid) for pid in own_children() - before]:
        process.kill()
        process.wait(10)

    assert asked(children, "aviso.txt", b"second").problem is None


def test_a_child_that_waits_long_leaves_and_the_next_file_has_another() -> None:
    before = own_children()
    with BoundedChildren(Bounds(idle_s=0.2), SystemClock()) as children:
        for _ in range(2):
            assert asked(children, "aviso.txt", b"text").problem is None
            (child,) = (psutil.Process(pid) for pid in own_children() - before)
            assert child.wait(10) in (0, None)


def test_files_that_come_just_as_a_child_leaves_are_parsed() -> None:
    with BoundedChildren(Bounds(idle_s=0.0), SystemClock()) as children:
        answers = [asked(children, "aviso.txt", b"text") for _ in range(4)]

    assert [answer.problem for answer in answers] == [None] * 4


@pytest.mark.parametrize(
    "deed",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os; os.fork()",
        "open('written', 'w')",
        "import os; os.open('written', os.O_RDWR | os.O_CREAT)",
        "import os; os.remove('kept')",
    ],
)
def test_a_child_does_nothing_that_reading_does_not_need(deed: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    words = f"import sys; from rag.parsing.child import refuse; open('kept').read(); sys.addaudithook(refuse); {deed}"
    done = subprocess.run([sys.executable, "-c", words], cwd=tmp_path, capture_output=True, text=True)

    assert "which none needs" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_file_that_takes_too_long_ends_with_its_child() -> None:
    before = own_children()
    slow = ("x" * 19_999 + " ") * 1_500  # the splitter is slow with words that hardly end
    with BoundedChildren(Bounds(seconds=0.5), SystemClock()) as children:
        told = asked(children, "slow.txt", slow.encode())

    assert told.problem_code == "invalid_file"
    assert told.problem is not None and "took longer than 0.5 s" in told.problem
    assert own_children() == before


def test_a_file_that_takes_too_much_memory_is_told() -> None:
    with BoundedChildren(Bounds(memory_bytes=400 * 2**20), SystemClock()) as children:
        told = asked(children, "large.txt", b"a word and another " * 5_000_000)
        after = asked(children, "small.txt", b"a word")

    assert told.problem_code == "invalid_file"
    assert told.problem is not None and "more than 0.391 GiB of memory" in told.problem
    assert after.problem is None


def test_a_library_that_ends_its_process_without_memory_is_told(children: BoundedChildren) -> None:
    told = asked(children, "far.xlsx", MADE["far-cell.xlsx"]())
    after = asked(children, "small.txt", b"a word")

    assert told.problem_code == "invalid_file"
    assert told.problem is not None and "ended by signal 6, perhaps since it took more than 1 GiB" in told.problem
    assert after.problem is None


def test_what_is_no_job_is_answered_as_one() -> None:
    told = msgspec.msgpack.decode(parse_document(b"\xc1 no"), type=ParseAnswer)

    assert told.problem_code == "server_error"


def test_the_job_is_found_by_the_name_that_its_package_gives() -> None:
    from importlib.metadata import entry_points

    (entry,) = entry_points(group="potluck.jobs", name="parse_document")

    assert entry.load() is parse_document
