"""Who asks: an API key against the published records. Nothing but a key grants anything."""

import hashlib
import hmac
from collections.abc import Mapping

from cluster.snapshot import AccessSnapshot, KeyRecord
from router.errors import missing_key, wrong_key
from router.request import Identity

_NOBODY = "0" * 64
KEY_BYTES = 512
VERIFIED_LIMIT = 1024


class KeyRing:
    """The keys of one AccessSnapshot. Immutable: rotation is another ring, so no verdict outlives its records."""

    def __init__(self, access: AccessSnapshot, pepper: bytes) -> None:
        self._pepper = pepper
        self._verified: dict[bytes, tuple[KeyRecord, Identity]] = {}  # by authorization header; dies with the ring
        self._records: Mapping[str, tuple[KeyRecord, Identity]] = {
            record.key_id: (
                record,
                Identity(record.key_id, record.tenant, record.group, record.role, record.data_class),
            )
            for record in access.keys
        }

    def identify(self, authorization: bytes | None, x_api_key: bytes | None, wall_s: float) -> Identity:
        """Who this is. Raises ApiError 401.

        A header that was verified before is found by one look-up; Python hashes it with a secret seed, so the time
        taken says nothing about any key. Expiry is checked every time.
        """
        entry = self._verified.get(authorization) if authorization is not None else None
        if entry is None:
            entry = self._verify(presented_key(authorization, x_api_key))
            if authorization is not None:
                if len(self._verified) >= VERIFIED_LIMIT:
                    self._verified.clear()
                self._verified[authorization] = entry
        record, identity = entry
        if record.expires_s is not None and wall_s >= record.expires_s:
            raise wrong_key()
        return identity

    def _verify(self, key: bytes) -> tuple[KeyRecord, Identity]:
        """Look up by the id in the key, compare digests in constant time.

        The digest is computed for an unknown id too, so that the time taken does not tell which ids exist.
        """
        entry = self._records.get(_key_id(key))
        digest = hmac.digest(self._pepper, key, hashlib.sha256).hex()
        right = hmac.compare_digest(digest, entry[0].digest_hex if entry else _NOBODY)
        if entry is None or not right:
            raise wrong_key()
        return entry


def presented_key(authorization: bytes | None, x_api_key: bytes | None) -> bytes:
    """The key of a request. Raises ApiError 401 where there is none, or one in an unknown scheme."""
    if authorization is not None:
        scheme, _, key = authorization.partition(b" ")
        key = key.strip()
        if scheme.lower() != b"bearer" or not key or len(key) > KEY_BYTES:
            raise wrong_key()
        return key
    if not x_api_key:
        raise missing_key()
    if len(x_api_key) > KEY_BYTES:
        raise wrong_key()
    return x_api_key.strip()


def _key_id(key: bytes) -> str:
    """The middle of `pl_<id>_<secret>`; the secret may hold underscores, the id may not."""
    prefix, _, rest = key.partition(b"_")
    if prefix != b"pl":
        return ""
    return rest.partition(b"_")[0].decode("ascii", "replace")
