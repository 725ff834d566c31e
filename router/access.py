"""Who asks: an API key against the published records, or a token of the issuer. Nothing else grants anything."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cluster.pii.pseudonyms import key_of
from cluster.roles import granted
from cluster.snapshot import AccessSnapshot, KeyRecord
from cluster.totp import secret_of
from router.errors import expired_key, missing_key, wrong_key
from router.request import Identity

_NOBODY = "0" * 64
PREFIX = b"pl_"
PRESENTED_BYTES = 4096  # a token with a few claims has some 500
VERIFIED_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Factor:
    """What a key needs beside itself at the dashboard's login. `secret` is None where it has none yet."""

    needed: bool
    salt: str
    secret: str | None


Entry = tuple[float | None, Identity]
"""Until when, and who."""


class Tokens(Protocol):
    """What takes bearer tokens of an issuer."""

    def verify(self, token: bytes, wall_s: float) -> tuple[float, Identity]:
        """Until when it is good, and whose it is. Raises ApiError 401."""
        ...


class KeyRing:
    """The keys of one AccessSnapshot. Immutable: rotation is another ring, so no verdict outlives its records."""

    def __init__(self, access: AccessSnapshot, pepper: bytes, tokens: Tokens | None = None) -> None:
        self._pepper, self._tokens = pepper, tokens
        self._verified: dict[bytes, Entry] = {}  # by authorization header; dies with the ring
        # An issuer's tokens are all of one tenant.
        self.several_tenants = len({one.tenant for one in access.keys} | _issued(access)) > 1
        self._second_factor = frozenset(access.second_factor)
        self._salts: dict[str, bytes] = {}  # by tenant
        self._records: Mapping[str, tuple[KeyRecord, Entry]] = {
            record.key_id: (record, (record.expires_s, _identity_of(record))) for record in access.keys
        }

    def identify(self, authorization: bytes | None, x_api_key: bytes | None, wall_s: float) -> Identity:
        """Who this is. Raises ApiError 401.

        A header that was verified before is found by one look-up; Python hashes it with a secret seed, so the time
        taken says nothing about any key. Expiry is checked every time.
        """
        entry = self._verified.get(authorization) if authorization is not None else None
        if entry is None:
            entry = self._verify(presented_key(authorization, x_api_key), wall_s)
            if authorization is not None:
                if len(self._verified) >= VERIFIED_LIMIT:
                    self._verified.clear()
                self._verified[authorization] = entry
        expires_s, identity = entry
        if expires_s is not None and wall_s >= expires_s:
            raise expired_key()
        return identity

    def holder_of(self, key_id: str, wall_s: float) -> Identity | None:
        """Whoever has this key now; None of one that is revoked or has expired."""
        known = self._records.get(key_id)
        if known is None:
            return None
        expires_s, identity = known[1]
        return identity if expires_s is None or wall_s < expires_s else None

    def factor_of(self, key_id: str) -> Factor:
        """Of a key that is known."""
        record, _ = self._records[key_id]
        if record.totp is None:
            return Factor(record.role in self._second_factor, "", None)
        return Factor(True, record.totp, secret_of(self._pepper, record.totp))

    def salt_of(self, tenant: str) -> bytes:
        """32 hex digits that nobody else can tell, the same at every gateway: it keeps what engines cache of one
        tenant's prompts from another's."""
        salt = self._salts.get(tenant)
        if salt is None:
            digest = hmac.digest(self._pepper, b"cache salt of " + tenant.encode(), hashlib.sha256)
            salt = self._salts[tenant] = digest.hex()[:32].encode()
        return salt

    def pseudonym_key_of(self, tenant: str) -> bytes:
        """What pseudonyms of its values are made with."""
        return key_of(self._pepper, tenant)

    def _verify(self, key: bytes, wall_s: float) -> Entry:
        """Look up by the id in the key, compare digests in constant time. What has a key's form is never a token.

        The digest is computed for an unknown id too, so that the time taken does not tell which ids exist.
        """
        if self._tokens is not None and not key.startswith(PREFIX) and key.count(b".") == 2:
            return self._tokens.verify(key, wall_s)
        known = self._records.get(_key_id(key))
        digest = hmac.digest(self._pepper, key, hashlib.sha256).hex()
        right = hmac.compare_digest(digest, known[0].digest_hex if known else _NOBODY)
        if known is None or not right:
            raise wrong_key()
        return known[1]


def _issued(access: AccessSnapshot) -> set[str]:
    return set() if access.issuer is None else {access.issuer.tenant}


def presented_key(authorization: bytes | None, x_api_key: bytes | None) -> bytes:
    """The key of a request. Raises ApiError 401 where there is none, or one in an unknown scheme."""
    if authorization is not None:
        scheme, _, key = authorization.partition(b" ")
        key = key.strip()
        if scheme.lower() != b"bearer" or not key or len(key) > PRESENTED_BYTES:
            raise wrong_key()
        return key
    if not x_api_key:
        raise missing_key()
    if len(x_api_key) > PRESENTED_BYTES:
        raise wrong_key()
    return x_api_key.strip()


def _key_id(key: bytes) -> str:
    """The middle of `pl_<id>_<secret>`; the secret may hold underscores, the id may not."""
    prefix, _, rest = key.partition(b"_")
    if prefix != b"pl":
        return ""
    return rest.partition(b"_")[0].decode("ascii", "replace")


def _identity_of(record: KeyRecord) -> Identity:
    return Identity(
        key_id=record.key_id,
        tenant=record.tenant,
        group=record.group,
        role=record.role,
        data_class=record.data_class,
        scopes=granted(record.role, record.scopes),
        models=record.models,
        front_end=record.front_end,
        line=record.line or record.key_id,
        answers_kept_s=record.answers_kept_s,
        pii=record.pii,
    )
