"""Names by which clients may call this gateway, so that no web page's own name can stand for it (DNS rebinding).

An address is no name: a page that a browser loaded from somewhere can make its own name lead here, but never an address
that it does not have. What a reverse proxy or a container calls this machine stands in cluster.yaml.
"""

import ipaddress
import socket
from collections.abc import Iterable
from fnmatch import fnmatchcase

USUAL = ("localhost", "*.localhost", "host.docker.internal", "host.containers.internal")
KNOWN_LIMIT = 256


class HostNames:
    """Remembers what it has allowed, as the same few are asked for with every request."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        """`more` may begin with `*.`"""
        own = socket.gethostname().lower()
        self._patterns = (*USUAL, own, f"{own}.*", f"{own.partition('.')[0]}.local", *(name.lower() for name in more))
        self._known: set[bytes] = set()

    def allows(self, host: bytes) -> bool:
        """`host` as its header says it, with or without a port."""
        if host in self._known:
            return True
        name = _name_in(host.decode("latin-1").strip().lower())
        if name is None or not (_is_address(name) or any(fnmatchcase(name, pattern) for pattern in self._patterns)):
            return False
        if len(self._known) < KNOWN_LIMIT:
            self._known.add(host)
        return True


def _name_in(host: str) -> str | None:
    """Without its port; None for what is no host."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, bracket, port = host.partition(":")
    if not name or (port and not port.isdigit()) or (host.startswith("[") and not bracket):
        return None
    return name.removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
