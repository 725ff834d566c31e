"""Who may order this node about: the highest controller epoch it has seen, on disk."""

from pathlib import Path

import msgspec

from inventory.secret_files import write_secret
from nodes.orders import Authority, StaleOrderError


class EpochGuard:
    """Refuses orders of a controller that has been replaced, also across restarts of this daemon."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)

    def admit(self, authority: Authority) -> None:
        """Raises StaleOrderError for an epoch below the highest seen; otherwise remembers it."""
        if authority.epoch < self._known.epoch:
            raise StaleOrderError(authority, self._known)
        if authority.epoch > self._known.epoch:
            write_secret(self._path, msgspec.json.encode(authority).decode())
            self._known = authority


def _read(path: Path) -> Authority:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Authority)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Authority(epoch=0, config_revision=0)
