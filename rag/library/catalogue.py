"""library.db as the rest of the library reads and writes it. Calls block, and may come from any thread; a change is on
the disk when its call returns."""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cluster.knowledge import Counts, FileStatus
from cluster.private_cleaning import clean, note
from cluster.private_database import changing
from rag.library.rows import FileRow, FolderRow, StoreRow, Usual
from rag.library.tables import open_library

_encode = msgspec.json.Encoder().encode
_stores = msgspec.json.Decoder(StoreRow)
_files = msgspec.json.Decoder(FileRow)
_folders = msgspec.json.Decoder(FolderRow)
_usual = msgspec.json.Decoder(Usual)


class Catalogue:
    """What is leaving is in none of the lists but that of what is leaving."""

    def __init__(self, path: Path) -> None:
        """Raises KnowledgeError, ExposedSecretError."""
        self._connection = open_library(path)
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def clean(self, erasure_id: str) -> None:
        """No byte of what was forgotten is left, and the erasure is known to be done here. Raises sqlite3.Error,
        NotCleanError."""
        with self._lock:
            note(self._connection, erasure_id)
            clean(self._connection, "library.db")

    def scrub_later(self, store_ids: Iterable[str]) -> None:
        """Something is about to be taken out of these, of which no byte may stay."""
        with self._change() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS scrubs (store_id TEXT PRIMARY KEY) STRICT")
            connection.executemany("INSERT OR IGNORE INTO scrubs VALUES (?)", [(one,) for one in store_ids])

    def to_scrub(self) -> set[str]:
        self.scrub_later(())
        return {store_id for (store_id,) in self._read("SELECT store_id FROM scrubs")}

    def scrubbed(self, store_id: str) -> None:
        self._write("DELETE FROM scrubs WHERE store_id = ?", (store_id,))

    # Stores

    def add_store(self, row: StoreRow) -> None:
        self._write(
            "INSERT INTO stores (store_id, tenant, made_s, row) VALUES (?, ?, ?, ?)",
            (row.store_id, row.tenant, row.made_s, _encode(row)),
        )

    def change_store(self, store_id: str, change: Callable[[StoreRow], StoreRow]) -> StoreRow | None:
        """What it is from now on. None where it is gone."""
        with self._change() as connection:
            rows = connection.execute(
                "SELECT row FROM stores WHERE store_id = ? AND NOT leaving", (store_id,)
            ).fetchall()
            if not rows:
                return None
            changed = change(_stores.decode(rows[0][0]))
            connection.execute("UPDATE stores SET row = ? WHERE store_id = ?", (_encode(changed), store_id))
            return changed

    def stores(self, tenants: Sequence[str] | None = None) -> list[StoreRow]:
        """The youngest first; None: of everybody."""
        where, facts = _of_tenants("tenant", tenants)
        rows = self._read(f"SELECT row FROM stores WHERE NOT leaving{where} ORDER BY made_s DESC, rowid DESC", *facts)
        return [_stores.decode(row) for (row,) in rows]

    def store(self, store_id: str) -> StoreRow | None:
        rows = self._read("SELECT row FROM stores WHERE store_id = ? AND NOT leaving", store_id)
        return _stores.decode(rows[0][0]) if rows else None

    def let_store_leave(self, store_id: str) -> None:
        """From now on it is there for nobody."""
        self._write("UPDATE stores SET leaving = 1 WHERE store_id = ?", (store_id,))

    def leaving_stores(self) -> list[StoreRow]:
        return [_stores.decode(row) for (row,) in self._read("SELECT row FROM stores WHERE leaving")]

    def forget_store(self, store_id: str) -> None:
        """With its files and folders."""
        self._write("DELETE FROM stores WHERE store_id = ?", (store_id,))

    def standing(self, store_ids: Iterable[str]) -> dict[str, tuple[Counts, int]]:
        """Counts of files, and bytes."""
        rows = self._read(
            "SELECT store_id, status, count(*), sum(size_bytes) FROM files WHERE NOT leaving "
            "AND store_id IN (SELECT value FROM json_each(?)) GROUP BY store_id, status", _listed(store_ids)
        )  # fmt: skip
        found: dict[str, tuple[dict[str, int], int]] = {}
        for store_id, status, count, size in rows:
            counts, before = found.get(store_id, ({}, 0))
            found[store_id] = {**counts, status: count}, before + size
        return {store_id: (Counts(**counts), size) for store_id, (counts, size) in found.items()}

    def all_standing(self) -> Counts:
        """Of every store. An index answers it."""
        return Counts(**dict(self._read("SELECT status, count(*) FROM files WHERE NOT leaving GROUP BY status")))

    def chunks(self, store_ids: Iterable[str]) -> dict[str, int]:
        """That can be found. Every file's row is read for it: for people who look, not for each question."""
        return dict(
            self._read(
                "SELECT store_id, sum(json_extract(CAST(row AS TEXT), '$.chunks')) FROM files WHERE NOT leaving "
                "AND store_id IN (SELECT value FROM json_each(?)) GROUP BY store_id", _listed(store_ids)
            )
        )  # fmt: skip

    # Files

    def save_files(self, rows: Iterable[FileRow]) -> None:
        """All of them or none. What a file was before is replaced; one that is leaving stays."""
        with self._change() as connection:
            for row in rows:
                connection.execute(
                    "INSERT INTO files (store_id, file_id, tenant, document, status, asked_s, next_s, batch_id, "
                    "folder_id, size_bytes, row) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (store_id, file_id) DO UPDATE SET status = excluded.status, "
                    "asked_s = excluded.asked_s, next_s = excluded.next_s, batch_id = excluded.batch_id, "
                    "folder_id = excluded.folder_id, size_bytes = excluded.size_bytes, row = excluded.row "
                    "WHERE NOT leaving",
                    (*row.key, row.tenant, row.document, row.status, row.asked_s, row.next_s, row.batch_id,
                     row.folder_id, row.size_bytes, _encode(row)),
                )  # fmt: skip

    def files(self, store_id: str) -> list[FileRow]:
        """The youngest first."""
        rows = self._read("SELECT row FROM files WHERE store_id = ? AND NOT leaving ORDER BY file_row DESC", store_id)
        return [_files.decode(row) for (row,) in rows]

    def file(self, store_id: str, file_id: str) -> FileRow | None:
        rows = self._read(
            "SELECT row FROM files WHERE store_id = ? AND file_id = ? AND NOT leaving", store_id, file_id
        )  # fmt: skip
        return _files.decode(rows[0][0]) if rows else None

    def documents(self, store_id: str, documents: Iterable[str]) -> dict[str, FileRow]:
        """Files by the names of their documents, those that are there."""
        rows = self._read(
            "SELECT row FROM files WHERE store_id = ? AND NOT leaving "
            "AND document IN (SELECT value FROM json_each(?))", store_id, _listed(documents)
        )  # fmt: skip
        return {row.document: row for row in (_files.decode(row) for (row,) in rows)}

    def everywhere(self, tenants: Sequence[str], file_id: str) -> list[FileRow]:
        """In all stores of these tenants."""
        where, facts = _of_tenants("tenant", tenants)
        rows = self._read(f"SELECT row FROM files WHERE file_id = ? AND NOT leaving{where}", file_id, *facts)
        return [_files.decode(row) for (row,) in rows]

    def of_folder(self, folder_id: str) -> list[FileRow]:
        rows = self._read("SELECT row FROM files WHERE folder_id = ? AND NOT leaving", folder_id)
        return [_files.decode(row) for (row,) in rows]

    def of_batch(self, store_id: str, batch_id: str, status: FileStatus | None = None) -> list[FileRow]:
        rows = self._read(
            "SELECT row FROM files WHERE store_id = ? AND batch_id = ? AND NOT leaving "
            "AND (? IS NULL OR status = ?)", store_id, batch_id, status, status
        )  # fmt: skip
        return [_files.decode(row) for (row,) in rows]

    def to_read(self, now_s: float, limit: int) -> dict[str, list[FileRow]]:
        """By tenant, those that were asked for first; files of stores that are leaving are nobody's."""
        tenants = self._read("SELECT DISTINCT tenant FROM files WHERE status = 'in_progress' AND NOT leaving")
        found = {}
        for (tenant,) in tenants:
            rows = self._read(
                "SELECT files.row FROM files JOIN stores USING (store_id) WHERE files.tenant = ? "
                "AND files.status = 'in_progress' AND NOT files.leaving AND NOT stores.leaving AND next_s <= ? "
                "ORDER BY asked_s, file_row LIMIT ?", tenant, now_s, limit
            )  # fmt: skip
            found[tenant] = [_files.decode(row) for (row,) in rows]
        return {tenant: rows for tenant, rows in found.items() if rows}

    def let_file_leave(self, store_id: str, file_id: str) -> None:
        """From now on it is there for nobody."""
        self._write("UPDATE files SET leaving = 1 WHERE store_id = ? AND file_id = ?", (store_id, file_id))

    def leaving_files(self) -> list[FileRow]:
        return [_files.decode(row) for (row,) in self._read("SELECT row FROM files WHERE leaving")]

    def forget_file(self, store_id: str, file_id: str) -> None:
        self._write("DELETE FROM files WHERE store_id = ? AND file_id = ?", (store_id, file_id))

    # Folders

    def save_folder(self, row: FolderRow) -> None:
        self._write(
            "INSERT INTO folders (folder_id, store_id, tenant, row) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (folder_id) DO UPDATE SET row = excluded.row",
            (row.folder_id, row.store_id, row.tenant, _encode(row)),
        )

    def folders(self, tenants: Sequence[str] | None = None) -> list[FolderRow]:
        """None: of everybody."""
        where, facts = _of_tenants("folders.tenant", tenants)
        rows = self._read(
            f"SELECT folders.row FROM folders JOIN stores USING (store_id) WHERE NOT leaving{where} "
            "ORDER BY folders.rowid", *facts
        )  # fmt: skip
        return [_folders.decode(row) for (row,) in rows]

    def forget_folder(self, folder_id: str) -> None:
        self._write("DELETE FROM folders WHERE folder_id = ?", (folder_id,))

    # Usual stores

    def usual(self) -> list[Usual]:
        rows = self._read("SELECT usual.row FROM usual JOIN stores USING (store_id) WHERE NOT leaving")
        return [_usual.decode(row) for (row,) in rows]

    def set_usual(self, store_id: str, rows: Sequence[Usual]) -> None:
        with self._change() as connection:
            connection.execute("DELETE FROM usual WHERE store_id = ?", (store_id,))
            connection.executemany(
                "INSERT INTO usual (store_id, row) VALUES (?, ?)", [(store_id, _encode(row)) for row in rows]
            )

    def _read(self, statement: str, *facts: object) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            return self._connection.execute(statement, facts).fetchall()

    def _write(self, statement: str, facts: Sequence[object]) -> None:
        with self._lock:
            self._connection.execute(statement, tuple(facts))

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock, changing(self._connection) as connection:
            yield connection


def _of_tenants(column: str, tenants: Sequence[str] | None) -> tuple[str, tuple[str, ...]]:
    """A condition more, and its facts. None: of everybody."""
    if tenants is None:
        return "", ()
    return f" AND {column} IN (SELECT value FROM json_each(?))", (_listed(tenants),)


def _listed(names: Iterable[str]) -> str:
    return msgspec.json.encode(list(names)).decode()
