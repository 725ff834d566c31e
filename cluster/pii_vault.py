"""What pseudonyms of documents stand for: a file that only its owner can read, and in it nothing that reads without a
key of the cluster.

Each value is sealed under a key of its tenant and bound to its pseudonym: copied to another row it opens nothing.
"""

import hashlib
import hmac
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cluster.pii.pseudonyms import TOKEN
from cluster.private_cleaning import clean, note
from cluster.private_database import changing, open_tables
from inventory.clock import Clock

SCHEMA = 1
_NONCE_BYTES = 12
_TABLES = """
    CREATE TABLE pseudonyms (
        tenant TEXT NOT NULL,
        token TEXT NOT NULL,
        made_s REAL NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (tenant, token)
    ) STRICT, WITHOUT ROWID
"""
_KIND = re.compile(r"\[([A-Z_]+)_[0-9a-f]+\]")


class UnknownPseudonymError(Exception):
    """Nobody here made it, or not for this tenant. The admin API answers 404 with this."""

    def __init__(self, token: str, tenant: str) -> None:
        super().__init__(
            f"{token} stands for nothing that is kept here for the tenant {tenant}; those of chats are not kept, and "
            "those of documents are kept where the gateway that read them runs"
        )


class Pseudonym(NamedTuple):
    """Of one tenant, with the value it stands for."""

    tenant: str
    token: str
    value: str
    made_s: float


class PseudonymVault:
    """Opened when it is first needed. Calls block, and may come from any thread and process."""

    def __init__(self, path: Path, key_of: Callable[[str], bytes], clock: Clock) -> None:
        self._path, self._key_of, self._clock = path, key_of, clock

    def keep(self, tenant: str, values: Mapping[str, str]) -> None:
        """On the disk when this returns. Raises sqlite3.Error, OSError, ExposedSecretError."""
        seal, now_s = self._cipher(tenant), self._clock.wall_s()
        rows = [(tenant, token, now_s, _sealed(seal, tenant, token, value)) for token, value in values.items()]
        with _opened(self._path) as connection, changing(connection):
            connection.executemany("INSERT OR IGNORE INTO pseudonyms VALUES (?, ?, ?, ?)", rows)

    def reveal(self, tenant: str, token: str) -> tuple[str, str]:
        """Its kind, and the value. Raises UnknownPseudonymError, sqlite3.Error, OSError, ExposedSecretError."""
        kind = _KIND.fullmatch(token)
        if kind is None or TOKEN.fullmatch(token) is None or not self._path.exists():
            raise UnknownPseudonymError(token[:64], tenant)
        with _opened(self._path) as connection:
            row = connection.execute(
                "SELECT sealed FROM pseudonyms WHERE tenant = ? AND token = ?", (tenant, token)
            ).fetchone()
        if row is None:
            raise UnknownPseudonymError(token, tenant)
        value = _opened_value(self._cipher(tenant), tenant, token, row[0])
        if value is None:
            raise UnknownPseudonymError(token, tenant)
        return kind[1].lower(), value

    def matching(self, wanted: Callable[[str], bool]) -> tuple[Pseudonym, ...]:
        """Those whose value is wanted, of every tenant. What was sealed under a key that was replaced opens for nobody,
        and is passed over. Raises sqlite3.Error, OSError, ExposedSecretError, and whatever `key_of` raises."""
        if not self._path.exists():
            return ()
        with _opened(self._path) as connection:
            rows = connection.execute(
                "SELECT tenant, token, made_s, sealed FROM pseudonyms ORDER BY 1, 3, 2"
            ).fetchall()
        ciphers = {tenant: self._cipher(tenant) for tenant in dict.fromkeys(row[0] for row in rows)}
        opened = ((*row[:3], _opened_value(ciphers[row[0]], row[0], row[1], row[3])) for row in rows)
        return tuple(
            Pseudonym(tenant, token, value, made_s)
            for tenant, token, made_s, value in opened
            if value is not None and wanted(value)
        )

    def forget(self, found: Iterable[Pseudonym], erasure_id: str) -> None:
        """No byte of them is in the file or beside it when this returns, and the file says that it has been through the
        erasure. Raises sqlite3.Error, OSError, ExposedSecretError, NotCleanError."""
        with _opened(self._path) as connection:
            with changing(connection):
                rows = [(one.tenant, one.token) for one in found]
                connection.executemany("DELETE FROM pseudonyms WHERE tenant = ? AND token = ?", rows)
                note(connection, erasure_id)
            clean(connection, str(self._path))

    def _cipher(self, tenant: str) -> AESGCM:
        return AESGCM(hmac.digest(self._key_of(tenant), b"seal", hashlib.sha256))


def _opened(path: Path) -> AbstractContextManager[sqlite3.Connection]:
    return closing(open_tables(path, _TABLES, SCHEMA))


def _sealed(cipher: AESGCM, tenant: str, token: str, value: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, value.encode(), _bound(tenant, token))


def _opened_value(cipher: AESGCM, tenant: str, token: str, sealed: bytes) -> str | None:
    """None of what was sealed under another key, as one that was replaced."""
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound(tenant, token)).decode()
    except InvalidTag:
        return None


def _bound(tenant: str, token: str) -> bytes:
    return f"{tenant}\x00{token}".encode()
