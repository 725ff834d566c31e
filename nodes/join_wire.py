"""The bodies of the join listener, /join/v1, shared by the head that serves it and the machines that call it."""

from dataclasses import dataclass
from typing import Literal

from inventory.catalog import ArtifactFormat
from nodes.orders import PullOrder

PREFIX = "/join/v1"
HEAD_NAME = "head"  # of the controller's certificate

RefusalCode = Literal[
    "unknown_token",
    "used_token",
    "expired_token",
    "wrong_name",
    "replayed",
    "too_many_tries",
    "bad_request",
    "not_a_member",
    "already_member",
    "audit_unavailable",
]


@dataclass(frozen=True, slots=True)
class HelloBody:
    """A joiner asks for a nonce. The token's id is no secret."""

    token_id: str


@dataclass(frozen=True, slots=True)
class Nonce:
    nonce: str  # hexadecimal; good for one try within a minute


@dataclass(frozen=True, slots=True)
class JoinBody:
    """`proof` shows knowledge of the token's secret over everything else in here; the secret itself is never sent."""

    token_id: str
    nonce: str
    node: str  # the name the machine thinks it has, or "" to take the token's
    port: int  # of its TLS port
    host: str  # where others reach it, or "" for the address that the head sees
    request_pem: str
    proof: str  # hexadecimal


@dataclass(frozen=True, slots=True)
class Joined:
    """`wall_s` is the head's clock; versions are the head's."""

    cluster: str
    node: str
    certificate_pem: str
    wall_s: float
    python: str
    potluck: str
    ray: str  # "" where it is not installed


@dataclass(frozen=True, slots=True)
class RenewBody:
    request_pem: str


@dataclass(frozen=True, slots=True)
class Renewed:
    certificate_pem: str


@dataclass(frozen=True, slots=True)
class ReportBody:
    """A member that started, or whose address may have changed: where it listens now."""

    port: int
    host: str


@dataclass(frozen=True, slots=True)
class Reported:
    """What the head thinks of the member: a state of cluster.snapshot.NodeView, or "unknown" before its first look."""

    state: str
    reason: str
    host: str = ""  # where it reaches the member, which the member's certificate should name


@dataclass(frozen=True, slots=True)
class OffersBody:
    """A member looks for a model, by its name or, where `source` is given, by where it came from."""

    name: str
    source: str = ""
    formats: tuple[ArtifactFormat, ...] = ()  # none: any


@dataclass(frozen=True, slots=True)
class Offers:
    """An order for each artifact that some machine of the cluster can give. Empty where none can."""

    orders: tuple[PullOrder, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RefusalBody:
    error: Refusal
