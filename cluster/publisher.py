"""Holds what the head published last and hands it to whoever listens: the latest at once, then every change."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from cluster.publication import Publication
from cluster.snapshot import AccessSnapshot, ClusterSnapshot

HEARTBEAT_S = 2.0


class Publisher:
    """Written by the controller, read by any number of subscribers. A slow one misses versions, never the latest."""

    def __init__(self, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._cluster: ClusterSnapshot | None = None
        self._access: AccessSnapshot | None = None
        self._heartbeat_s = heartbeat_s
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def cluster(self) -> ClusterSnapshot | None:
        return self._cluster

    @property
    def access(self) -> AccessSnapshot | None:
        return self._access

    def publish_cluster(self, snapshot: ClusterSnapshot) -> ClusterSnapshot:
        """Gives it the next sequence number of its epoch; whatever number it came with is replaced."""
        sequence = self._cluster.sequence + 1 if self._cluster else 1
        self._cluster = replace(snapshot, sequence=sequence)
        self._wake()
        return self._cluster

    def publish_access(self, snapshot: AccessSnapshot) -> AccessSnapshot:
        sequence = self._access.sequence + 1 if self._access else 1
        self._access = replace(snapshot, sequence=sequence)
        self._wake()
        return self._access

    def close(self) -> None:
        """End every subscription: the head is going."""
        self._closed = True
        self._wake()

    async def subscribe(self) -> AsyncIterator[Publication]:
        """Access before cluster, so that a gateway can check a key before it can route a request."""
        cluster: ClusterSnapshot | None = None
        access: AccessSnapshot | None = None
        while not self._closed:
            changed = self._changed
            if self._access is not access:
                access = self._access
                yield Publication(access=access)
            elif self._cluster is not cluster:
                cluster = self._cluster
                yield Publication(cluster=cluster)
            elif not await _within(changed, self._heartbeat_s):
                yield Publication()

    def _wake(self) -> None:
        """Everybody waits on the event that was current when they looked; a change sets it and starts another."""
        self._changed.set()
        self._changed = asyncio.Event()


async def _within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
