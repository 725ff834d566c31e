"""The bodies of the node API, /node/v1, shared by its server and its client."""

from dataclasses import dataclass
from typing import Literal

from nodes.orders import Authority, EngineSpec, PullOrder

PROTOCOL_MINIMUM, PROTOCOL_MAXIMUM = 1, 1
PREFIX = "/node/v1"

ErrorCode = Literal["stale_order", "unknown_engine", "cannot_launch", "bad_option", "bad_request", "not_found"]


@dataclass(frozen=True, slots=True)
class ProtocolRange:
    """Which versions of this API a node speaks; a client uses the highest that both do."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class EnsureEngine:
    spec: EngineSpec
    authority: Authority


@dataclass(frozen=True, slots=True)
class OrderBody:
    """Every other order: who gives it."""

    authority: Authority


@dataclass(frozen=True, slots=True)
class PullModel:
    """Copy an artifact from another node, unless it is here. Progress is in the node's snapshot."""

    order: PullOrder
    authority: Authority


@dataclass(frozen=True, slots=True)
class ShutdownBody:
    engines: Literal["stop", "leave"]


@dataclass(frozen=True, slots=True)
class TrustBody:
    """Certificates that are refused from now on, by serial. A lower revision than the known one changes nothing."""

    revision: int
    revoked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RayOrder:
    """How a machine takes part in the cluster's Ray. `python` and `ray` are the head's versions."""

    head_host: str
    address: str  # of the machine, as the others reach it
    port: int  # first of Ray's ports
    token: str
    python: str
    ray: str


@dataclass(frozen=True, slots=True)
class RayBody:
    """Without an order the machine takes no part, and a raylet that runs ends."""

    order: RayOrder | None
    authority: Authority


@dataclass(frozen=True, slots=True)
class RayStanding:
    """`reason`: why the machine takes no part."""

    takes_part: bool
    reason: str


@dataclass(frozen=True, slots=True)
class SealedOrder:
    """Whether the cluster is sealed, and what its machines may reach then: networks, and hosts by address or name."""

    sealed: bool
    networks: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SealedBody:
    order: SealedOrder
    authority: Authority


@dataclass(frozen=True, slots=True)
class CheckpointsBody:
    """Signed checkpoints of the head's audit, as texts that only the head reads. A member keeps them for it."""

    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of a log; empty where there is none."""

    text: str


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ErrorBody:
    error: ErrorDetail
