"""The head's publications over its Unix socket: followed with back-off, remembered on disk, served without the head."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import httpx2
import msgspec

from cluster.publication import Publication, decode_line
from cluster.snapshot import AccessSnapshot, ClusterSnapshot
from inventory.paths import StatePaths
from inventory.secret_files import ExposedSecretError, write_secret
from nodes.unix_server import unix_client
from router.log import EventLog
from router.view import GatewayView

WATCH_PATH = "/api/v1/watch"
SILENCE_LIMIT_S = 15.0  # the head sends a heartbeat more often than that
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
SAVE_EVERY_S = 1.0

Snapshot = TypeVar("Snapshot", ClusterSnapshot, AccessSnapshot)


class SnapshotFeed:
    """Fills the view. `load` first, then `run` until cancelled."""

    def __init__(self, paths: StatePaths, view: GatewayView, log: EventLog) -> None:
        self._socket = paths.head_socket
        self._cluster_file = paths.gateway / "cluster.json"
        self._access_file = paths.gateway / "access.json"
        self._view, self._log = view, log
        self._unsaved = asyncio.Event()
        self._saved: tuple[object, object] = (None, None)

    def load(self) -> None:
        """What an earlier gateway knew last. A file that cannot be read is as good as none."""
        access = _read(self._access_file, AccessSnapshot)
        if access is not None:
            self._install_access(access)
        cluster = _read(self._cluster_file, ClusterSnapshot)
        if cluster is not None:
            self._view.install_cluster(cluster)
        self._saved = (self._view.cluster, self._view.access)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._save_changes())
            await self._follow_for_ever()

    async def _follow_for_ever(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            heard = False
            try:
                async for publication in self._publications():
                    heard = True
                    self._take(publication)
                reason = "the head closed the feed"
            except (httpx2.HTTPError, OSError, msgspec.DecodeError) as error:
                reason = f"{type(error).__name__}: {error}"
            wait_s = FIRST_WAIT_S if heard else min(LONGEST_WAIT_S, 2 * wait_s)
            if heard:
                self._log.emit("feed_lost", reason=reason, wait_s=wait_s)
            await asyncio.sleep(wait_s)

    async def _publications(self) -> AsyncIterator[Publication]:
        async with (
            unix_client(self._socket, SILENCE_LIMIT_S) as client,
            client.stream("GET", WATCH_PATH) as response,
        ):
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line:
                    yield decode_line(line.encode())

    def _take(self, publication: Publication) -> None:
        self._view.heard()
        changed = False
        if publication.access is not None:
            changed |= self._install_access(publication.access)
        if publication.cluster is not None:
            changed |= self._view.install_cluster(publication.cluster)
        if changed:
            self._unsaved.set()

    def _install_access(self, access: AccessSnapshot) -> bool:
        try:
            return self._view.install_access(access)
        except (OSError, ExposedSecretError) as error:
            self._log.emit("pepper_unreadable", error=str(error))
            return False

    async def _save_changes(self) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            try:
                await asyncio.to_thread(self._save)
            except OSError as error:
                self._log.emit("snapshot_not_saved", error=str(error))
            await asyncio.sleep(SAVE_EVERY_S)

    def _save(self) -> None:
        saved_cluster, saved_access = self._saved
        cluster, access = self._view.cluster, self._view.access
        if cluster is not saved_cluster:
            write_secret(self._cluster_file, msgspec.json.encode(cluster).decode())
        if access is not saved_access:
            write_secret(self._access_file, msgspec.json.encode(access).decode())
        self._saved = (cluster, access)


def _read(path: Path, kind: type[Snapshot]) -> Snapshot | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
