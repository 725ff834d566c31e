"""Stores, their files and what was found in them, as the objects that clients know. Pure."""

from collections.abc import Mapping, Sequence

from msgspec import UNSET, UnsetType

from cluster.grants import may_change, may_read, may_share
from cluster.knowledge import (
    Counts,
    Difference,
    FileStatus,
    FileVersion,
    Folder,
    FoundChunk,
    History,
    Reader,
    Store,
    StoreFile,
)
from cluster.moments import DAY_S
from router.knowledge.objects import (
    DifferenceObject,
    FileBatchObject,
    FileCounts,
    FileMore,
    FileProblem,
    FolderObject,
    HitMore,
    LastError,
    Place,
    RightName,
    SearchHit,
    SearchPage,
    StoreFileObject,
    StoreMore,
    StoreObject,
    StoreStatus,
    TextPart,
    VersionObject,
)
from router.knowledge.wire import ChunkSizes, ExpiresAfter, HistoryBody, OtherChunking, StaticChunking


def store_object(store: Store, reader: Reader, now_s: float) -> StoreObject:
    """As he sees it."""
    expired = store.expires_s is not None and store.expires_s <= now_s
    reading: StoreStatus = "in_progress" if store.counts.in_progress else "completed"
    days = store.expires_after_days
    return StoreObject(
        id=store.store_id,
        created_at=int(store.made_s),
        name=store.name,
        description=store.description,
        usage_bytes=store.size_bytes,
        file_counts=file_counts(store.counts),
        status="expired" if expired else reading,
        expires_after=UNSET if days is None else ExpiresAfter("last_active_at", days),
        expires_at=None if store.expires_s is None else int(store.expires_s),
        last_active_at=int(store.used_s),
        metadata=store.metadata,
        potluck=_more(store, reader),
    )


def _history(kept: History) -> HistoryBody | UnsetType:
    if kept == History():
        return UNSET
    return HistoryBody(kept.versions, None if kept.for_s is None else kept.for_s / DAY_S)


def version_object(version: FileVersion) -> VersionObject:
    return VersionObject(
        version.number, version.made_s, version.ended_s, version.title, version.chunks, version.size_bytes,
        version.attributes,
    )  # fmt: skip


def difference_object(found: Difference) -> DifferenceObject:
    return DifferenceObject(
        filename=found.name,
        old=version_object(found.old),
        new=version_object(found.new),
        added=found.added,
        removed=found.removed,
        text=found.text,
    )


def _more(store: Store, reader: Reader) -> StoreMore:
    rights = rights_of(reader, store)
    readers = list(store.readers) if "share" in rights else None
    return StoreMore(
        store.encoder, store.data_class, list(store.owners), readers, store.licence or None, rights,
        _history(store.history), store.chunks, store.pii,
    )  # fmt: skip


def rights_of(reader: Reader, store: Store) -> list[RightName]:
    reads, changes = may_read(reader, store), may_change(reader, store)
    found: list[tuple[RightName, bool]] = [
        ("read", reads),
        ("read_whole", changes or (reads and not store.licensed)),
        ("change", changes),
        ("share", may_share(reader, store)),
    ]
    return [name for name, held in found if held]


def file_object(file: StoreFile) -> StoreFileObject:
    chunking = file.chunking
    return StoreFileObject(
        id=file.file_id,
        usage_bytes=file.size_bytes,
        created_at=int(file.made_s),
        vector_store_id=file.store_id,
        status=file.status,
        last_error=_last_error(file),
        chunking_strategy=OtherChunking()
        if chunking is None
        else StaticChunking(ChunkSizes(chunking.most_tokens, chunking.overlap_tokens)),
        attributes=file.attributes,
        potluck=FileMore(file.name, file.version, file.chunks, file.source),
    )


def _last_error(file: StoreFile) -> LastError | None:
    if file.status != "failed" and file.problem is None:
        return None
    known: Mapping[str | None, FileProblem] = {"unsupported_file": "unsupported_file", "invalid_file": "invalid_file"}
    return LastError(known.get(file.problem_code, "server_error"), file.problem or "it could not be read")


def batch_object(batch_id: str, store_id: str, counts: Counts) -> FileBatchObject:
    return FileBatchObject(
        id=batch_id,
        created_at=made_s_of(batch_id),
        vector_store_id=store_id,
        status=_status_of(counts),
        file_counts=file_counts(counts),
    )


def batch_id_at(wall_s: float, random: str) -> str:
    """It says when it was made: nothing else is kept of a batch than its files. `random`: 24 hex digits."""
    return f"vsfb_{int(wall_s):08x}{random}"


def made_s_of(batch_id: str) -> int:
    try:
        return int(batch_id.removeprefix("vsfb_")[:8], 16)
    except ValueError:
        return 0


def _status_of(counts: Counts) -> FileStatus:
    if counts.in_progress:
        return "in_progress"
    if counts.cancelled:
        return "cancelled"
    return "failed" if counts.failed and not counts.completed else "completed"


def search_page(queries: Sequence[str], found: Sequence[FoundChunk]) -> SearchPage:
    return SearchPage(search_query=list(queries), data=[_hit(chunk) for chunk in found])


def _hit(chunk: FoundChunk) -> SearchHit:
    place = Place(chunk.locator.kind, chunk.locator.value)
    return SearchHit(
        file_id=chunk.file_id,
        filename=chunk.name,
        score=chunk.score,
        attributes=chunk.attributes,
        content=[TextPart(chunk.text)],
        potluck=HitMore(chunk.version, place, chunk.relevant, chunk.reason, chunk.licence or None),
    )


def folder_object(folder: Folder) -> FolderObject:
    return FolderObject(
        id=folder.folder_id,
        vector_store_id=folder.store_id,
        path=folder.path,
        watched=folder.watched,
        file_counts=file_counts(folder.counts),
        looked_at=None if folder.looked_s is None else int(folder.looked_s),
        settled=folder.settled,
    )


def file_counts(counts: Counts) -> FileCounts:
    return FileCounts(counts.in_progress, counts.completed, counts.failed, counts.cancelled, counts.total)
