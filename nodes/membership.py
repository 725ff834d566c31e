"""What a machine remembers of having joined: which cluster, where its head is, and where its own TLS port listens."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from inventory.secret_files import write_secret
from nodes.snapshot import NodeId

NODE_PORT = 8402


@dataclass(frozen=True, slots=True)
class Membership:
    """Written once, by `potluck join`. The identity beside it is what counts; this says how to use it."""

    cluster: str
    node_id: NodeId
    head_host: str
    join_port: int
    host: str  # where others reach this machine, or "" for the address that the head sees
    listen_host: str
    listen_port: int


def membership_file(identity_dir: Path) -> Path:
    return identity_dir / "membership.json"


def read_membership(identity_dir: Path) -> Membership | None:
    """None on a machine that has not joined a cluster. Raises msgspec.MsgspecError for a file that is damaged."""
    try:
        return msgspec.json.decode(membership_file(identity_dir).read_bytes(), type=Membership)
    except FileNotFoundError:
        return None


def write_membership(identity_dir: Path, membership: Membership) -> None:
    write_secret(membership_file(identity_dir), msgspec.json.encode(membership).decode())
