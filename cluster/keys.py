"""API keys: how one is made, what is stored of it, and the owner's key of this cluster.

A key is `pl_<id>_<secret>`: 256 bits of randomness, so a keyed hash is enough to store it. The plaintext of the
owner's key lies in one file, mode 0600, and nowhere else.
"""

import base64
import hashlib
import hmac
import secrets
from itertools import chain
from pathlib import Path

from cluster.key_order import OWNER
from cluster.key_records import KeyRecords
from cluster.private_database import files_of
from cluster.snapshot import KeyRecord
from inventory.clock import Clock
from inventory.paths import StatePaths
from inventory.secret_files import read_secret, refuse_exposed, write_secret


def new_key() -> tuple[str, str]:
    """(id, plaintext). The id holds no underscore, so a reader finds it between the first two."""
    key_id = secrets.token_hex(5)
    secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    return key_id, f"pl_{key_id}_{secret}"


def key_digest(pepper: bytes, key: str) -> str:
    """HMAC-SHA256 of the whole key. `pepper` is the text of the pepper file, without white space around it."""
    return hmac.digest(pepper, key.encode(), hashlib.sha256).hex()


def private_files(paths: StatePaths) -> tuple[Path, ...]:
    """What nobody but its owner may read, as far as it exists."""
    records = (paths.registry_db, paths.telemetry_db, paths.audit_db, paths.audit_subjects_db)
    databases = (*records, paths.cache_db, paths.batches_db, paths.library_db, paths.rag_db, paths.pseudonyms_db)
    files = (paths.pepper, paths.owner_key, paths.audit_key, *chain.from_iterable(map(files_of, databases)))
    return tuple(path for path in files if path.exists())


def check_private(paths: StatePaths) -> None:
    """Refuse secrets that others can read. Raises ExposedSecretError, which names the file and what mends it."""
    for path in private_files(paths):
        refuse_exposed(path)


def ensure_pepper(path: Path) -> bytes:
    """Read it, or make it once. Losing it makes every key worthless, and so does replacing it."""
    if not path.exists():
        write_secret(path, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    return read_secret(path).encode()


class OwnerKey:
    """The one key that may do everything here."""

    def __init__(self, paths: StatePaths, records: KeyRecords, pepper: bytes, clock: Clock) -> None:
        self._paths = paths
        self._records = records
        self._pepper = pepper
        self._clock = clock

    def ensure(self) -> bool:
        """Make the key at the first start. True if one was made.

        Also where file and registry disagree, as after a crash between their writes or a restored backup: whoever
        can write both files owns the cluster anyway, and a key that opens nothing helps nobody.
        """
        if self._paths.owner_key.exists():
            digest = key_digest(self._pepper, read_secret(self._paths.owner_key))
            if any(hmac.compare_digest(record.digest_hex, digest) for record in self._records.active()):
                return False
        self.rotate()
        return True

    def rotate(self) -> KeyRecord:
        """Replace the owner's key. The old one stops working with the next publication."""
        before = [record for record in self._records.active() if record.tenant == OWNER]
        old = tuple(record.key_id for record in before)
        key_id, key = new_key()
        record = KeyRecord(
            key_id=key_id,
            digest_hex=key_digest(self._pepper, key),
            role="admin",
            tenant=OWNER,
            group=OWNER,
            data_class="private",
            created_s=int(self._clock.wall_s()),
            name=OWNER,
            line=next((record.line or record.key_id for record in before), ""),
            totp=next((record.totp for record in before if record.totp is not None), None),
        )
        self._records.put(record, replaced=old)
        write_secret(self._paths.owner_key, f"{key}\n")
        return record
