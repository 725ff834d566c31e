"""`potluck audit` as an operator types it, beside a running head and without one."""

import asyncio
import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from cluster.admin_client import AdminClient
from cluster.audit_records import POTLUCK, AuditEvent, Personal
from cluster.audit_trail import open_trail
from cluster.service import HeadSettings
from inventory.paths import StatePaths
from support.cluster_facts import node
from support.command import Place
from support.command_here import potluck
from support.fake_node import FakeNode
from support.heads import running_head
from support.manual_clock import ManualClock

audit = partial(potluck, "audit")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


@pytest.fixture
def written(paths: StatePaths) -> StatePaths:
    """Three days, a record each; one names an address."""
    clock = ManualClock(wall_s=1_800_000_000.0)  # 2027-01-15 08:00 UTC
    trail = open_trail(paths, "box", 1e9, clock)
    for number in range(3):
        personal = Personal("address:10.0.0.7", (("address", "10.0.0.7"),)) if number == 1 else None
        trail.tell(AuditEvent("head.start", "done", POTLUCK, f"\x1b[31m{number}", personal=personal))
        clock.advance(86400)
    trail.close()
    return paths


def test_the_last_records_are_shown_with_what_they_name_and_no_control_character(written: StatePaths) -> None:
    shown = audit(written, "tail", "-n", "2").stdout.splitlines()
    documents = json.loads(audit(written, "tail", "--json").stdout)

    assert [line.split()[:5] for line in shown[1:]] == [
        ["2", "2027-01-16", "08:00:00", "head.start", "done"],
        ["3", "2027-01-17", "08:00:00", "head.start", "done"],
    ]
    assert "address=10.0.0.7" in shown[1] and "\\x1b[31m1" in shown[1]
    assert (documents["apiVersion"], documents["kind"]) == ("potluck/v1", "AuditRecordList")
    assert [record["sequence"] for record in documents["records"]] == [1, 2, 3]
    assert documents["records"][1]["personal"] == {"address": "10.0.0.7"}


def test_verification_says_what_it_compared_and_names_the_record_that_was_changed(written: StatePaths) -> None:
    whole = audit(written, "verify").stdout
    with closing(sqlite3.connect(written.audit_db)) as connection:
        connection.execute("DROP TRIGGER records_stay_as_they_are")
        forged = "CAST(replace(CAST(body AS TEXT), 'done', 'gone') AS BLOB)"
        connection.execute(f"UPDATE records SET body = {forged} WHERE sequence = 2")
        connection.commit()
    changed = audit(written, "verify", expect=3).stdout
    document = json.loads(audit(written, "verify", "--json", expect=3).stdout)

    assert "3 records, 1 to 3" in whole and "as it was written" in whole
    assert "copies on other machines were not asked" in whole
    assert "NOT as it was written: record 2 edited" in changed
    assert (document["whole"], document["finding"]["sequence"]) == (False, 2)


def test_an_export_is_verified_by_whoever_has_the_public_key(written: StatePaths, tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "export.jsonl", StatePaths.at(tmp_path / "elsewhere").ensure()
    audit(written, "export", "--from", "2027-01-16", "--to", "2027-01-17", "--out", str(file))
    lines = file.read_text().splitlines()
    own = json.loads(lines[0])["public_key"]
    by_key = audit(elsewhere, "verify", "--file", str(file), "--key", own).stdout
    by_itself = audit(elsewhere, "verify", "--file", str(file)).stdout
    audit(written, "verify", "--file", str(file))
    wrong = audit(elsewhere, "verify", "--file", str(file), "--key", "ab" * 32, expect=3).stdout
    file.write_text("\n".join(line.replace("head.start", "head.stop_", 1) for line in lines))
    forged = audit(elsewhere, "verify", "--file", str(file), "--key", own, expect=3).stdout
    file.write_text("hello\n")
    audit(elsewhere, "verify", "--file", str(file), expect=3)

    assert "as it was written" in by_key and "by the key in the export itself" not in by_key
    assert "by the key in the export itself" in by_itself
    assert "NOT as it was written" in wrong and "NOT as it was written: record 1 edited" in forged
    assert "10.0.0.7" not in "".join(lines)


def test_what_is_not_there_has_its_exit_code(written: StatePaths, tmp_path: Path) -> None:
    empty = StatePaths.at(tmp_path / "empty").ensure()

    assert "there is no audit" in audit(empty, "tail", expect=4).stderr
    assert (
        "no record of that time"
        in audit(written, "export", "--from", "2020-01-01", "--to", "2020-01-02", expect=4).stderr
    )
    audit(written, "export", "--from", "yesterday", "--to", "2020-01-02", expect=2)
    audit(written, "erase", "address:10.0.0.7", "--yes", expect=6)
    written.audit_db.write_bytes(b"no database" * 1000)
    assert "was changed by somebody else" in audit(written, "verify", expect=3).stderr


async def test_beside_a_head_records_are_followed_copies_counted_and_persons_forgotten(written: StatePaths) -> None:
    async with running_head(HeadSettings(written), [FakeNode(node("box", []))]) as client:
        following = await Place(written.root).start("audit", "tail", "-f", "--json")
        assert following.stdout is not None
        seen = (await _labelled(client, following.stdout)).decode()
        following.terminate()
        await following.wait()
        verified = await asyncio.to_thread(audit, written, "verify")
        await asyncio.to_thread(audit, written, "erase", "address:10.0.0.7", "--yes")
        await asyncio.to_thread(audit, written, "erase", "address:10.0.0.7", "--yes", expect=4)
        erased = (await asyncio.to_thread(audit, written, "tail", "-n", "999")).stdout
        again = await asyncio.to_thread(audit, written, "verify")

    assert json.loads(seen)["action"] == "node.label"
    assert "no other machine keeps a copy" in verified.stdout
    assert "address=erased" in erased and "10.0.0.7" not in erased
    assert "as it was written" in again.stdout


async def _labelled(client: AdminClient, lines: asyncio.StreamReader) -> bytes:
    """The first line that is shown. Labels again and again: nothing tells that somebody has begun to look."""
    reading = asyncio.create_task(lines.readline())
    while not reading.done():
        await client.set_labels("box", {"rack": "a"})
        await asyncio.wait([reading], timeout=0.2)
    return reading.result()
