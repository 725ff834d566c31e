"""audit.db and its writer: what is acknowledged is there, what is there is whole, and what has expired may go."""

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.audit_key import ensure_audit_key
from cluster.audit_reading import AuditReader
from cluster.audit_records import OPERATOR, AuditEvent, Personal, decode
from cluster.audit_store import AuditLimits, AuditVersionError
from cluster.audit_subjects import SubjectKeys
from cluster.audit_verify import Verdict, verify
from cluster.audit_writer import AuditPlace, AuditTimes, AuditUnavailableError, AuditWriter
from inventory.clock import Clock, SystemClock
from inventory.secret_files import ExposedSecretError
from support.manual_clock import ManualClock

DAY_S = 86400.0
EVENT = AuditEvent("node.cordon", "done", OPERATOR, "box", "op_1", (("count", 1),))
EAGER = AuditTimes(again_s=0.0, keep_every_records=5, look_every_s=0.02)
ADDRESS = Personal("address:10.0.0.7", (("address", "10.0.0.7"),))


def place(root: Path, limits: AuditLimits | None = None) -> AuditPlace:
    key = ensure_audit_key(root / "audit.key")
    return AuditPlace(root / "audit.db", root / "subjects.db", key, "box", limits or AuditLimits(), EAGER)


@contextmanager
def writing(where: AuditPlace, clock: Clock | None = None) -> Iterator[AuditWriter]:
    writer = AuditWriter(where, clock or SystemClock())
    try:
        yield writer
    finally:
        writer.close()


def checked(where: AuditPlace) -> Verdict:
    with closing(AuditReader.open(where.database)) as reader:
        return verify(reader.evidence(), reader.links(), where.key.public_key())


def changed(where: AuditPlace, *statements: str) -> None:
    """As somebody does it who owns the file."""
    with closing(sqlite3.connect(where.database)) as connection:
        connection.execute("DROP TRIGGER IF EXISTS records_stay_as_they_are")
        connection.execute("DROP TRIGGER IF EXISTS records_leave_with_their_segment")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def fill(where: AuditPlace, count: int) -> None:
    with writing(where) as writer:
        for _ in range(count):
            writer.record(EVENT)


async def test_what_many_wait_for_is_written_in_groups_in_order_and_whole(tmp_path: Path) -> None:
    where = place(tmp_path)
    with writing(where) as writer:
        records = await asyncio.gather(*(writer.write(EVENT) for _ in range(300)))
        with ThreadPoolExecutor(4) as threads:
            more = list(threads.map(lambda _: writer.record(EVENT), range(40)))
    fill(where, 1)

    assert sorted(record.sequence for record in (*records, *more)) == list(range(1, 341))
    verdict = checked(where)
    assert (verdict.records, verdict.finding) == (341, None)
    assert where.database.stat().st_mode & 0o777 == where.subjects.stat().st_mode & 0o777 == 0o600


def test_a_record_says_who_what_when_where_and_keeps_within_bounds(tmp_path: Path) -> None:
    where, clock = place(tmp_path), ManualClock(wall_s=1_800_000_000.25)
    with writing(where, clock) as writer:
        writer.record(replace(EVENT, target="\ud800" + "x" * 9999, details=(("long", "y" * 9999),) * 99))
    with closing(AuditReader.open(where.database)) as reader:
        (link,) = reader.links()

    record = decode(link.body)
    assert (record.version, record.sequence, record.at_ms, record.node) == (1, 1, 1_800_000_000_250, "box")
    assert (record.action, record.outcome, record.actor, record.request_id) == ("node.cordon", "done", OPERATOR, "op_1")
    assert record.target == "?" + "x" * 255
    assert len(record.details) == 16 and len(link.body) < 8192


def test_a_place_that_cannot_be_written_refuses_and_serves_again_by_itself(tmp_path: Path) -> None:
    where = place(tmp_path)
    where = replace(where, database=tmp_path / "later" / "audit.db")
    with writing(where) as writer:
        with pytest.raises(AuditUnavailableError, match="nothing is done that needs a record"):
            writer.record(EVENT)
        where.database.parent.mkdir()
        assert writer.record(EVENT).sequence == 1
    with pytest.raises(AuditUnavailableError, match="stopping"):
        writer.record(EVENT)


def test_sqlite_itself_refuses_accidents(tmp_path: Path) -> None:
    where = place(tmp_path)
    fill(where, 2)
    with closing(sqlite3.connect(where.database)) as connection:
        for statement in ("UPDATE records SET body = x'00'", "DELETE FROM records"):
            with pytest.raises(sqlite3.IntegrityError, match="an audit record"):
                connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE records SET body = CAST(replace(body, 'box', 'fox') AS BLOB) WHERE sequence = 7", ("edited", 7)),
        ("DELETE FROM records WHERE sequence = 4", ("deleted", 4)),
        ("DELETE FROM records WHERE sequence <= 2", ("deleted", 1)),
        ("DELETE FROM records WHERE sequence > 11", ("truncated", 12)),
        ("DELETE FROM checkpoints", None),  # the tip vouches for all
        ("UPDATE tip SET document = (SELECT document FROM checkpoints ORDER BY sequence LIMIT 1)", ("inserted", 6)),
    ],
)
def test_whoever_changes_the_file_is_found_out(
    tmp_path: Path, statement: str, expected: tuple[str, int] | None
) -> None:
    where = place(tmp_path)
    fill(where, 5)
    fill(where, 7)
    changed(where, "DELETE FROM checkpoints WHERE sequence > 5", statement)

    finding = checked(where).finding

    assert (None if finding is None else (finding.fault, finding.sequence)) == expected


def test_two_records_that_changed_places_in_the_file_are_found(tmp_path: Path) -> None:
    where = place(tmp_path)
    fill(where, 12)
    moves = ((3, -3), (9, 3), (-3, 9))
    changed(where, *(f"UPDATE records SET sequence = {after} WHERE sequence = {before}" for before, after in moves))

    finding = checked(where).finding

    assert finding is not None
    assert (finding.fault, finding.sequence) == ("reordered", 3)


def test_the_writer_does_not_sign_over_what_somebody_changed(tmp_path: Path) -> None:
    where = place(tmp_path)
    fill(where, 8)
    changed(where, "DELETE FROM records WHERE sequence = 8")

    with writing(where) as writer, pytest.raises(AuditUnavailableError, match="ends at record 7, and 8 was signed"):
        writer.record(EVENT)

    finding = checked(where).finding
    assert finding is not None and finding.sequence == 8


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    where = place(tmp_path)
    fill(where, 1)
    where.database.chmod(0o644)

    with writing(where) as writer, pytest.raises(AuditUnavailableError, match="chmod 600"):
        writer.record(EVENT)
    with pytest.raises(ExposedSecretError):
        AuditReader.open(where.database)


def test_the_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    where = place(tmp_path)
    fill(where, 1)
    changed(where, "PRAGMA user_version = 2")

    with writing(where) as writer, pytest.raises(AuditUnavailableError, match="has schema 2"):
        writer.record(EVENT)
    with pytest.raises(AuditVersionError):
        AuditReader.open(where.database)


async def test_a_damaged_checkpoint_keeps_segments_and_stops_nobody(tmp_path: Path) -> None:
    where, clock = place(tmp_path, AuditLimits(segment_records=2, retention_s=DAY_S)), ManualClock()
    with writing(where, clock) as writer:
        for _ in range(3):
            writer.record(EVENT)
        changed(where, "UPDATE checkpoints SET document = x'00' WHERE closes")
        clock.advance(2 * DAY_S)
        for _ in range(3):
            await writer.write(EVENT)
    with closing(AuditReader.open(where.database)) as reader:
        assert len(list(reader.links())) == 6


def test_segments_end_by_size_and_by_month_and_the_chain_goes_on(tmp_path: Path) -> None:
    where, clock = place(tmp_path, limits=AuditLimits(segment_records=4)), ManualClock()
    with writing(where, clock) as writer:
        for _ in range(9):
            writer.record(EVENT)
        clock.advance(32 * DAY_S)
        writer.record(EVENT)
    with closing(AuditReader.open(where.database)) as reader:
        closed = [kept.sequence for kept in reader.kept() if '"closes":true' in kept.checkpoint.text]

    assert closed == [4, 8, 9]
    assert checked(where).finding is None


async def test_only_whole_segments_that_have_expired_go_and_what_is_left_is_whole(tmp_path: Path) -> None:
    limits, clock = AuditLimits(segment_records=4, retention_s=10 * DAY_S), ManualClock()
    where = place(tmp_path, limits=limits)
    with writing(where, clock) as writer:
        for _ in range(9):
            writer.record(EVENT)
        clock.advance(11 * DAY_S)
        writer.record(EVENT)
        await _until_first(where, 9)
    verdict = checked(where)

    assert (verdict.first, verdict.finding) == (9, None)
    with closing(AuditReader.open(where.database)) as reader:
        *_, last = reader.links()
    said = decode(last.body)
    assert (said.action, dict(said.details)) == ("audit.expire", {"segments": 2, "first": 1, "through": 8})

    changed(where, "UPDATE log SET expired_through = 9", "DELETE FROM records WHERE sequence = 9")
    finding = checked(where).finding
    assert finding is not None and finding.fault == "deleted"


async def test_erasing_a_subject_leaves_the_chain_whole_and_no_byte_of_the_key(tmp_path: Path) -> None:
    where = place(tmp_path)
    with writing(where) as writer:
        record = writer.record(replace(EVENT, personal=ADDRESS))
        writer.record(replace(EVENT, personal=replace(ADDRESS, subject="address:10.0.0.8")))
        with closing(SubjectKeys.open(where.subjects)) as subjects:
            before = subjects.unseal(record)
            with closing(sqlite3.connect(where.subjects)) as raw:
                found = "SELECT secret FROM subjects WHERE subject = ?"
                secret = raw.execute(found, (ADDRESS.subject,)).fetchone()[0]
            pseudonym = subjects.erase(ADDRESS.subject)
            after = subjects.unseal(record)
            nobody = subjects.erase(ADDRESS.subject)
        writer.record(replace(EVENT, personal=ADDRESS))
    files = [path.read_bytes() for path in tmp_path.iterdir()]

    assert (before, after) == ((("address", "10.0.0.7"),), (("address", "erased"),))
    assert record.sealed is not None and record.sealed.subject == pseudonym
    assert nobody is None
    assert not any(secret in content for content in files)
    assert b"10.0.0.7" not in where.database.read_bytes()
    assert checked(where).finding is None


def test_a_sealed_field_opens_in_its_own_record_only(tmp_path: Path) -> None:
    where = place(tmp_path)
    with writing(where) as writer:
        record = writer.record(replace(EVENT, personal=ADDRESS))
    with closing(SubjectKeys.open(where.subjects)) as subjects:
        assert subjects.unseal(replace(record, sequence=2)) == (("address", "damaged"),)


async def _until_first(where: AuditPlace, first: int) -> None:
    async with asyncio.timeout(10):
        while True:
            with closing(AuditReader.open(where.database)) as reader:
                if reader.first == first:
                    return
            await asyncio.sleep(0.02)
