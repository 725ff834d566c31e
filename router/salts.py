"""What keeps the prompts that engines remember of one tenant from another's: a salt each, another after an erasure."""

import hashlib
import hmac
from collections.abc import Callable


class Salts:
    """`base` tells a tenant's salt, which nobody else can tell, and which is the same at every gateway."""

    def __init__(self, base: Callable[[str], bytes]) -> None:
        self._base, self._epoch = base, b""

    def change(self, epoch: str) -> None:
        """What was kept under the salts so far is never asked for again, and makes room as it grows old."""
        self._epoch = epoch.encode()

    def of(self, tenant: str) -> bytes:
        """32 hex digits."""
        salt = self._base(tenant)
        return hmac.digest(salt, self._epoch, hashlib.sha256).hex()[:32].encode() if self._epoch else salt
