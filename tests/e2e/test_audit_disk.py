"""A disk that is full: what needs a record is refused, the rest goes on, and with room again so does all of it."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cluster.admin_client import AdminClient, AdminRefusedError
from cluster.audit_key import ensure_audit_key, read_audit_key
from cluster.audit_reading import AuditReader
from cluster.audit_records import OPERATOR, AuditEvent
from cluster.audit_verify import verify
from cluster.audit_writer import AuditPlace, AuditTimes, AuditUnavailableError, AuditWriter
from cluster.controller import ControllerTimes
from cluster.service import HeadSettings
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from support.cluster_facts import node
from support.fake_node import FakeNode
from support.heads import running_head
from support.small_disk import fill, small_disk

pytestmark = pytest.mark.e2e


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Four megabytes of it."""
    with small_disk(tmp_path / "disk") as place:
        yield place


async def test_a_head_refuses_what_needs_a_record_serves_the_rest_and_recovers_by_itself(disk: Path) -> None:
    paths = StatePaths.at(disk / "s").ensure()
    settings = HeadSettings(paths, times=ControllerTimes(tick_s=0.05))
    async with running_head(settings, [FakeNode(node("box", []))]) as client:
        await client.set_labels("box", {"rack": "a"})
        ballast = await asyncio.to_thread(fill, disk)
        with pytest.raises(AdminRefusedError) as caught:
            while True:  # what SQLite has room for in its own files is still written
                await client.set_labels("box", {"rack": "b" * 100})
        before = await client.snapshot()
        after = await client.snapshot()
        while after.sequence == before.sequence:
            after = await client.snapshot()
        ballast.unlink()
        await _labelled(client)

    assert (caught.value.status, caught.value.code) == (503, "audit_unavailable")
    with closing(AuditReader.open(paths.audit_db)) as reader:
        assert verify(reader.evidence(), reader.links(), read_audit_key(paths.audit_key).public_key()).finding is None


async def _labelled(client: AdminClient) -> None:
    while True:
        try:
            await client.set_labels("box", {"rack": "c"})
        except AdminRefusedError as error:
            assert error.code == "audit_unavailable"
            await asyncio.sleep(0.1)
        else:
            return


def test_a_full_disk_under_load_loses_no_acknowledged_record(disk: Path) -> None:
    place = AuditPlace(
        disk / "audit.db", disk / "s.db", ensure_audit_key(disk / "key"), "box", times=AuditTimes(again_s=0.0)
    )
    event = AuditEvent("node.label", "done", OPERATOR, "x" * 200)
    writer, acknowledged = AuditWriter(place, SystemClock()), 0
    for _ in range(3):
        with pytest.raises(AuditUnavailableError):
            ballast = fill(disk)
            while True:
                writer.record(event)
                acknowledged += 1
        ballast.unlink()
        writer.record(event)
        acknowledged += 1
    writer.close()
    with closing(AuditReader.open(place.database)) as reader:
        verdict = verify(reader.evidence(), reader.links(), place.key.public_key())

    assert verdict.finding is None
    assert verdict.records >= acknowledged
