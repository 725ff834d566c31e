"""The audit as it is shown: pages of records, what is asked of them, and the verdict over the head's socket."""

import sqlite3
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest

from cluster.admin_client import AdminClient, AdminRefusedError
from cluster.audit_shown import audit_page
from cluster.audit_wire import AuditQuestion, ShownRecord
from cluster.controller import ControllerTimes
from cluster.key_order import KeyOrder
from cluster.service import HeadSettings
from inventory.paths import StatePaths
from support.cluster_facts import held, node
from support.fake_node import FakeNode
from support.heads import running_head


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


def head(paths: StatePaths) -> AbstractAsyncContextManager[AdminClient]:
    settings = HeadSettings(paths, times=ControllerTimes(tick_s=0.02))
    return running_head(settings, [FakeNode(node("box", [held("smollm2")]))])


async def test_pages_go_back_to_the_first_record_and_hold_each_once(paths: StatePaths) -> None:
    async with head(paths) as client:
        for _ in range(3):
            await client.unload_model("smollm2")
            await client.load_model("smollm2")
        whole = await client.audit_records(AuditQuestion(500))
        pages: list[ShownRecord] = []
        before: int | None = None
        while True:
            page = await client.audit_records(AuditQuestion(4, before))
            pages += page.records
            before = page.before
            if before is None:
                break

    told = [one.record.sequence for one in whole.records]
    assert told == sorted(told, reverse=True)
    assert (told[-1], whole.before) == (1, None)
    assert [one.record.sequence for one in pages] == told


async def test_records_are_found_by_what_was_done_how_it_ended_and_any_word_of_theirs(paths: StatePaths) -> None:
    async with head(paths) as client:
        await client.create_key(KeyOrder("anna"))
        await client.set_duty("box", "cordon")
        with pytest.raises(AdminRefusedError):
            await client.set_duty("nix", "drain")
        by_kind = (await client.audit_records(AuditQuestion(action="node"))).records
        refused = (await client.audit_records(AuditQuestion(outcome="refused"))).records
        by_name = (await client.audit_records(AuditQuestion(text="ANNA"))).records
        none = (await client.audit_records(AuditQuestion(action="nod"))).records

    assert {one.record.action for one in by_kind} == {"node.cordon", "node.drain"}
    assert [(one.record.action, one.record.target) for one in refused] == [("node.drain", "nix")]
    assert {dict(one.personal)["name"] for one in by_name} == {"anna"}
    assert {one.record.action for one in by_name} == {"key.create"}
    assert none == ()


async def test_the_verdict_names_the_first_record_that_was_edited(paths: StatePaths) -> None:
    async with head(paths) as client:
        await client.set_duty("box", "cordon")
        whole = await client.audit_verdict()
        with closing(sqlite3.connect(paths.audit_db)) as log:
            (body,) = log.execute("SELECT body FROM records WHERE sequence = 1").fetchone()
            edited_body = bytes(body).replace(b"head.start", b"head.stop_")
            log.execute("DROP TRIGGER records_stay_as_they_are")
            log.execute("UPDATE records SET body = ? WHERE sequence = 1", (edited_body,))
            log.commit()
        edited = await client.audit_verdict()

    assert (whole.finding, whole.first, whole.last) == (None, 1, 3)
    assert dict(whole.agreeing)["audit.db"] >= 1
    assert edited.finding is not None
    assert (edited.finding.fault, edited.finding.sequence) == ("edited", 1)


def test_a_page_of_no_audit_is_refused_in_its_own_words(paths: StatePaths) -> None:
    from cluster.audit_reading import NoAuditError

    with pytest.raises(NoAuditError, match="there is no audit at"):
        audit_page(paths, AuditQuestion())
