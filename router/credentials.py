"""The gateway's identity towards nodes: its certificate, which the head renews, and the nodes it no longer accepts."""

import ssl
from pathlib import Path

from cluster.snapshot import AccessSnapshot
from nodes.identity import IdentityFiles
from nodes.relay.pools import Pools
from nodes.tls_contexts import ReloadingContext


class GatewayCredentials:
    """Implements nodes.relay.contract.Credentials."""

    def __init__(self, identity_dir: Path) -> None:
        self._context = ReloadingContext(IdentityFiles.at(identity_dir, "gateway"))
        self._revoked: frozenset[str] = frozenset()

    def context(self) -> ssl.SSLContext:
        return self._context.current()

    def denies(self, serial: str) -> bool:
        return serial in self._revoked

    def follow(self, access: AccessSnapshot, pools: Pools) -> None:
        """Cut connections to nodes whose certificate has been revoked since."""
        revoked = frozenset(access.revoked)
        if revoked != self._revoked:
            self._revoked = revoked
            pools.drop_denied()
