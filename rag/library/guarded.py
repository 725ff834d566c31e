"""A parser whose documents hold no more personal data than their space and their reader's key allow."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cluster.pii.policy import KEY, SPACE, PiiRules, Said, plan_of
from cluster.pii.pseudonyms import pseudonym
from cluster.pii.scan import scan_long
from cluster.pii.spans import Kind, Span, settled
from cluster.pii_vault import PseudonymVault
from rag.library.personal import Look, kept
from rag.library.reading import Loaded, Parsed, Parsing, Problem


class NameFinder(Protocol):
    """Finds names of people and places, which no pattern does. Implemented by cluster.pii_presidio."""

    def find(self, text: str, language: str) -> list[Span]: ...


@dataclass(frozen=True, slots=True)
class Privacy:
    """`rules` are asked each time: cluster.yaml may have changed since. `key_of` gives what a tenant's pseudonyms are
    made with."""

    rules: Callable[[], PiiRules]
    key_of: Callable[[str], bytes]
    vault: PseudonymVault
    names: NameFinder | None = None


class GuardedParsing:
    """Implements rag.library.reading.Parsing."""

    def __init__(self, inner: Parsing, privacy: Privacy) -> None:
        self._inner, self._privacy = inner, privacy

    async def parse(self, loaded: Loaded) -> Parsed | Problem:
        """May raise sqlite3.Error, OSError where pseudonyms cannot be kept: nothing of the document is kept then."""
        parsed = await self._inner.parse(loaded)
        if isinstance(parsed, Problem):
            return parsed
        plan = plan_of(self._privacy.rules(), (Said(KEY, loaded.row.reader.pii), Said(SPACE, loaded.space_pii)))
        if plan is None:
            return parsed
        tenant, values = loaded.row.tenant, dict[str, str]()
        key = self._privacy.key_of(tenant)

        def naming(kind: Kind, value: str) -> str:
            token = pseudonym(key, kind, value)
            values[token] = value
            return token

        found = await asyncio.to_thread(kept, parsed, plan, self._look(parsed.language, plan.least), naming)
        if values and not isinstance(found, Problem):
            await asyncio.to_thread(self._privacy.vault.keep, tenant, values)
        return found

    def _look(self, language: str, least: float) -> Look:
        def look(text: str) -> tuple[Span, ...]:
            found = scan_long(text, least)
            if self._privacy.names is None:
                return found
            return settled((*found, *self._privacy.names.find(text, language)), least)

        return look
