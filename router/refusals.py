"""Who was refused at the endpoint, for the head's audit: counted by cause and key, told in small batches."""

import asyncio
import re
from collections import Counter

from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.audit_tally import Refusal, RefusalTally
from inventory.clock import Clock
from router.log import EventLog
from router.request import PERSON, TOKEN_HOLDER, Identity

EVERY_S = 1.0
MOST_UNTOLD = 64  # kinds, while the head is away; beyond them only causes are told apart
REFUSALS = frozenset({401, 403})
_CLAIMED = re.compile(rb"pl_([0-9a-f]{1,32})_")


class RefusalNotes:
    """Kept by the gateway's own task. However many are refused, it holds and tells a bounded number of kinds."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._tally = clock, RefusalTally()
        self._untold: Counter[Refusal] = Counter()

    def note(self, key_id: str, cause: str, route: str) -> None:
        refusal = Refusal("endpoint.refuse", cause, key_id, target=route)
        told = self._tally.note(refusal, self._clock.monotonic_s())
        if told is not None:
            self._add(told, 1)

    def take(self) -> Counter[Refusal]:
        for refusal, count in self._tally.due(self._clock.monotonic_s()):
            self._add(refusal, count)
        taken, self._untold = self._untold, Counter()
        return taken

    def give_back(self, taken: Counter[Refusal]) -> None:
        """They could not be told."""
        for refusal, count in taken.items():
            self._add(refusal, count)

    def _add(self, refusal: Refusal, count: int) -> None:
        if refusal not in self._untold and len(self._untold) >= MOST_UNTOLD:
            refusal = Refusal(refusal.action, refusal.cause)
        self._untold[refusal] += count


class RefusalReporter:
    """Tells the head every second while there is anything to tell, and again until it has heard."""

    def __init__(self, head: AdminClient, notes: RefusalNotes, log: EventLog) -> None:
        self._head, self._notes, self._log = head, notes, log

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(EVERY_S)

    async def tell(self) -> None:
        taken = self._notes.take()
        if not taken:
            return
        try:
            await self._head.refused(taken)
        except (HeadUnreachableError, AdminRefusedError) as error:
            self._notes.give_back(taken)
            self._log.emit("refusals_not_told", error=str(error))


def claimed_key_id(headers: dict[bytes, bytes]) -> str:
    """What a caller says its key's id is; "" where it shows no key of ours. No more of it is told: the secret behind
    it may be right for something else."""
    found = _CLAIMED.search(headers.get(b"authorization", b"") or headers.get(b"x-api-key", b""))
    return found.group(1).decode() if found is not None else ""


def known_key_id(identity: Identity) -> str:
    """ "" for whoever an issuer vouches for: what names him is his own name."""
    return "" if identity.key_id.startswith((TOKEN_HOLDER, PERSON)) else identity.key_id
