"""Access to documents, put on record at the head: those that come together in one request, and none goes on without."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.audit_documents import DocumentDeed
from cluster.knowledge import KnowledgeError

AT_ONCE = 128
MOST_WAITING = 10_000


class Recorder(Protocol):
    async def keep(self, deeds: Sequence[DocumentDeed]) -> None:
        """Returns once they are on record. Raises KnowledgeError where they cannot be: then nothing is done or told."""
        ...


def unrecorded(why: str) -> KnowledgeError:
    message = f"every access to documents is put on record, and that cannot be done: {why}"
    return KnowledgeError("not_ready", "audit_unavailable", message)


class HeadRecorder:
    """Implements Recorder. While one request is on its way, what else comes waits for the next."""

    def __init__(self, head: AdminClient) -> None:
        self._head = head
        self._waiting: deque[tuple[DocumentDeed, asyncio.Future[None]]] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def keep(self, deeds: Sequence[DocumentDeed]) -> None:
        if len(self._waiting) + len(deeds) > MOST_WAITING:
            raise unrecorded("too many wait for it")
        loop = asyncio.get_running_loop()
        written = [loop.create_future() for _ in deeds]
        self._waiting.extend(zip(deeds, written, strict=True))
        if self._sending is None or self._sending.done():
            self._sending = loop.create_task(self._send())
        for error in await asyncio.gather(*written, return_exceptions=True):
            if isinstance(error, KnowledgeError):
                raise error

    async def _send(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            try:
                await self._head.documents_used([deed for deed, _ in group])
                error = None
            except (HeadUnreachableError, AdminRefusedError) as failure:
                error = unrecorded(str(failure))
            except BaseException:
                error = unrecorded("the gateway stops")
                raise
            finally:
                _tell([written for _, written in group], error)


def _tell(waiting: Sequence[asyncio.Future[None]], error: KnowledgeError | None) -> None:
    for written in waiting:
        if written.done():  # whoever waited has gone
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)
