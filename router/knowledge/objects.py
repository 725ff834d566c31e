"""What the doors to documents answer, as OpenAI's clients know it. What only potluck can say is in `potluck`, beside
their fields."""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from cluster.knowledge import Attribute, FileStatus
from cluster.pii.policy import Policy
from router.knowledge.wire import ExpiresAfter, HistoryBody, OtherChunking, StaticChunking

StoreStatus = Literal["expired", "in_progress", "completed"]
RightName = Literal["read", "read_whole", "change", "share"]
FileProblem = Literal["server_error", "unsupported_file", "invalid_file"]


class FileCounts(msgspec.Struct):
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class StoreMore(msgspec.Struct):
    """`rights`: what whoever asks may do with it; read_whole: read a document from its beginning to its end. `readers`
    is told to those who may share it, else null. `licence`: of licensed material, else null. `history`: where not every
    version is kept for good. `chunks`: that can be found. `pii`: what becomes of personal data in what is read into it;
    null: what cluster.yaml and keys say."""

    embedding_model: str
    data_class: str = "private"
    owners: list[str] = msgspec.field(default_factory=list)
    readers: list[str] | None = None
    licence: str | None = None
    rights: list[RightName] = msgspec.field(default_factory=list)
    history: HistoryBody | UnsetType = UNSET
    chunks: int = 0
    pii: Policy | None = None


class StoreObject(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str
    description: str
    usage_bytes: int
    file_counts: FileCounts
    status: StoreStatus
    expires_after: ExpiresAfter | UnsetType = UNSET
    expires_at: int | None
    last_active_at: int | None
    metadata: Mapping[str, str]
    potluck: StoreMore


class StoreList(msgspec.Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[StoreObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class StoreDeleted(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: bool = True


class LastError(msgspec.Struct):
    code: FileProblem
    message: str


class FileMore(msgspec.Struct):
    """`version`: the newest that can be found; 0: none yet. `folder`: it was read from there."""

    filename: str
    version: int
    chunks: int
    folder: str | None


class StoreFileObject(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    usage_bytes: int
    created_at: int
    vector_store_id: str
    status: FileStatus
    last_error: LastError | None
    chunking_strategy: StaticChunking | OtherChunking
    attributes: Mapping[str, Attribute]
    potluck: FileMore


class StoreFileList(msgspec.Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[StoreFileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class StoreFileDeleted(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"
    deleted: bool = True


class TextPart(msgspec.Struct):
    text: str
    type: Literal["text"] = "text"


class ContentPage(msgspec.Struct, kw_only=True):
    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: list[TextPart]
    has_more: bool = False
    next_page: str | None = None


class VersionObject(msgspec.Struct):
    """It holds from `made_at` until `ended_at`: null while it is the newest."""

    version: int
    made_at: float
    ended_at: float | None
    title: str
    chunks: int
    usage_bytes: int
    attributes: Mapping[str, Attribute]
    object: Literal["rag.version"] = "rag.version"


class VersionList(msgspec.Struct, kw_only=True):
    """The oldest first."""

    object: Literal["list"] = "list"
    data: list[VersionObject]


class DifferenceObject(msgspec.Struct, kw_only=True):
    """`text`: a unified diff of what was read, each part headed by its place; "" where nothing readable changed."""

    object: Literal["rag.difference"] = "rag.difference"
    filename: str
    old: VersionObject
    new: VersionObject
    added: int
    removed: int
    text: str


class FileBatchObject(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: FileStatus
    file_counts: FileCounts


class Place(msgspec.Struct):
    kind: str
    value: str


class HitMore(msgspec.Struct):
    """Of which version, where in it, and whether and why it counts as relevant: what is not reaches no model.
    `licence`: of licensed material, whose it is, else null."""

    version: int
    locator: Place
    relevant: bool
    reason: str
    licence: str | None = None


class SearchHit(msgspec.Struct, kw_only=True):
    file_id: str
    filename: str
    score: float
    attributes: Mapping[str, Attribute]
    content: list[TextPart]
    potluck: HitMore


class SearchPage(msgspec.Struct, kw_only=True):
    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[SearchHit]
    has_more: bool = False
    next_page: str | None = None


class FolderObject(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["rag.folder"] = "rag.folder"
    vector_store_id: str
    path: str
    watched: bool
    file_counts: FileCounts
    looked_at: int | None
    settled: bool


class FolderList(msgspec.Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[FolderObject]


class FolderDeleted(msgspec.Struct, kw_only=True):
    id: str
    object: Literal["rag.folder.deleted"] = "rag.folder.deleted"
    deleted: bool = True


class UsualObject(msgspec.Struct, kw_only=True):
    """`readers`: who may read the store now, those whose questions look into it among them."""

    object: Literal["rag.usual"] = "rag.usual"
    vector_store_id: str
    models: list[str]
    keys: list[str]
    readers: list[str] = msgspec.field(default_factory=list)
