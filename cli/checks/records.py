"""The databases of the state directory, and whether the head can put on record what is done."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from cli.checks.finding import Result, Verdict, fail, ok, warn
from cli.checks.situation import Situation
from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.private_database import files_of
from cluster.registry import MIGRATIONS

ANEW = "potluck down; move it away, and a new one is made; potluck up"
READ_ANEW = "potluck down; move library.db and rag.db away together; potluck up; and read the documents again"
FROM_BACKUP = (
    "potluck down; put its latest backup there, or move it away: then machines join and keys are made again; potluck up"
)
AS_EVIDENCE = "potluck down; keep it as evidence, but move it away; potluck up"


def check_records(situation: Situation) -> Iterator[Result]:
    """The registry is small and is read whole; of the others, which grow, only their beginning."""
    paths, troubles = situation.paths, 0
    databases: tuple[tuple[Path, Verdict, str], ...] = (
        (paths.registry_db, "fail", FROM_BACKUP),
        (paths.audit_db, "fail", AS_EVIDENCE),
        (paths.telemetry_db, "warn", ANEW),
        (paths.cache_db, "warn", ANEW),
        (paths.batches_db, "warn", ANEW),
        (paths.library_db, "warn", READ_ANEW),
        (paths.rag_db, "warn", READ_ANEW),
    )
    for path, verdict, fix in databases:
        trouble = _trouble(path, whole=path == paths.registry_db) if path.exists() else ""
        if trouble:
            troubles += 1
            yield Result(verdict, f"{path} cannot be used: {trouble}", fix)
    if troubles or not paths.registry_db.exists():
        return
    version = _version(paths.registry_db)
    if version > len(MIGRATIONS):
        told = f"{paths.registry_db} has schema {version}, and this potluck knows up to {len(MIGRATIONS)}"
        yield fail(told, "run the version that wrote it, or a later one")
    else:
        yield ok("the registry is whole, and the other databases can be read")


def check_audit(situation: Situation) -> Iterator[Result]:
    """Without it models serve on, and nothing else is done."""
    paths = situation.paths
    try:
        trouble = asyncio.run(AdminClient(paths.head_socket).audit_trouble())
    except (HeadUnreachableError, AdminRefusedError):
        yield ok("nobody writes one here at the moment")
        return
    if trouble:
        fix = "free some space on that disk, or do as it says; nothing has to be started again"
        yield warn(f"cannot be written, so actions are refused: {trouble}", fix)
    else:
        yield ok(f"{paths.audit_db} takes what is done")


def _trouble(path: Path, whole: bool) -> str:
    if not os.access(path, os.W_OK):
        return "it cannot be written"
    try:
        with closing(_opened(path)) as connection:
            if whole:
                told = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
                return "" if told == "ok" else told.replace("\n", " ")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return "" if error.sqlite_errorname == "SQLITE_BUSY" else str(error)
    return ""


def _version(path: Path) -> int:
    with closing(_opened(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _opened(path: Path) -> sqlite3.Connection:
    """Read only. Where nobody has it open it is taken for unchanging, or SQLite would lay files beside it."""
    in_use = any(file.exists() for file in files_of(path)[1:])
    mode = "mode=ro" if in_use else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=2.0)
