"""Following the head: a screen that stays current, lines for a pipe, JSON documents, or waiting for one event."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from time import strftime

import msgspec

from cli.changes import changes
from cli.output import API_VERSION, data, talk
from cli.render_nodes import find_node
from cluster.admin_client import AdminClient, HeadUnreachableError
from cluster.snapshot import ClusterSnapshot

AGAIN_S = 1.0


class StillDrainingError(Exception):
    """The machine is not empty yet, and goes on draining. The command prints what is left and exits 7."""

    def __init__(self, name: str, timeout_s: float, reason: str) -> None:
        super().__init__(f"{name} is not empty after {timeout_s:g} s ({reason}); it goes on draining")
        self.name = name


async def watch_lines(admin: AdminClient) -> None:
    """A line for each change, with the time it was seen."""
    before: ClusterSnapshot | None = None
    async for snapshot in _snapshots(admin):
        for line in changes(before, snapshot):
            data(f"{strftime('%H:%M:%S')} {line}")
        before = snapshot


async def watch_json(admin: AdminClient) -> None:
    """One document a line, whenever something changed its state."""
    before: ClusterSnapshot | None = None
    async for snapshot in _snapshots(admin):
        if any(changes(before, snapshot)):
            document = {"apiVersion": API_VERSION, "kind": "Status", "cluster": msgspec.to_builtins(snapshot)}
            data(json.dumps(document, ensure_ascii=False))
        before = snapshot


async def wait_until_empty(admin: AdminClient, name: str, timeout_s: float, tell: Callable[[str], None]) -> None:
    """Returns when nothing runs on a machine that is being drained. Raises StillDrainingError, NodeNotFoundError."""
    reason = "the head has not looked yet"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            async for snapshot in _snapshots(admin):
                node = find_node(snapshot, name)
                left = node.snapshot.engines if node.snapshot else ()
                if node.duty == "drain" and node.state == "cordoned" and not left:
                    return
                told = f"{name}: {node.state}" + "".join(f"; {one.engine_id} is {one.state}" for one in left)
                if told != reason:
                    tell(told)
                reason = told
    raise StillDrainingError(name, timeout_s, reason)


async def _snapshots(admin: AdminClient) -> AsyncIterator[ClusterSnapshot]:
    """Each one that is published. A head that goes away is waited for once it has been seen."""
    seen = False
    while True:
        try:
            async for publication in admin.watch():
                if publication.cluster is not None:
                    seen = True
                    yield publication.cluster
        except HeadUnreachableError as error:
            if not seen:
                raise
            talk(f"{error.reason}; waiting for the head")
        await asyncio.sleep(AGAIN_S)
