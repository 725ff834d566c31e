"""What asks the embedded store: documents by name, and a question by vectors and words."""

import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rag.filters import matches
from rag.fusion import Fused, fuse
from rag.stores.contract import MOST_HITS, Question, StoreError, UnknownDocumentError, WholeVersion
from rag.stores.matrix import STORED, Matrix, segment_of
from rag.stores.tables import CHUNK_COLUMNS, VERSION_COLUMNS, chunk_of, open_store, space_of, space_row, version_of
from rag.values import Chunk, Hit, Space, SpaceId, Version
from rag.words import Word, any_of, telling, words_of

MATRIX_BYTES = 1 << 30  # of all spaces together; beyond it the longest unused is read again when it is asked
CANDIDATES = 100  # of each kind, that are weighed against each other
HEADING_WEIGHT = 2.0
_VERSIONS = f"SELECT {VERSION_COLUMNS} FROM versions JOIN documents USING (document_row)"


class EmbeddedReader:
    """One connection, used by one thread at a time; the scan itself by as many as ask."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_store(path)
        self._lock = threading.Lock()
        self._matrices: OrderedDict[int, Matrix] = OrderedDict()
        self._versions: dict[int, _Versions] = {}

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def forget(self) -> None:
        """Vectors and versions that are in memory."""
        with self._lock:
            self._matrices.clear()
            self._versions.clear()

    def spaces(self, tenant: str) -> tuple[Space, ...]:
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM spaces WHERE tenant = ? ORDER BY name", (tenant,)).fetchall()
        return tuple(space_of(row) for row in rows)

    def documents(self, space_id: SpaceId) -> tuple[Version, ...]:
        with self._reading() as connection:
            rows = connection.execute(
                f"{_VERSIONS} WHERE versions.space_row = ? AND number = "
                "(SELECT max(number) FROM versions AS every WHERE every.document_row = documents.document_row) "
                "ORDER BY name",
                (space_row(connection, space_id)["space_row"],),
            ).fetchall()
        return tuple(version_of(space_id, row) for row in rows)

    def versions(self, space_id: SpaceId, document_id: str) -> tuple[Version, ...]:
        with self._reading() as connection:
            rows = connection.execute(
                f"{_VERSIONS} WHERE versions.space_row = ? AND document_id = ? ORDER BY number",
                (space_row(connection, space_id)["space_row"], document_id),
            ).fetchall()
        if not rows:
            raise UnknownDocumentError(space_id, document_id)
        return tuple(version_of(space_id, row) for row in rows)

    def chunks(self, version: Version, first: int, last: int) -> tuple[Chunk, ...]:
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT {CHUNK_COLUMNS} FROM chunks JOIN versions USING (version_row) "
                "JOIN documents USING (document_row) WHERE versions.space_row = ? AND document_id = ? AND number = ? "
                "AND ordinal BETWEEN ? AND ? ORDER BY ordinal",
                (
                    space_row(connection, version.space_id)["space_row"],
                    version.document_id,
                    version.number,
                    first,
                    last,
                ),
            ).fetchall()
        return tuple(chunk_of(version, row) for row in rows)

    def whole(self, version: Version) -> WholeVersion:
        """Raises UnknownDocumentError."""
        with self._reading() as connection:
            space = space_row(connection, version.space_id)
            rows = connection.execute(
                f"SELECT {CHUNK_COLUMNS}, vector FROM chunks JOIN vectors USING (chunk_row) "
                "JOIN versions ON versions.version_row = chunks.version_row JOIN documents USING (document_row) "
                "WHERE versions.space_row = ? AND document_id = ? AND number = ? ORDER BY ordinal",
                (space["space_row"], version.document_id, version.number),
            ).fetchall()
            (before,) = connection.execute(
                "SELECT coalesce(max(number), 0) FROM versions JOIN documents USING (document_row) "
                "WHERE versions.space_row = ? AND document_id = ? AND number < ?",
                (space["space_row"], version.document_id, version.number),
            ).fetchone()
        if len(rows) != version.chunks:
            raise UnknownDocumentError(version.space_id, version.document_id)
        vectors = np.frombuffer(b"".join(row["vector"] for row in rows), dtype=STORED)
        return WholeVersion(
            version,
            tuple(chunk_of(version, row).content for row in rows),
            vectors.reshape(-1, space["dimensions"]).astype(np.float32),
            before,
        )

    def search(self, space_ids: Sequence[SpaceId], question: Question) -> tuple[Hit, ...]:
        """Raises UnknownSpaceError, ValueError for a vector of another length."""
        limit = min(question.limit, MOST_HITS)
        versions: dict[int, Version] = {}
        cosines: dict[int, float] = {}
        bm25s: dict[int, float] = {}
        for space_id in space_ids:
            with self._reading() as connection:
                space = space_row(connection, space_id)
                asked = _asked(self._all_versions(connection, space_id, space), question)
                matrix = self._matrix(connection, space) if question.vector is not None and asked.rows else None
                by_words = _by_words(connection, space["space_row"], asked, question.text)
            if matrix is not None and question.vector is not None:
                vector = _fitting(question.vector, space)
                cosines |= matrix.nearest(vector, asked.rows, CANDIDATES) | matrix.cosines(vector, by_words)
            bm25s |= by_words
            versions |= asked.rows
        best = fuse(cosines, bm25s, question.alpha if question.vector is not None else 0.0)[:limit]
        with self._reading() as connection:
            return _hits(connection, best, versions)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the file, whatever is written meanwhile. Raises StoreError."""
        with self._lock:
            try:
                self._connection.execute("BEGIN")
                try:
                    yield self._connection
                finally:
                    self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreError(f"{self._path} cannot be read ({error})") from error

    def _all_versions(self, connection: sqlite3.Connection, space_id: SpaceId, space: sqlite3.Row) -> "_Versions":
        known = self._versions.get(space["space_row"])
        if known is None or known.revision != space["revision"]:
            rows = connection.execute(f"{_VERSIONS} WHERE versions.space_row = ?", (space["space_row"],)).fetchall()
            known = _Versions(space["revision"], {row["version_row"]: version_of(space_id, row) for row in rows})
            self._versions[space["space_row"]] = known
        return known

    def _matrix(self, connection: sqlite3.Connection, space: sqlite3.Row) -> Matrix:
        """Of the space as this transaction sees it: what was added since is read, all where something was removed."""
        row, revision, removals = space["space_row"], space["revision"], space["removals"]
        known = self._matrices.pop(row, None)
        if known is None or known.removals != removals:
            known = Matrix(-1, removals, ())
        if known.revision != revision:
            added = connection.execute(
                "SELECT chunk_row, version_row, vector FROM vectors WHERE space_row = ? AND chunk_row > ? "
                "ORDER BY chunk_row",
                (row, known.last_row),
            ).fetchall()
            known = known.grown(revision, segment_of([tuple(one) for one in added], space["dimensions"]))
        self._matrices[row] = known
        while len(self._matrices) > 1 and sum(one.size_bytes for one in self._matrices.values()) > MATRIX_BYTES:
            self._matrices.popitem(last=False)
        return known


@dataclass(frozen=True, slots=True)
class _Versions:
    """All of a space, as of one revision of it."""

    revision: int
    rows: dict[int, Version]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Versions that held then, of documents that are meant. `all` where that leaves none out."""

    rows: dict[int, Version]
    all: bool


def _asked(versions: _Versions, question: Question) -> _Asked:
    rows = {
        row: one
        for row, one in versions.rows.items()
        if _held(one, question.at_s) and matches(question.filter, one.document.attributes)
    }
    return _Asked(rows, len(rows) == len(versions.rows))


def _held(version: Version, at_s: float | None) -> bool:
    if at_s is None:
        return version.ended_s is None
    return version.made_s <= at_s and (version.ended_s is None or version.ended_s > at_s)


def _by_words(connection: sqlite3.Connection, space_row: int, asked: _Asked, text: str) -> dict[int, float]:
    words = words_of(text)
    if not words or not asked.rows:
        return {}
    connection.execute(
        f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.known_{space_row} USING fts5vocab (main, words_{space_row}, row)"
    )
    known = {word: _chunks_with(connection, space_row, word) for word in words}
    rare = telling(words, known)
    if not rare:
        return {}
    meant = "" if asked.all else (
        "AND rowid IN (SELECT chunk_row FROM chunks WHERE version_row IN (SELECT value FROM json_each(:versions))) "
    )  # fmt: skip
    rows = connection.execute(
        f"SELECT rowid, bm25(words_{space_row}, {HEADING_WEIGHT}, 1.0) AS rank FROM words_{space_row} "
        f"WHERE words_{space_row} MATCH :words {meant}ORDER BY rank, rowid LIMIT {CANDIDATES}",
        {"words": any_of(rare), "versions": json.dumps(list(asked.rows))},
    )
    return {row["rowid"]: -row["rank"] for row in rows}


def _chunks_with(connection: sqlite3.Connection, space_row: int, word: Word) -> int:
    """At the most: a chunk with two words of one beginning counts twice."""
    condition = "term = ?" if word.whole else "term >= ? AND term < ?"
    bounds = (word.text,) if word.whole else (word.text, word.past)
    count: int = connection.execute(
        f"SELECT coalesce(sum(doc), 0) FROM temp.known_{space_row} WHERE {condition}", bounds
    ).fetchone()[0]
    return count


def _hits(connection: sqlite3.Connection, best: Sequence[Fused], versions: Mapping[int, Version]) -> tuple[Hit, ...]:
    marks = ", ".join("?" * len(best))
    rows = connection.execute(
        f"SELECT chunk_row, version_row, {CHUNK_COLUMNS} FROM chunks WHERE chunk_row IN ({marks})",
        [one.key for one in best],
    )
    found = {row["chunk_row"]: row for row in rows}  # one that was removed since is no hit
    return tuple(
        Hit(chunk_of(version := versions[row["version_row"]], row), version, one.score, one.cosine, one.bm25)
        for one in best
        if (row := found.get(one.key)) is not None
    )


def _fitting(vector: npt.NDArray[np.float32], space: sqlite3.Row) -> npt.NDArray[np.float32]:
    if vector.shape != (space["dimensions"],):
        raise ValueError(f"a vector of {vector.shape} for a space of {space['dimensions']} numbers")
    return vector
