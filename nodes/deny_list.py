"""Certificates that this machine no longer accepts, as the head handed them over. Kept on disk across restarts."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from inventory.secret_files import write_secret
from nodes.api_wire import TrustBody


class DenyList:
    """Serials only: a name may come back with another certificate."""

    def __init__(self, identity_dir: Path) -> None:
        self._path = identity_dir / "denied.json"
        self._body = _read(self._path)
        self._serials = frozenset(self._body.revoked)
        self._followers: list[Callable[[], None]] = []

    def on_change(self, follower: Callable[[], None]) -> None:
        """Call `follower` after each change, to drop connections that are open."""
        self._followers.append(follower)

    def __contains__(self, serial: str) -> bool:
        return serial in self._serials

    def replace(self, body: TrustBody) -> None:
        """Ignored if older than what is known, so that a late message cannot let anybody back in."""
        if body.revision <= self._body.revision:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(self._path, msgspec.json.encode(body).decode())
        self._body = body
        self._serials = frozenset(body.revoked)
        for follower in self._followers:
            follower()


def _read(path: Path) -> TrustBody:
    try:
        return msgspec.json.decode(path.read_bytes(), type=TrustBody)
    except (FileNotFoundError, msgspec.MsgspecError):
        return TrustBody(revision=0, revoked=())
