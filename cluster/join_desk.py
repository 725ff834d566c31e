"""Who may become a member, and who stays one: tokens made and redeemed, certificates renewed, members removed.

It decides and records. Connections are cluster.join_api's, and what follows from a change is cluster.lan's.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version

import structlog

from cluster.audit_records import Actor, AuditEvent, Personal
from cluster.audit_tally import Refusal, address_subject
from cluster.audit_trail import AuditTrail
from cluster.authority import BadRequestError, CertificateAuthority, SignedCertificate, Subject
from cluster.join_records import JoinRecords, Member, TokenRecord
from cluster.join_token import JoinToken, proves, verifier_of
from inventory.clock import Clock
from nodes.join_wire import JoinBody, Joined, RefusalCode, Renewed, ReportBody
from nodes.peer import Peer
from nodes.ray_versions import versions_here
from nodes.snapshot import NodeId

NONCE_LIFE_S = 60.0
NONCES_KEPT = 1000
TRIES = 5
TRIES_WINDOW_S = 60.0

log = structlog.get_logger("potluck.cluster.join")

_STATUS: dict[RefusalCode, int] = {"too_many_tries": 429, "bad_request": 400, "already_member": 409}


class JoinRefusedError(Exception):
    """The desk says no. The listener and the admin API answer it with `status`, `code` and the message."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, _STATUS.get(code, 403)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A nonce that is out."""

    token_id: str
    until_s: float


class JoinDesk:
    """`changed` is called with a member that is new or has moved. What admits anybody raises AuditUnavailableError."""

    def __init__(
        self,
        authority: CertificateAuthority,
        records: JoinRecords,
        trail: AuditTrail,
        changed: Callable[[Member], None],
        clock: Clock,
    ) -> None:
        self._authority, self._records, self._trail = authority, records, trail
        self._changed, self._clock = changed, clock
        self._nonces: dict[str, _Asked] = {}
        self._failures: dict[str, list[float]] = {}

    def new_token(self, node_id: NodeId, ttl_s: int) -> JoinToken:
        """Raises JoinRefusedError for a name that is taken."""
        if self._records.member(node_id) is not None:
            raise JoinRefusedError(
                "already_member",
                f"{node_id} is a member; a machine that replaces it joins after: potluck nodes rm {node_id}",
            )
        expires_s = int(self._clock.wall_s()) + ttl_s
        token = JoinToken(secrets.token_hex(8), secrets.token_bytes(32), self._authority.fingerprint, expires_s)
        verifier = verifier_of(token.secret).hex()
        self._records.add_token(TokenRecord(token.token_id, node_id, verifier, expires_s))
        log.info("token_made", token_id=token.token_id, node=node_id, expires_s=expires_s)
        return token

    def hello(self, token_id: str) -> str:
        """A nonce for one try. Unknown tokens get one too: asking tells nobody which exist."""
        now_s = self._clock.monotonic_s()
        self._nonces = {nonce: asked for nonce, asked in self._nonces.items() if asked.until_s > now_s}
        while len(self._nonces) >= NONCES_KEPT:
            del self._nonces[next(iter(self._nonces))]
        nonce = secrets.token_hex(32)
        self._nonces[nonce] = _Asked(token_id, now_s + NONCE_LIFE_S)
        return nonce

    def join(self, body: JoinBody, seen_host: str) -> Joined:
        """Raises JoinRefusedError; every refusal is logged and on record."""
        try:
            return self._join(body, seen_host)
        except JoinRefusedError as error:
            log.warning(
                "join_refused", token_id=body.token_id[:32], address=seen_host, code=error.code, reason=str(error)
            )
            self._trail.refused(Refusal("node.join", error.code, address=seen_host))
            if error.code != "too_many_tries":
                self._failures.setdefault(seen_host, []).append(self._clock.monotonic_s())
            raise

    def renew(self, peer: Peer, request_pem: str) -> Renewed:
        """Another certificate for the same role and name, on the strength of the present one."""
        member = self.check_member(peer)
        subject = Subject("node", peer.name, (member.host,))
        with self._trail.performing(
            AuditEvent("certificate.renew", "begun", Actor("node", peer.name), peer.name)
        ) as told:
            certificate = _signed(self._authority, request_pem, subject)
            self._records.note_certificate(subject, certificate)
            told.append(("serial", certificate.serial))
        log.info("certificate_renewed", node=peer.name, serial=certificate.serial)
        return Renewed(certificate.pem)

    def report(self, peer: Peer, body: ReportBody, seen_host: str) -> Member:
        """A member says where it listens. Its certificate must be shown there, so a wrong address harms itself only."""
        known = self.check_member(peer)
        member = replace(known, host=body.host or seen_host, port=body.port)
        if member != known:
            self._records.move(member)
            log.info("member_moved", node=member.node_id, host=member.host, port=member.port)
            self._changed(member)
        return member

    def check_member(self, peer: Peer) -> Member:
        """Raises JoinRefusedError."""
        member = self._records.member(NodeId(peer.name))
        if peer.role != "node" or member is None or not self._records.holds(peer.serial):
            log.warning("member_refused", peer=str(peer), serial=peer.serial)
            self._trail.refused(Refusal("member.refuse", "not_a_member", target=peer.name))
            raise JoinRefusedError("not_a_member", f"{peer} is not, or no longer, a member of this cluster")
        return member

    def _join(self, body: JoinBody, seen_host: str) -> Joined:
        self._limit(seen_host)
        token = self._proved(body)
        if token.used_s is not None:
            raise JoinRefusedError("used_token", f"this token has been used; make another: {_make(token.node_id)}")
        if self._clock.wall_s() >= token.expires_s:
            raise JoinRefusedError("expired_token", f"this token has expired; make another: {_make(token.node_id)}")
        if body.node not in ("", token.node_id):
            raise JoinRefusedError("wrong_name", f"this token is for {token.node_id}, not for {body.node}")
        if self._records.member(token.node_id) is not None:
            raise JoinRefusedError("already_member", f"{token.node_id} is a member already")
        member = Member(token.node_id, body.host or seen_host, body.port)
        certificate = _signed(self._authority, body.request_pem, Subject("node", token.node_id, (member.host,)))
        with self._trail.performing(_joining(token, certificate, seen_host)):
            if not self._records.admit(token.token_id, member, certificate):
                raise JoinRefusedError("used_token", f"this token has been used; make another: {_make(token.node_id)}")
        log.info("joined", node=member.node_id, host=member.host, port=member.port, serial=certificate.serial)
        self._changed(member)
        here = versions_here()
        return Joined(
            cluster=self._authority.cluster,
            node=member.node_id,
            certificate_pem=certificate.pem,
            wall_s=self._clock.wall_s(),
            python=here.python,
            potluck=version("potluck"),
            ray=here.ray,
        )

    def _proved(self, body: JoinBody) -> TokenRecord:
        """The token that the body proves to know, whatever may be wrong with it otherwise."""
        asked = self._nonces.pop(body.nonce, None)
        if asked is None or asked.token_id != body.token_id or asked.until_s <= self._clock.monotonic_s():
            raise JoinRefusedError("replayed", "this answer was given before, or too late; run `potluck join` again")
        token = self._records.token(body.token_id)
        if token is None or not proves(bytes.fromhex(token.verifier_hex), body):
            raise JoinRefusedError("unknown_token", "no such token here; make one: potluck token create --node NAME")
        return token

    def _limit(self, seen_host: str) -> None:
        since_s = self._clock.monotonic_s() - TRIES_WINDOW_S
        self._failures = {
            host: recent for host, times in self._failures.items() if (recent := [at for at in times if at > since_s])
        }
        if len(self._failures.get(seen_host, ())) >= TRIES:
            raise JoinRefusedError("too_many_tries", "too many failed tries from this address; wait a minute")


def _joining(token: TokenRecord, certificate: SignedCertificate, seen_host: str) -> AuditEvent:
    details = (("token", token.token_id), ("serial", certificate.serial))
    personal = Personal(address_subject(seen_host), (("address", seen_host),))
    actor = Actor("node", token.node_id)
    return AuditEvent("node.join", "begun", actor, token.node_id, details=details, personal=personal)


def _signed(authority: CertificateAuthority, request_pem: str, subject: Subject) -> SignedCertificate:
    try:
        return authority.sign(request_pem, subject)
    except BadRequestError as error:
        raise JoinRefusedError("bad_request", str(error)) from error


def _make(node_id: NodeId) -> str:
    return f"potluck token create --node {node_id}"
