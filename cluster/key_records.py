"""API keys in registry.db. A revoked key keeps its row, so that what it once used can still be told by name."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import cast

import msgspec

from cluster.limits import Limits
from cluster.pii.policy import Policy
from cluster.registry import Registry
from cluster.roles import Role, Scope
from cluster.snapshot import KeyRecord
from inventory.clock import Clock

_COLUMNS = (
    "key_id, digest_hex, role, tenant, key_group, data_class, created_s, expires_s, name, scopes, models, front_end, "
    "limits, answers_kept_s, totp, pii"
)
_scopes = msgspec.json.Decoder(tuple[Scope, ...] | None)
_models = msgspec.json.Decoder(tuple[str, ...] | None)
_limits = msgspec.json.Decoder(Limits)
_Row = tuple[
    str, str, str, str, str, str, int, int | None, str, str | None, str | None, int, str, int | None, str | None,
    str | None, int | None,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredKey:
    """`revoked_s` is None for a key that works, if it has not expired."""

    record: KeyRecord
    revoked_s: int | None


class KeyRecords:
    """Shares the head's connection to its registry. Each method is one transaction."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock

    def all(self) -> tuple[StoredKey, ...]:
        """Oldest first."""
        with self._registry.transaction() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS}, revoked_s FROM keys ORDER BY created_s, rowid").fetchall()
            lines = dict(connection.execute("SELECT key_id, line FROM key_lines").fetchall())
        found = (_stored(row) for row in rows)
        return tuple(replace(one, record=replace(one.record, line=lines.get(one.record.key_id, ""))) for one in found)

    def active(self) -> tuple[KeyRecord, ...]:
        """All that has not been revoked, by id."""
        found = [stored.record for stored in self.all() if stored.revoked_s is None]
        return tuple(sorted(found, key=lambda record: record.key_id))

    def named(self, name: str) -> KeyRecord | None:
        return next((record for record in self.active() if record.name == name), None)

    def put(self, record: KeyRecord, replaced: Collection[str] = ()) -> None:
        """Insert a key and revoke those it replaces, in one step: there is no instant with both, or with none."""
        values = (
            record.key_id, record.digest_hex, record.role, record.tenant, record.group, record.data_class,
            record.created_s, record.expires_s, record.name, _encoded(record.scopes), _encoded(record.models),
            int(record.front_end), msgspec.json.encode(record.limits).decode(), record.answers_kept_s,
            record.totp, record.pii,
        )  # fmt: skip
        with self._registry.transaction() as connection:
            connection.executemany(
                "UPDATE keys SET revoked_s = ? WHERE key_id = ?",
                [(int(self._clock.wall_s()), key_id) for key_id in replaced],
            )
            connection.execute(f"INSERT INTO keys ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)
            if record.line:
                connection.execute("INSERT INTO key_lines VALUES (?, ?)", (record.key_id, record.line))

    def limit(self, key_id: str, limits: Limits) -> None:
        with self._registry.transaction() as connection:
            values = (msgspec.json.encode(limits).decode(), key_id)
            connection.execute("UPDATE keys SET limits = ? WHERE key_id = ?", values)

    def set_totp(self, key_id: str, salt: str | None) -> None:
        with self._registry.transaction() as connection:
            connection.execute("UPDATE keys SET totp = ? WHERE key_id = ?", (salt, key_id))

    def forget_name(self, key_id: str, name: str) -> None:
        """It works no more, and only its id is left: by that its usage is summed."""
        with self._registry.transaction() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(
                "UPDATE keys SET name = ?, key_group = 'erased', revoked_s = coalesce(revoked_s, ?) WHERE key_id = ?",
                (name, int(self._clock.wall_s()), key_id),
            )

    def revoke(self, key_id: str) -> None:
        with self._registry.transaction() as connection:
            connection.execute(
                "UPDATE keys SET revoked_s = ? WHERE key_id = ? AND revoked_s IS NULL",
                (int(self._clock.wall_s()), key_id),
            )


def _stored(row: _Row) -> StoredKey:
    record = KeyRecord(
        key_id=row[0],
        digest_hex=row[1],
        role=cast("Role", row[2]),
        tenant=row[3],
        group=row[4],
        data_class=row[5],
        created_s=row[6],
        expires_s=row[7],
        name=row[8],
        scopes=None if row[9] is None else _scopes.decode(row[9]),
        models=None if row[10] is None else _models.decode(row[10]),
        front_end=bool(row[11]),
        limits=_limits.decode(row[12]),
        answers_kept_s=row[13],
        totp=row[14],
        pii=cast("Policy | None", row[15]),
    )
    return StoredKey(record, row[16])


def _encoded(values: Collection[str] | None) -> str | None:
    return None if values is None else msgspec.json.encode(values).decode()
