"""Refusals of the gateway on their way to the audit: few records, no secret, nothing lost while the head is away."""

from collections import Counter
from contextlib import closing
from pathlib import Path

from cluster.admin_client import AdminClient
from cluster.audit_reading import AuditReader
from cluster.audit_records import decode
from cluster.audit_tally import Refusal
from cluster.service import HeadSettings
from inventory.paths import StatePaths
from router.log import StructuredLog
from router.refusals import MOST_UNTOLD, RefusalNotes, RefusalReporter, claimed_key_id
from support.gateway import running_gateway
from support.heads import running_head
from support.manual_clock import ManualClock

SECRET = "s" * 43


def presented(key: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {key}".encode()}


def test_a_scan_becomes_a_bounded_number_of_kinds_and_all_are_counted() -> None:
    clock = ManualClock()
    notes = RefusalNotes(clock)
    for minute in range(10):
        for number in range(500):
            notes.note(f"{minute:02x}{number:04x}", "invalid_api_key", "/v1/models")
        clock.advance(61)
        notes.give_back(notes.take())
    told = notes.take()

    assert len(told) <= MOST_UNTOLD + 1
    assert sum(told.values()) == 5000


def test_of_a_key_only_the_id_that_it_claims_is_told() -> None:
    assert claimed_key_id(presented(f"pl_ab12_{SECRET}")) == "ab12"
    assert claimed_key_id({b"x-api-key": f"pl_ab12_{SECRET}".encode()}) == "ab12"
    assert [claimed_key_id(presented(key)) for key in ("hunter2", f"pl_{SECRET}_x", "pl_ab12", "")] == [""] * 4


async def test_the_gateway_tells_the_head_also_what_it_refused_while_the_head_was_away(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "head").ensure()
    notes, head = RefusalNotes(ManualClock()), AdminClient(paths.head_socket)
    reporter = RefusalReporter(head, notes, StructuredLog())
    notes.note("", "missing_api_key", "/v1/models")
    notes.note("ab12", "missing_scope", "/metrics")
    await reporter.tell()
    async with running_head(HeadSettings(paths)):
        await reporter.tell()
        await reporter.tell()
    with closing(AuditReader.open(paths.audit_db)) as reader:
        bodies = [link.body for link in reader.links()]
    told = [(record.actor.name, record.target, dict(record.details)) for record in map(decode, bodies[1:])]

    assert told == [
        ("", "/v1/models", {"cause": "missing_api_key", "count": 1}),
        ("ab12", "/metrics", {"cause": "missing_scope", "count": 1}),
    ]
    assert SECRET.encode() not in b"".join(bodies)


async def test_every_way_into_the_gateway_notes_whom_it_refuses(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        for key in (None, f"pl_ab12_{SECRET}"):
            async with running.http(key) as client:
                answers = [await client.post("/v1/chat/completions", json={}), await client.get("/v1/models")]
                assert [answer.status_code for answer in answers] == [401, 401]
        async with running.http() as client:
            assert (await client.get("/healthz")).status_code == 200
        taken = running.gateway.dispatcher.refusals.take()

    routes = ("/v1/chat/completions", "/v1/models")
    causes = (("missing_api_key", ""), ("invalid_api_key", "ab12"))
    assert taken == Counter(Refusal("endpoint.refuse", *cause, target=route) for cause in causes for route in routes)
