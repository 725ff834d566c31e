"""What the head keeps of somebody: names of keys, and the audit's keys of persons. Asked over its private socket."""

from cluster.admin_client import AdminClient
from cluster.erasure import Gone, Holding, Piece, Sought


class HeadErasure:
    """Implements cluster.erasure.Erasable. The head puts it on record before anything goes, so it goes first. Methods
    may raise HeadUnreachableError, AdminRefusedError."""

    place = "head"

    def __init__(self, head: AdminClient) -> None:
        self._head = head

    async def holds(self, sought: Sought) -> tuple[Holding, ...]:
        return (await self._head.privacy("holds", sought)).holdings

    async def export(self, sought: Sought) -> tuple[Piece, ...]:
        return (await self._head.privacy("export", sought)).pieces

    async def erase(self, sought: Sought) -> Gone:
        return Gone((await self._head.privacy("erase", sought)).holdings)
