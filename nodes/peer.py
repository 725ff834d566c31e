"""Who is at the other end of a TLS connection: a role and a name in a cluster, as its certificate says.

Every certificate of a cluster carries `potluck://CLUSTER/ROLE/NAME` as a URI, which is what a server checks, and
`NAME.ROLE.potluck` as a DNS name, so that a client's ordinary host name check is a check of role and name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

PeerRole = Literal["controller", "gateway", "node", "ca"]
SCHEME = "potluck"


class NotAPeerError(Exception):
    """A certificate of this CA that names no role of the cluster. The connection is refused."""


@dataclass(frozen=True, slots=True)
class Peer:
    cluster: str
    role: PeerRole
    name: str
    serial: str  # of the certificate, upper-case hexadecimal without leading zeros

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


def peer_uri(cluster: str, role: PeerRole, name: str) -> str:
    return f"{SCHEME}://{cluster}/{role}/{name}"


def peer_host(role: PeerRole, name: str) -> str:
    """The host name that a client expects of a peer, whatever address it dialled."""
    return f"{name}.{role}.{SCHEME}"


def serial_text(number: int) -> str:
    return f"{number:X}"


def peer_of(certificate: Mapping[str, object] | None) -> Peer:
    """From the dictionary that `getpeercert()` gives for a verified certificate. Raises NotAPeerError."""
    names = (certificate or {}).get("subjectAltName", ())
    assert isinstance(names, tuple)
    uris = [value for kind, value in names if kind == "URI"]
    if len(uris) != 1:
        raise NotAPeerError("the certificate names no role of a cluster")
    parts = urlsplit(uris[0])
    role, _, name = parts.path.removeprefix("/").partition("/")
    if parts.scheme != SCHEME or not parts.netloc or not name or "/" in name:
        raise NotAPeerError(f"{uris[0]!r} names no role of a cluster")
    for known in get_args(PeerRole):
        if role == known:
            serial = str((certificate or {}).get("serialNumber", "")).upper().lstrip("0")
            return Peer(parts.netloc, known, name, serial)
    raise NotAPeerError(f"{role!r} is not a role of a cluster")
