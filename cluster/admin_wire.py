"""The admin API's bodies, shared by server and client: what crosses the head's Unix socket besides snapshots."""

from dataclasses import dataclass
from typing import Literal

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
