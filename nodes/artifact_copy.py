"""Copy an artifact from another node: over mutual TLS, resumable, every byte checked against the artifact's id.

What arrived stays below the store's downloads when a copy ends early, and the next one goes on from there. A holder
that lies, or dies, is left for the next one.
"""

import shutil
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx2
import msgspec
import structlog

from inventory.catalog import ArtifactFile, StoredModel
from inventory.disk_space import require_room
from inventory.fetch import Fetch, FetchError, fetch, present_bytes
from inventory.incoming import HashMismatchError, Incoming
from inventory.model_error import ModelFileError
from inventory.model_files import UnusableModelError
from inventory.store import ModelStore, NameTakenError, Origin
from inventory.store_files import exclusive
from inventory.store_records import artifact_id_of, checked_name
from nodes.artifact_wire import ArtifactManifest, file_path, manifest_path
from nodes.join_wire import HEAD_NAME
from nodes.orders import ArtifactHolder, PullOrder
from nodes.peer import peer_host
from nodes.snapshot import NodeId

MANIFEST_LIMIT_BYTES = 8 * 1024 * 1024

_Parts = Sequence[tuple[ArtifactFile, Path]]  # each file, and where it arrives

log = structlog.get_logger("potluck.node.copy")


class NoHolderGaveItError(Exception):
    """Nobody who was asked gave the artifact. What arrived is kept; the same order goes on from there."""

    def __init__(self, order: PullOrder, problems: Sequence[tuple[NodeId, str]]) -> None:
        told = "; ".join(f"{node}: {reason}" for node, reason in problems) or "no node was named that holds it"
        super().__init__(f"{order.name} ({order.artifact_id[:12]}) could not be copied: {told}")
        self.order, self.problems = order, tuple(problems)


class _BadHolderError(Exception):
    """This holder is of no use. The next one is asked."""


class CopyWatcher(Protocol):
    """Hears how a copy goes, in the thread that copies. What it raises ends the copy; what arrived is kept."""

    def asking(self, node: NodeId) -> None: ...

    def moved(self, done_bytes: int, total_bytes: int) -> None: ...

    def checked(self, done_bytes: int, total_bytes: int | None) -> None:
        """All bytes are here, and are hashed."""
        ...


@dataclass(frozen=True, slots=True)
class CopyTimes:
    """`attempts` in a row without a single new byte leave a holder; `retry_wait_s` lies between them."""

    timeout_s: float = 15.0
    attempts: int = 3
    retry_wait_s: float = 1.0


def copy_artifact(
    store: ModelStore,
    order: PullOrder,
    context: Callable[[], ssl.SSLContext],
    watcher: CopyWatcher,
    times: CopyTimes = CopyTimes(),
) -> StoredModel:
    """The artifact under the order's name, from this store or else from the first holder that gives it.

    Raises NoHolderGaveItError, and what the store raises: NameTakenError, InvalidNameError, DiskFullError,
    ModelFileError, OSError.
    """
    name = checked_name(order.name)
    present = store.find(name, order.format)
    if present is not None and present.artifact.artifact_id != order.artifact_id:
        raise NameTakenError(name, present.artifact.artifact_id)  # before gigabytes are copied in vain
    if present is not None:
        return present
    twin = store.by_artifact(order.artifact_id)
    if twin is not None:
        return _under_another_name(store, twin, name, watcher)
    store.downloads.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive(store.downloads / f".copy-{order.artifact_id}.lock"):
        return _Copy(store, order, context(), watcher, times).from_any()


def _under_another_name(store: ModelStore, twin: StoredModel, name: str, watcher: CopyWatcher) -> StoredModel:
    paths = store.files(twin.artifact.artifact_id)
    files = [
        Incoming(path.resolve(), file.path, file.role, file.sha256)
        for path, file in zip(paths, twin.artifact.files, strict=True)
    ]
    return store.admit(files, Origin(twin.artifact.source, twin.artifact.revision), name, watcher.checked)


@dataclass(frozen=True, slots=True)
class _Copy:
    """One artifact on its way."""

    store: ModelStore
    order: PullOrder
    context: ssl.SSLContext
    watcher: CopyWatcher
    times: CopyTimes

    @property
    def directory(self) -> Path:
        return self.store.downloads / f"copy-{self.order.artifact_id}"

    def from_any(self) -> StoredModel:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        problems: list[tuple[NodeId, str]] = []
        for holder in self.order.holders:
            try:
                model = self._from_holder(holder)
            except _BadHolderError as error:
                log.warning("holder_left", model=self.order.name, holder=holder.node, reason=str(error))
                problems.append((holder.node, str(error)))
            except (ModelFileError, UnusableModelError):  # the bytes are right, and of no use here
                shutil.rmtree(self.directory, ignore_errors=True)
                raise
            else:
                shutil.rmtree(self.directory, ignore_errors=True)
                log.info("artifact_copied", model=self.order.name, holder=holder.node, artifact=self.order.artifact_id)
                return model
        raise NoHolderGaveItError(self.order, problems)

    def _from_holder(self, holder: ArtifactHolder) -> StoredModel:
        self.watcher.asking(holder.node)
        with _client(holder, self.context, self.times) as client:
            manifest = self._manifest(client)
            parts = [(file, self.directory / f"{number:05d}") for number, file in enumerate(manifest.files)]
            arrived = {file.path: present_bytes(target, file.size_bytes) for file, target in parts}
            missing = sum(file.size_bytes for file in manifest.files) - sum(arrived.values())
            require_room(self.store.root, missing, self.store.free_bytes())
            others = {path for path, size in arrived.items() if size}  # brought in before: it may not be to blame
            while True:
                self._fetch(client, parts)
                try:
                    return self._admit(manifest, parts)
                except HashMismatchError as error:
                    next(target for file, target in parts if file.path == error.file).unlink()
                    if error.file not in others:
                        raise _BadHolderError(f"it gave other bytes of {error.file} than it should") from error
                    others.discard(error.file)

    def _manifest(self, client: httpx2.Client) -> ArtifactManifest:
        content = b""
        try:
            with client.stream("GET", manifest_path(self.order.artifact_id)) as response:
                if response.status_code != httpx2.codes.OK:
                    raise _BadHolderError(f"it answered with HTTP status {response.status_code}")
                for piece in response.iter_raw():
                    content += piece
                    if len(content) > MANIFEST_LIMIT_BYTES:
                        raise _BadHolderError("its manifest has no end")
            manifest = msgspec.json.decode(content, type=ArtifactManifest)
        except httpx2.HTTPError as error:
            raise _BadHolderError(f"{type(error).__name__}: {error}") from error
        except msgspec.MsgspecError as error:
            raise _BadHolderError(f"its manifest cannot be read: {error}") from error
        sound = all(file.size_bytes >= 0 for file in manifest.files) and manifest.format == self.order.format
        if not sound or artifact_id_of(manifest.format, manifest.files) != self.order.artifact_id:
            raise _BadHolderError("its manifest is not that of this artifact")
        return manifest

    def _fetch(self, client: httpx2.Client, parts: _Parts) -> None:
        before, total = 0, sum(file.size_bytes for file, _ in parts)
        for number, (file, target) in enumerate(parts):
            if file.size_bytes == 0:
                target.touch()
                continue
            url = str(client.base_url.join(file_path(self.order.artifact_id, number)))
            plan = Fetch(url, target, file.size_bytes, self.times.attempts, self.times.retry_wait_s)
            try:
                fetch(client, plan, lambda done, _, before=before: self.watcher.moved(before + done, total))
            except FetchError as error:
                status = f" (HTTP status {error.status})" if error.status is not None else ""
                raise _BadHolderError(f"{error.reason}{status}") from error
            before += file.size_bytes

    def _admit(self, manifest: ArtifactManifest, parts: _Parts) -> StoredModel:
        files = [Incoming(target, file.path, file.role, file.sha256, disposable=True) for file, target in parts]
        origin = Origin(manifest.source, manifest.revision)
        return self.store.admit(files, origin, self.order.name, self.watcher.checked)


@contextmanager
def _client(holder: ArtifactHolder, context: ssl.SSLContext, times: CopyTimes) -> Iterator[httpx2.Client]:
    """Whoever answers must prove to be the node of this name."""

    expected = peer_host("controller", HEAD_NAME) if holder.is_head else peer_host("node", holder.node)

    def name_it(request: httpx2.Request) -> None:
        request.extensions = {**request.extensions, "sni_hostname": expected}

    host = f"[{holder.host}]" if ":" in holder.host else holder.host
    with httpx2.Client(
        base_url=f"https://{host}:{holder.port}",
        verify=context,
        trust_env=False,
        timeout=times.timeout_s,
        event_hooks={"request": [name_it]},
    ) as client:
        yield client
