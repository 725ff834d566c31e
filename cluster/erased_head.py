"""What the head keeps of somebody, as an erasure meets it: names and groups of keys, the configuration's earlier
revisions, and the audit's keys, without which nobody can read again who was meant."""

from collections.abc import Iterator
from contextlib import closing

import msgspec

from cluster.audit_reading import AuditReader, NoAuditError
from cluster.audit_records import decode
from cluster.audit_subjects import SubjectKeys
from cluster.erasure import Holding, Piece, Sought
from cluster.key_order import OWNER
from cluster.key_records import KeyRecords, StoredKey
from cluster.registry import Registry
from inventory.paths import StatePaths

PLACE = "head"
ERASED = "erased"


class HeadHoldings:
    """Used by the head's own thread. Methods may raise sqlite3.Error, OSError."""

    def __init__(self, paths: StatePaths, registry: Registry, keys: KeyRecords) -> None:
        self._paths, self._registry, self._keys = paths, registry, keys

    def holds(self, sought: Sought) -> tuple[Holding, ...]:
        counts = {
            "keys": len(self._his_keys(sought)),
            "earlier configurations": len(self._registry.revisions_with(sought.names)),
            "persons in the audit": len(self._subjects(sought)),
        }
        return tuple(Holding(PLACE, what, count) for what, count in counts.items() if count)

    def export(self, sought: Sought) -> tuple[Piece, ...]:
        return tuple(self._pieces(sought))

    def erase(self, sought: Sought) -> tuple[Holding, ...]:
        held = self.holds(sought)
        subjects = SubjectKeys.open(self._paths.audit_subjects_db)
        try:
            for subject in self._subjects(sought):
                subjects.erase(subject)
            subjects.clean()
        finally:
            subjects.close()
        for stored in self._his_keys(sought):
            self._keys.forget_name(stored.record.key_id, f"{ERASED}-{stored.record.key_id}")
        for revision in self._registry.revisions_with(sought.names):
            self._registry.forget_revision(revision)
        self._registry.clean(sought.erasure_id)
        return held

    def _his_keys(self, sought: Sought) -> list[StoredKey]:
        """The owner's key stays: without it nobody could use what is left."""
        return [
            stored
            for stored in self._keys.all()
            if (record := stored.record).name != OWNER and not record.name.startswith(f"{ERASED}-")
            and (sought.is_person(record.key_id, None) or sought.is_person(record.name, record.name)
                 or sought.names(record.name) or sought.names(record.group))
        ]  # fmt: skip

    def _subjects(self, sought: Sought) -> list[str]:
        if not self._paths.audit_subjects_db.exists():
            return []
        keys = SubjectKeys.open(self._paths.audit_subjects_db)
        try:
            return [one for one in keys.subjects() if _is_his(one, sought)]
        finally:
            keys.close()

    def _pieces(self, sought: Sought) -> Iterator[Piece]:
        found = [msgspec.to_builtins(stored.record) for stored in self._his_keys(sought)]
        if found:
            told = [{key: value for key, value in one.items() if key not in ("digest_hex", "totp")} for one in found]
            yield Piece(f"{PLACE}/keys.json", _json(told))
        records = self._records(set(self._subjects(sought)))
        if records:
            yield Piece(f"{PLACE}/audit.json", _json(records))
        for revision in self._registry.revisions_with(sought.names):
            yield Piece(f"{PLACE}/configuration-{revision}.yaml", self._registry.revision_text(revision).encode())

    def _records(self, subjects: set[str]) -> list[dict[str, object]]:
        """What the audit says of them, its sealed fields opened."""
        if not subjects:
            return []
        keys = SubjectKeys.open(self._paths.audit_subjects_db)
        try:
            pseudonyms = {keys.pseudonym(one) for one in subjects}
            with closing(AuditReader.open(self._paths.audit_db)) as reader:
                return [
                    {**msgspec.to_builtins(record), "sealed": dict(keys.unseal(record))}
                    for record in (decode(link.body) for link in reader.links())
                    if record.sealed is not None and record.sealed.subject in pseudonyms
                ]
        except NoAuditError:
            return []
        finally:
            keys.close()


def _is_his(subject: str, sought: Sought) -> bool:
    """`key:NAME`, `subject:NAME`, `address:…`."""
    _, _, name = subject.partition(":")
    return sought.is_person(name, name) or sought.names(name)


def _json(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=1)
