"""The bodies of the node API, /node/v1, shared by its server and its client."""

from dataclasses import dataclass
from typing import Literal

from nodes.orders import Authority, EngineSpec

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
class ShutdownBody:
    engines: Literal["stop", "leave"]


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ErrorBody:
    error: ErrorDetail
