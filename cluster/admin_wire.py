"""The admin API's bodies, shared by server and client: what crosses the head's Unix socket besides snapshots."""

from dataclasses import dataclass
from typing import Literal

from cluster.erasure import Holding, Piece
from cluster.limits import NO_LIMITS, Limits
from cluster.pii.policy import Policy
from cluster.roles import Role, Scope

ErrorCode = Literal["invalid_config", "invalid_request", "starting", "not_found", "cannot_write", "node_unreachable"]


@dataclass(frozen=True, slots=True)
class AdminFault:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class FaultBody:
    error: AdminFault


@dataclass(frozen=True, slots=True)
class ConfigText:
    """The configuration in force, as it was written: substitutions are not filled in."""

    revision: int
    file: str
    text: str


@dataclass(frozen=True, slots=True)
class ConfigApplied:
    revision: int
    changed: bool


@dataclass(frozen=True, slots=True)
class RotatedKey:
    """The key itself is in the file only."""

    key_id: str
    owner_key_file: str


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What may be shown of an API key. `revoked_s` is None for one that is still taken, unless it has expired."""

    name: str
    key_id: str
    role: Role
    group: str
    tenant: str
    data_class: str
    scopes: tuple[Scope, ...] | None
    models: tuple[str, ...] | None
    front_end: bool
    created_s: int
    expires_s: int | None
    revoked_s: int | None
    limits: Limits = NO_LIMITS
    answers_kept_s: int | None = None
    pii: Policy | None = None
    totp: bool = False  # it has a second factor


@dataclass(frozen=True, slots=True)
class KeyList:
    keys: tuple[KeyFacts, ...]


@dataclass(frozen=True, slots=True)
class KeyMade:
    """The only body that ever holds a key."""

    key: str
    facts: KeyFacts


@dataclass(frozen=True, slots=True)
class FactorMade:
    """The only body that ever holds the secret of a second factor, in the address."""

    address: str
    facts: KeyFacts


@dataclass(frozen=True, slots=True)
class TokenMade:
    """`command` is the line to paste on the machine that joins; it holds the token's secret."""

    command: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class MemberRemoved:
    node: str


@dataclass(frozen=True, slots=True)
class NodeLog:
    """The end of a log on a machine; empty where there is none."""

    text: str


@dataclass(frozen=True, slots=True)
class DoubtsNoted:
    count: int


@dataclass(frozen=True, slots=True)
class DemandNoted:
    count: int


@dataclass(frozen=True, slots=True)
class PseudonymRevealed:
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class SubjectErased:
    """`pseudonym` is what records say, and what nobody can resolve any more."""

    pseudonym: str


@dataclass(frozen=True, slots=True)
class RefusalsNoted:
    count: int


@dataclass(frozen=True, slots=True)
class SignInsNoted:
    count: int


@dataclass(frozen=True, slots=True)
class SightingsNoted:
    count: int


@dataclass(frozen=True, slots=True)
class DocumentsNoted:
    count: int


@dataclass(frozen=True, slots=True)
class AuditStanding:
    """`trouble`: why nothing can be put on record, "" where it can."""

    trouble: str


@dataclass(frozen=True, slots=True)
class AuditCopy:
    """What one member keeps of the audit's checkpoints, as the documents it was given; `problem` if it did not say."""

    member: str
    documents: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AuditCopyList:
    copies: tuple[AuditCopy, ...]


@dataclass(frozen=True, slots=True)
class PrivacyAnswer:
    """What the head holds of somebody, hands over, or has erased: `count` of all together."""

    count: int
    holdings: tuple[Holding, ...] = ()
    pieces: tuple[Piece, ...] = ()
