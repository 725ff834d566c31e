"""What pseudonyms of documents stand for, as an erasure meets them: found by the values, which it opens."""

import asyncio

import msgspec

from cluster.erasure import Gone, Holding, Piece, Sought
from cluster.pii_vault import Pseudonym, PseudonymVault


class PseudonymErasure:
    """Implements cluster.erasure.Erasable. Methods may raise sqlite3.Error, OSError, ExposedSecretError, NotCleanError,
    and ApiError 503 while the gateway has not heard from the head, which keeps the keys."""

    place = "pseudonyms"

    def __init__(self, vault: PseudonymVault) -> None:
        self._vault = vault

    async def names(self, sought: Sought) -> tuple[str, ...]:
        """What texts of documents have in place of his identifiers."""
        return tuple(one.token for one in await self._found(sought))

    async def holds(self, sought: Sought) -> tuple[Holding, ...]:
        count = len(await self._found(sought))
        return (Holding(self.place, "values that pseudonyms stand for", count),) if count else ()

    async def export(self, sought: Sought) -> tuple[Piece, ...]:
        told = [one._asdict() for one in await self._found(sought)]
        content = msgspec.json.format(msgspec.json.encode(told), indent=1)
        return (Piece(f"{self.place}/pseudonyms.json", content),) if told else ()

    async def erase(self, sought: Sought) -> Gone:
        held = await self.holds(sought)
        await asyncio.to_thread(self._vault.forget, await self._found(sought), sought.erasure_id)
        return Gone(held)

    async def _found(self, sought: Sought) -> tuple[Pseudonym, ...]:
        return await asyncio.to_thread(self._vault.matching, sought.names) if sought.lengths else ()
