"""Whatever moment the library is killed at: what it promised is there, once, and nothing else is."""

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from support import library_kills
from support.library_kills import FOLDER_FILES, Book, Wish, text_of

KILLS, SEED = 50, 20_261_122
TESTS = Path(library_kills.__file__).parent.parent


def test_a_library_that_is_killed_fifty_times_loses_nothing_and_keeps_nothing_twice(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    words = [sys.executable, "-P", "-m", "support.library_kills", str(tmp_path), str(KILLS), str(SEED)]
    subprocess.run(words, check=True, timeout=300, env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"})
    wanted = {f"{number:03}.txt": text_of(number, 0) for number in range(FOLDER_FILES)}
    wanted |= uploads_of(Book(tmp_path / "book").read())

    with (
        closing(sqlite3.connect(tmp_path / "state" / "rag.db")) as vectors,
        closing(sqlite3.connect(tmp_path / "state" / "library.db")) as library,
    ):
        found = texts_of(vectors)
        listed = library.execute("SELECT document, status FROM files").fetchall()
        orphans = orphans_of(vectors)
        doubles = vectors.execute(
            "SELECT count(*) FROM versions one JOIN versions next USING (document_row) "
            "WHERE next.number = one.number + 1 AND next.content_hash = one.content_hash"
        ).fetchone()[0]
    lost = [name for name, text in wanted.items() if found.get(name, "").split() != text.split()]
    strangers = sorted(found.keys() - wanted.keys())

    assert sorted(listed) == sorted((name, "completed") for name in wanted)
    print(f"RESULT ingest_kills kills={KILLS} lost={len(lost)} duplicates={doubles} orphans={orphans + len(strangers)}")
    assert (lost, strangers, doubles, orphans) == ([], [], 0, 0)
    assert max(Counter(name for name, _ in listed).values()) == 1


def uploads_of(wishes: list[Wish]) -> dict[str, str]:
    """What was promised last; the last wish of all was made again until it was promised."""
    texts: dict[str, str] = {}
    for wish in wishes:
        name = f"file-{wish.number:032x}"
        if wish.promised and wish.what == "put":
            texts[name] = text_of(wish.number, wish.text)
        elif wish.promised and wish.what == "drop":
            texts.pop(name, None)
    assert len(texts) > 10, "too little was promised between the kills to tell anything"
    return texts


def texts_of(vectors: sqlite3.Connection) -> dict[str, str]:
    """Documents as they are found now."""
    rows = vectors.execute(
        "SELECT name, text FROM chunks JOIN versions USING (version_row) JOIN documents USING (document_row) "
        "WHERE ended_s IS NULL ORDER BY name, ordinal"
    )
    texts: dict[str, str] = {}
    for name, text in rows:
        texts[name] = f"{texts[name]} {text}" if name in texts else text
    return texts


def orphans_of(vectors: sqlite3.Connection) -> int:
    """Vectors without a chunk, chunks without a vector or a version, versions and documents without each other, and
    words that are not those of the chunks."""
    count = sum(
        vectors.execute(question).fetchone()[0]
        for question in (
            "SELECT count(*) FROM vectors WHERE chunk_row NOT IN (SELECT chunk_row FROM chunks)",
            "SELECT count(*) FROM chunks WHERE chunk_row NOT IN (SELECT chunk_row FROM vectors)",
            "SELECT count(*) FROM chunks WHERE version_row NOT IN (SELECT version_row FROM versions)",
            "SELECT count(*) FROM versions WHERE document_row NOT IN (SELECT document_row FROM documents)",
            "SELECT count(*) FROM documents WHERE document_row NOT IN (SELECT document_row FROM versions)",
            "SELECT sum(chunks) - (SELECT count(*) FROM chunks) FROM versions",
        )
    )
    (space,) = vectors.execute("SELECT space_row FROM spaces").fetchone()
    vectors.execute(f"INSERT INTO words_{space} (words_{space}, rank) VALUES ('integrity-check', 1)")
    return int(count)
