"""What a gateway keeps to be faster: answers and vectors on the disk, beginnings of prompts and sessions in memory."""

import asyncio

from cluster.erasure import Gone, Holding, Piece, Sought
from router.cache_store import CacheStore
from router.call_context import CallContext
from router.dashboard.desk import Dashboard
from router.dashboard.people import Person as LoggedIn
from router.dashboard.sessions import Holder


class CacheErasure:
    """Implements cluster.erasure.Erasable. An answer says not whose it was, so all of them go: they are made again."""

    place = "cache"

    def __init__(self, store: CacheStore | None) -> None:
        self._store = store

    async def holds(self, sought: Sought) -> tuple[Holding, ...]:
        count = 0 if self._store is None else await asyncio.to_thread(self._store.held)
        return (Holding(self.place, "answers and vectors of everybody", count),) if count else ()

    async def export(self, sought: Sought) -> tuple[Piece, ...]:
        """Nothing that belongs to anybody: they are copies of answers that were given, under hashes of questions."""
        return ()

    async def erase(self, sought: Sought) -> Gone:
        held = await self.holds(sought)
        if self._store is not None:
            await asyncio.to_thread(self._store.empty)
        return Gone(held)


class MemoryErasure:
    """Implements cluster.erasure.Erasable: texts of prompts that wait to be read again, sessions of the dashboard, and
    what engines keep of prompts, which nobody reaches any more once their tenants have another salt."""

    place = "memory"

    def __init__(self, context: CallContext, dashboard: Dashboard) -> None:
        self._context, self._dashboard = context, dashboard

    async def holds(self, sought: Sought) -> tuple[Holding, ...]:
        sessions = self._dashboard.door.sessions.count(lambda holder: _is_his(holder, sought))
        counts = {
            "sessions of the dashboard": sessions,
            "bytes of prompts of everybody": self._context.warmer.held_bytes,
        }
        return tuple(Holding(self.place, what, count) for what, count in counts.items() if count)

    async def export(self, sought: Sought) -> tuple[Piece, ...]:
        return ()

    async def erase(self, sought: Sought) -> Gone:
        held = await self.holds(sought)
        self._dashboard.door.sessions.end_all(lambda holder: _is_his(holder, sought))
        self._context.warmer.forget()
        self._context.salts.change(sought.erasure_id)
        return Gone(held)


def _is_his(holder: Holder, sought: Sought) -> bool:
    if isinstance(holder, LoggedIn):
        return sought.is_person(None, holder.subject) or sought.names(holder.name)
    return sought.is_person(holder.key_id, None)
