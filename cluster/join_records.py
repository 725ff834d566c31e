"""Tokens, certificates and members in registry.db. Each method is one transaction."""

from dataclasses import dataclass

from cluster.authority import SignedCertificate, Subject
from cluster.registry import Registry
from inventory.clock import Clock
from nodes.api_wire import TrustBody
from nodes.snapshot import NodeId


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """`used_s` is None until a machine has joined with it."""

    token_id: str
    node_id: NodeId
    verifier_hex: str
    expires_s: int
    used_s: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A machine that has joined, and where its TLS port is."""

    node_id: NodeId
    host: str
    port: int


class JoinRecords:
    """Shares the head's connection to its registry."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock

    def add_token(self, record: TokenRecord) -> None:
        with self._registry.transaction() as connection:
            connection.execute(
                "INSERT INTO join_tokens VALUES (?, ?, ?, ?, ?, NULL)",
                (record.token_id, record.node_id, record.verifier_hex, self._now_s(), record.expires_s),
            )

    def token(self, token_id: str) -> TokenRecord | None:
        with self._registry.transaction() as connection:
            row = connection.execute(
                "SELECT token_id, node_id, verifier_hex, expires_s, used_s FROM join_tokens WHERE token_id = ?",
                (token_id,),
            ).fetchone()
        return TokenRecord(row[0], NodeId(row[1]), *row[2:]) if row else None

    def admit(self, token_id: str, member: Member, certificate: SignedCertificate) -> bool:
        """Use the token up and write the member down, in one step. False if somebody else used it first."""
        with self._registry.transaction() as connection:
            used = connection.execute(
                "UPDATE join_tokens SET used_s = ? WHERE token_id = ? AND used_s IS NULL RETURNING token_id",
                (self._now_s(), token_id),
            ).fetchone()
            if used is None:
                return False
            connection.execute(
                "INSERT INTO members VALUES (?, ?, ?, ?)", (member.node_id, member.host, member.port, self._now_s())
            )
            connection.execute(
                "INSERT INTO certificates VALUES (?, 'node', ?, ?, NULL)",
                (certificate.serial, member.node_id, certificate.expires_s),
            )
        return True

    def note_certificate(self, subject: Subject, certificate: SignedCertificate) -> None:
        with self._registry.transaction() as connection:
            connection.execute("DELETE FROM certificates WHERE expires_s < ?", (self._now_s(),))
            connection.execute(
                "INSERT INTO certificates VALUES (?, ?, ?, ?, NULL)",
                (certificate.serial, subject.role, subject.name, certificate.expires_s),
            )

    def holds(self, serial: str) -> bool:
        """Whether this certificate was given out and has not been revoked."""
        with self._registry.transaction() as connection:
            row = connection.execute("SELECT revoked_s FROM certificates WHERE serial = ?", (serial,)).fetchone()
        return row is not None and row[0] is None

    def move(self, member: Member) -> None:
        """It listens somewhere else now."""
        with self._registry.transaction() as connection:
            connection.execute(
                "UPDATE members SET host = ?, port = ? WHERE node_id = ?", (member.host, member.port, member.node_id)
            )

    def remove(self, node_id: NodeId) -> bool:
        """Forget the member, revoke its certificates, and withdraw its tokens. False if there was no such member."""
        with self._registry.transaction() as connection:
            gone = connection.execute("DELETE FROM members WHERE node_id = ? RETURNING node_id", (node_id,)).fetchone()
            now_s = self._now_s()
            connection.execute(
                "UPDATE certificates SET revoked_s = ? WHERE role = 'node' AND name = ? AND revoked_s IS NULL",
                (now_s, node_id),
            )
            connection.execute("DELETE FROM join_tokens WHERE node_id = ? AND used_s IS NULL", (node_id,))
            # At least the clock's seconds, so that a registry from a backup is not older than the nodes' memory.
            connection.execute("UPDATE revocations SET revision = max(revision + 1, ?)", (now_s,))
        return gone is not None

    def trust(self) -> TrustBody:
        """What every machine must refuse: revoked certificates that have not expired by themselves."""
        with self._registry.transaction() as connection:
            revision = connection.execute("SELECT revision FROM revocations").fetchone()[0]
            rows = connection.execute(
                "SELECT serial FROM certificates WHERE revoked_s IS NOT NULL AND expires_s >= ? ORDER BY serial",
                (self._now_s(),),
            ).fetchall()
        return TrustBody(int(revision), tuple(row[0] for row in rows))

    def members(self) -> tuple[Member, ...]:
        with self._registry.transaction() as connection:
            rows = connection.execute("SELECT node_id, host, port FROM members ORDER BY node_id").fetchall()
        return tuple(Member(NodeId(row[0]), row[1], row[2]) for row in rows)

    def member(self, node_id: NodeId) -> Member | None:
        return next((member for member in self.members() if member.node_id == node_id), None)

    def _now_s(self) -> int:
        return int(self._clock.wall_s())
