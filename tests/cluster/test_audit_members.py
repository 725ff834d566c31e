"""The audit and the machines of the cluster: who joined and who was refused, and the copies that members keep."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cluster.audit_chain import Chain, Checkpoint, read, sign
from cluster.audit_copies import AuditCopies
from cluster.audit_key import read_audit_key
from cluster.audit_reading import AuditReader
from cluster.audit_records import OPERATOR, AuditEvent, AuditRecord, decode
from cluster.audit_trail import AuditTrail, open_trail
from cluster.audit_verify import Voucher, verify
from cluster.audit_writer import AuditUnavailableError
from cluster.authority import CertificateAuthority
from cluster.join_desk import JoinDesk, JoinRefusedError
from cluster.join_records import JoinRecords, Member
from cluster.join_token import JoinToken, proof_of
from cluster.registry import Registry
from inventory.paths import StatePaths
from inventory.probe_host import HostProbe
from inventory.store import ModelStore
from nodes.api import node_app
from nodes.api_wire import PREFIX
from nodes.client import NodeClient, NodeRefusedError
from nodes.daemon import NodeDaemon, NodeSettings
from nodes.deny_list import DenyList
from nodes.identity import new_key, validity_of
from nodes.join_wire import JoinBody, Joined
from nodes.peer import Peer
from nodes.snapshot import NodeId
from nodes.tls_access import may
from nodes.unix_server import serve_unix
from support.manual_clock import ManualClock
from support.nodes import until

EVENT = AuditEvent("node.cordon", "done", OPERATOR, "box")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


@pytest.fixture
def trail(paths: StatePaths, clock: ManualClock) -> Iterator[AuditTrail]:
    trail = open_trail(paths, "box", 1e9, clock)
    yield trail
    trail.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def desk(paths: StatePaths, trail: AuditTrail, clock: ManualClock) -> Iterator[JoinDesk]:
    registry = Registry.open(paths.registry_db, clock)
    authority = CertificateAuthority.ensure(paths.ca, "home", clock)
    yield JoinDesk(authority, JoinRecords(registry, clock), trail, lambda member: None, clock)
    registry.close()


def join(desk: JoinDesk, token: JoinToken, node: str = "", host: str = "10.0.0.9") -> Joined:
    request, nonce = new_key("node").request_pem, desk.hello(token.token_id)
    body = JoinBody(token.token_id, nonce, node, 8402, "", request, proof="")
    return desk.join(replace(body, proof=proof_of(token.secret, body)), host)


def told(paths: StatePaths) -> list[AuditRecord]:
    with closing(AuditReader.open(paths.audit_db)) as reader:
        return [decode(link.body) for link in reader.links()]


def lines(paths: StatePaths) -> list[tuple[str, str, str]]:
    return [(record.action, record.outcome, record.target) for record in told(paths)]


def test_a_machine_that_joins_and_renews_is_on_record_with_its_certificate(desk: JoinDesk, paths: StatePaths) -> None:
    token = desk.new_token(NodeId("mac"), 900)
    joined = join(desk, token)
    serial = validity_of(joined.certificate_pem).serial
    desk.renew(Peer("home", "node", "mac", serial), new_key("mac").request_pem)

    assert lines(paths) == [
        ("node.join", "begun", "mac"),
        ("node.join", "done", "mac"),
        ("certificate.renew", "begun", "mac"),
        ("certificate.renew", "done", "mac"),
    ]
    joining = told(paths)[1]
    assert dict(joining.details) == {"token": token.token_id, "serial": serial}
    assert joining.sealed is not None and b"10.0.0.9" not in paths.audit_db.read_bytes()


async def test_refusals_are_on_record_once_and_then_as_a_number(
    desk: JoinDesk, trail: AuditTrail, paths: StatePaths, clock: ManualClock
) -> None:
    token = desk.new_token(NodeId("mac"), 900)
    join(desk, token, host="10.0.0.1")
    for _ in range(3):
        with pytest.raises(JoinRefusedError, match="has been used"):
            join(desk, token)
    with pytest.raises(JoinRefusedError, match="no such token"):
        join(desk, replace(token, secret=bytes(32)))
    with pytest.raises(JoinRefusedError, match="no longer"):
        desk.check_member(Peer("home", "node", "gone", "AB"))
    clock.advance(61)
    flushing = asyncio.create_task(trail.run())
    await until(lambda: len(told(paths)) == 6, "what was counted is written")
    flushing.cancel()

    refused = [record for record in told(paths) if record.outcome == "refused"]
    causes = [(record.action, dict(record.details)["cause"], dict(record.details)["count"]) for record in refused]
    assert causes == [
        ("node.join", "used_token", 1),
        ("node.join", "unknown_token", 1),
        ("member.refuse", "not_a_member", 1),
        ("node.join", "used_token", 2),
    ]


def test_a_scan_of_the_network_writes_few_records(desk: JoinDesk, paths: StatePaths) -> None:
    for number in range(200):
        with pytest.raises(JoinRefusedError):
            join(desk, JoinToken("ab" * 8, bytes(32), bytes(32), 0), host=f"10.0.{number}.1")

    assert len(told(paths)) <= 21


def test_nobody_joins_or_renews_without_an_audit(desk: JoinDesk, trail: AuditTrail, paths: StatePaths) -> None:
    token = desk.new_token(NodeId("mac"), 900)
    trail.close()

    with pytest.raises(AuditUnavailableError):
        join(desk, token)
    with pytest.raises(JoinRefusedError, match="no longer"):
        desk.check_member(Peer("home", "node", "mac", "AB"))


@asynccontextmanager
async def member(root: Path, clock: ManualClock) -> AsyncIterator[NodeClient]:
    """The API of a node daemon that keeps checkpoints; the rest of it does not run."""
    paths, stop = StatePaths.at(root).ensure(), asyncio.Event()
    store = ModelStore(paths.models, clock)
    daemon = NodeDaemon(NodeSettings(paths, NodeId("mac"), [HostProbe(paths.models)], store, (), clock))
    serving = asyncio.create_task(
        serve_unix(node_app(daemon, DenyList(paths.identity), stop.set), paths.node_socket, stop)
    )
    try:
        await until(paths.node_socket.exists, "the node API listens")
        yield NodeClient(paths.node_socket)
    finally:
        stop.set()
        await serving


async def test_a_history_written_anew_with_the_stolen_key_is_found_by_a_members_copy(
    trail: AuditTrail, paths: StatePaths, clock: ManualClock, tmp_path: Path
) -> None:
    for _ in range(3):
        trail.tell(EVENT)
    members = (Member(NodeId("mac"), "", 0), Member(NodeId("away"), "", 0))
    async with member(tmp_path / "mac", clock) as client:
        clients = {"mac": client, "away": NodeClient(tmp_path / "nobody.sock")}
        copies = AuditCopies(lambda: members, lambda one: clients[one.node_id], lambda: trail.tip)
        await copies.tell()
        await copies.tell()
        kept, away = await copies.copies()
        trail.close()
        key = read_audit_key(paths.audit_key)
        honest = _verified(paths, kept.documents)
        _write_anew(paths)
        alone, compared = _verified(paths, ()), _verified(paths, kept.documents)
        with pytest.raises(NodeRefusedError, match="another checkpoint of record 3"):
            await client.keep_checkpoint(_tip(paths))

    assert [read(_read(document), key.public_key()).sequence for document in kept.documents] == [3]
    assert away.problem
    assert (honest, alone) == ("", "")
    assert "checkpoint 3 of mac" in compared


def test_only_a_controller_puts_checkpoints_on_a_machine() -> None:
    path = f"{PREFIX}/audit/checkpoints"
    assert [may(role, "PUT", path) for role in ("controller", "gateway", "node")] == [True, False, False]
    assert [may(role, "GET", path) for role in ("controller", "gateway", "node")] == [True, False, False]


def _verified(paths: StatePaths, documents: tuple[str, ...]) -> str:
    """What verification found."""
    copies = tuple(Voucher(_read(document), "mac") for document in documents)
    with closing(AuditReader.open(paths.audit_db)) as reader:
        finding = verify(reader.evidence(copies), reader.links(), read_audit_key(paths.audit_key).public_key()).finding
    return finding.message if finding is not None else ""


def _write_anew(paths: StatePaths) -> None:
    """As somebody does who has the head, its signing key, and time."""
    key = read_audit_key(paths.audit_key)
    with closing(AuditReader.open(paths.audit_db)) as reader:
        chain, bodies = Chain.begin(reader.log, 0), [link.body for link in reader.links()]
    with closing(sqlite3.connect(paths.audit_db)) as connection:
        connection.executescript("DROP TRIGGER records_stay_as_they_are; DELETE FROM checkpoints")
        for body in bodies:
            link, chain = chain.linked(body.replace(b"box", b"fox"))
            values = (link.previous, link.body, link.digest, link.sequence)
            connection.execute("UPDATE records SET previous = ?, body = ?, digest = ? WHERE sequence = ?", values)
        tip = msgspec.json.encode(sign(chain.statement(0), key))
        connection.execute("UPDATE tip SET document = ?", (tip,))
        connection.commit()


def _tip(paths: StatePaths) -> str:
    with closing(AuditReader.open(paths.audit_db)) as reader:
        return msgspec.json.encode(reader.tip()).decode()


def _read(document: str) -> Checkpoint:
    return msgspec.json.decode(document, type=Checkpoint)
