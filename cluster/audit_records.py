"""What the audit says: who did what to what, with which outcome. Never a prompt, an answer, a key or a token's secret.

A record's bytes are made once and kept as they are: their hash is what the chain is of. Whatever could name a person
(an address, a user's name) is no field of its own but sealed, so that forgetting the person's key forgets the fields.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

VERSION = 1
LONGEST_TEXT = 256
MOST_DETAILS = 16

Action = Literal[
    "admin.other",  # a route that changes something and that cluster.audit_rules does not know yet
    "audit.erase",
    "audit.expire",
    "certificate.issue",
    "certificate.renew",
    "config.apply",
    "data.sent",
    "documents.add",
    "documents.change",
    "documents.drop",
    "documents.look",
    "documents.make",
    "documents.read",
    "documents.search",
    "documents.share",
    "endpoint.refuse",
    "head.start",
    "key.create",
    "key.limit",
    "key.revoke",
    "key.rotate",
    "key.rotate_owner",
    "key.totp_off",
    "key.totp_on",
    "member.refuse",
    "model.load",
    "model.unload",
    "node.cordon",
    "node.drain",
    "node.join",
    "node.label",
    "node.remove",
    "node.uncordon",
    "pii.reveal",
    "privacy.erase",
    "privacy.export",
    "privacy.rules",
    "ray.rotate_token",
    "session.begin",
    "token.create",
]
Outcome = Literal["begun", "done", "refused", "failed"]
ActorKind = Literal["operator", "key", "person", "node", "stranger", "potluck"]
Detail = tuple[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Actor:
    """`name` is a key's id or a machine's name; for the operator, where he sits. `tenant` and `role` are a key's."""

    kind: ActorKind
    name: str = ""
    tenant: str = ""
    role: str = ""


OPERATOR = Actor("operator", "on this machine")  # whoever can open the head's private socket
POTLUCK = Actor("potluck", "head")
STRANGER = Actor("stranger")


@dataclass(frozen=True, slots=True)
class Personal:
    """Fields about one person or one address, sealed with the key of that `subject`."""

    subject: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What happened, as whoever saw it tells it. "begun" comes before an action, and its outcome after it."""

    action: Action
    outcome: Outcome
    actor: Actor
    target: str = ""
    request_id: str = ""
    details: tuple[Detail, ...] = ()
    personal: Personal | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """`subject` is a pseudonym drawn by chance; each field is base64 of nonce and ciphertext."""

    subject: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An event in its place."""

    version: int
    sequence: int
    at_ms: int  # wall time; the order is `sequence`'s
    node: str
    action: Action
    outcome: Outcome
    actor: Actor
    target: str
    request_id: str
    details: tuple[Detail, ...]
    sealed: Sealed | None


@dataclass(frozen=True, slots=True)
class Place:
    """What verification reads of a record, of whatever version."""

    sequence: int
    at_ms: int
    action: str
    details: tuple[Detail, ...] = ()


class NotARecordError(Exception):
    """Bytes that hold no record of this version. Verification names the record; `tail` shows the bytes."""


def record_of(event: AuditEvent, sequence: int, at_ms: int, node: str, sealed: Sealed | None) -> AuditRecord:
    """Texts are cut to a length that no caller can stretch: a record stays small whoever is refused."""
    actor = event.actor
    return AuditRecord(
        version=VERSION,
        sequence=sequence,
        at_ms=at_ms,
        node=node,
        action=event.action,
        outcome=event.outcome,
        actor=Actor(actor.kind, text_of(actor.name), text_of(actor.tenant), text_of(actor.role)),
        target=text_of(event.target),
        request_id=text_of(event.request_id),
        details=tuple(
            (text_of(name), text_of(value) if isinstance(value, str) else value)
            for name, value in event.details[:MOST_DETAILS]
        ),
        sealed=sealed,
    )


def text_of(text: str) -> str:
    """At most LONGEST_TEXT characters, and none that UTF-8 cannot hold."""
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()


def encode(record: AuditRecord) -> bytes:
    """JSON with sorted names and no white space."""
    return msgspec.json.encode(record, order="sorted")


def decode(body: bytes) -> AuditRecord:
    """Raises NotARecordError."""
    try:
        return msgspec.json.decode(body, type=AuditRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotARecordError(str(error)) from error


def place_of(body: bytes) -> Place:
    """Raises NotARecordError."""
    try:
        return msgspec.json.decode(body, type=Place)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotARecordError(str(error)) from error
