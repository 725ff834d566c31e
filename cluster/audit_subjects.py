"""Keys of the persons and addresses in the audit: one each, drawn at first sight, gone for good when it is erased.

They lie in a database of their own, so that a copy of audit.db tells nobody who was meant, and so that they can be
backed up for a shorter time. Erasing overwrites: the file keeps no deleted page, and its log is emptied.
"""

import base64
import secrets
import sqlite3
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cluster.audit_records import AuditRecord, Personal, Sealed, text_of
from cluster.private_cleaning import clean
from cluster.private_database import open_private, refuse_exposed_database

NONCE_BYTES = 12
CREATE = """
CREATE TABLE IF NOT EXISTS subjects (
    subject TEXT PRIMARY KEY, pseudonym TEXT NOT NULL UNIQUE, secret BLOB NOT NULL
) STRICT;
"""


class SubjectKeys:
    """Used by the audit's writer; the CLI opens it to read. Raises sqlite3.Error where the disk fails."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> "SubjectKeys":
        """Raises ExposedSecretError, OSError."""
        refuse_exposed_database(path)
        connection = open_private(path)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(CREATE)
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def close(self) -> None:
        self._connection.close()

    def seal(self, personal: Personal, sequence: int) -> Sealed:
        """The key is on disk before anything is sealed with it."""
        pseudonym, secret = self._key_of(text_of(personal.subject))
        cipher, sealed = AESGCM(secret), []
        for name, value in personal.fields:
            nonce = secrets.token_bytes(NONCE_BYTES)
            content = cipher.encrypt(nonce, text_of(value).encode(), _bound(sequence, name))
            sealed.append((name, base64.b64encode(nonce + content).decode()))
        return Sealed(pseudonym, tuple(sealed))

    def unseal(self, record: AuditRecord) -> tuple[tuple[str, str], ...]:
        """The personal fields of a record, "erased" where their key is gone."""
        sealed = record.sealed
        if sealed is None:
            return ()
        row = self._connection.execute("SELECT secret FROM subjects WHERE pseudonym = ?", (sealed.subject,)).fetchone()
        return tuple(
            (name, _opened(bytes(row[0]), content, record.sequence, name) if row else "erased")
            for name, content in sealed.fields
        )

    def subjects(self) -> list[str]:
        return [subject for (subject,) in self._connection.execute("SELECT subject FROM subjects")]

    def clean(self) -> None:
        """No byte of what was erased is left. Raises NotCleanError."""
        clean(self._connection, "audit-subjects.db")

    def pseudonym(self, subject: str) -> str | None:
        row = self._connection.execute("SELECT pseudonym FROM subjects WHERE subject = ?", (subject,)).fetchone()
        return row[0] if row else None

    def erase(self, subject: str) -> str | None:
        """Forget the key. Returns the pseudonym that nobody can resolve any more; None if there was no such subject."""
        row = self._connection.execute(
            "DELETE FROM subjects WHERE subject = ? RETURNING pseudonym", (subject,)
        ).fetchone()
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return row[0] if row else None

    def _key_of(self, subject: str) -> tuple[str, bytes]:
        found = "SELECT pseudonym, secret FROM subjects WHERE subject = ?"
        row = self._connection.execute(found, (subject,)).fetchone()
        if row is None:
            row = (secrets.token_hex(8), secrets.token_bytes(32))
            self._connection.execute("INSERT INTO subjects VALUES (?, ?, ?)", (subject, *row))
        return row[0], bytes(row[1])


def _bound(sequence: int, name: str) -> bytes:
    """What a ciphertext is tied to: it opens in no other record and under no other name."""
    return f"{sequence}:{name}".encode()


def _opened(secret: bytes, content: str, sequence: int, name: str) -> str:
    try:
        raw = base64.b64decode(content, validate=True)
        return AESGCM(secret).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(sequence, name)).decode()
    except (InvalidTag, ValueError):
        return "damaged"
