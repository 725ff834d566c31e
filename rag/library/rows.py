"""What library.db remembers of a store, a file in it and a folder, as values. Pure."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from cluster.grants import reaches
from cluster.knowledge import Attribute, Chunking, Counts, FileStatus, History, Reader, Store, StoreFile
from cluster.pii.policy import Policy
from rag.values import SpaceId

DAY_S = 86_400.0
_FILES = uuid.UUID("0d5f9f0e-6a2b-4f0e-9f0f-2b7f4f8f6c55")  # of files that are found in folders


class StoreRow(msgspec.Struct, frozen=True):
    """`reader` is who made it. Who may what of it: cluster.grants."""

    store_id: str
    tenant: str
    name: str
    description: str
    metadata: Mapping[str, str]
    encoder: str
    made_s: float
    used_s: float
    expires_after_days: int | None
    reader: Reader
    data_class: str = "private"
    owners: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    licence: str = ""
    history: History = History()
    pii: Policy | None = None

    @property
    def space_id(self) -> SpaceId:
        return SpaceId(self.tenant, self.store_id)

    @property
    def expires_s(self) -> float | None:
        return None if self.expires_after_days is None else self.used_s + self.expires_after_days * DAY_S

    def expired(self, now_s: float) -> bool:
        return self.expires_s is not None and self.expires_s <= now_s

    def shown(self, counts: Counts, size_bytes: int, chunks: int = 0) -> Store:
        return Store(
            self.store_id, self.tenant, self.name, self.description, self.metadata, self.encoder, self.made_s,
            self.used_s, counts, size_bytes, self.expires_after_days, self.expires_s, self.data_class, self.owners,
            self.readers, self.licence, self.history, self.pii, chunks,
        )  # fmt: skip


class FileRow(msgspec.Struct, frozen=True):
    """`document` is its name in the space. `asked` counts how often somebody wanted it read: an answer to an earlier
    wish changes nothing. `stamp` tells whether a file of a folder was changed since. `reader` is whose wish it was, on
    whose account its vectors are made."""

    file_id: str
    store_id: str
    tenant: str
    document: str
    name: str
    path: str
    status: FileStatus
    made_s: float
    asked: int
    asked_s: float
    reader: Reader
    attributes: Mapping[str, Attribute] = {}
    own: Mapping[str, Attribute] = {}  # what the file says of itself
    beside: Mapping[str, Attribute] = {}  # what of `attributes` was told by a table beside it, in its folder
    chunking: Chunking | None = None
    batch_id: str | None = None
    folder_id: str | None = None
    source: str | None = None
    stamp: str | None = None
    content_hash: str | None = None  # of what can be found
    failed_hash: str | None = None  # of what cannot be read, so that it is not tried again
    title: str = ""
    version: int = 0
    chunks: int = 0
    size_bytes: int = 0
    problem_code: str | None = None
    problem: str | None = None
    tries: int = 0
    next_s: float = 0.0  # wall clock; not before then

    @property
    def key(self) -> tuple[str, str]:
        return self.store_id, self.file_id

    @property
    def facts(self) -> dict[str, Attribute]:
        """By which filters know it. What people say of it goes before what it says itself."""
        return {**self.own, **self.attributes}

    def told(self, beside: Mapping[str, Attribute]) -> "FileRow":
        """As the tables in its folder have it now."""
        others = {key: value for key, value in self.attributes.items() if key not in self.beside}
        return replace(self, beside=dict(beside), attributes={**others, **beside})

    def shown(self) -> StoreFile:
        return StoreFile(
            self.file_id, self.store_id, self.name, self.status, self.made_s, self.attributes, self.size_bytes,
            self.version, self.chunks, self.problem_code, self.problem, self.batch_id, self.chunking, self.source,
        )  # fmt: skip


class FolderRow(msgspec.Struct, frozen=True):
    """`done`: a folder that is not watched, and all of which was seen."""

    folder_id: str
    store_id: str
    tenant: str
    path: str
    watched: bool
    reader: Reader
    looked_s: float | None = None
    done: bool = False


class Usual(msgspec.Struct, frozen=True):
    """A store that questions look into without being told: those to this model, or those of this key."""

    store_id: str
    tenant: str
    model: str | None
    key_id: str | None

    def meant(self, reader: Reader, model: str) -> bool:
        return reaches(self.tenant, reader) and (
            self.model == model or (self.key_id is not None and self.key_id in (reader.key_id, reader.line))
        )


def folder_file_id(store_id: str, document: str) -> str:
    """The same whenever it is found again."""
    named = f"{store_id}\x00{document}"
    return f"file-{uuid.uuid5(_FILES, named).hex}"


def counted(rows: Iterable[FileRow]) -> Counts:
    each = Counter(row.status for row in rows)
    return Counts(each["in_progress"], each["completed"], each["failed"], each["cancelled"])
