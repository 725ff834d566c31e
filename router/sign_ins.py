"""Who logged in at the dashboard, for the head's audit: told in order. Nobody is let in who could be forgotten."""

import asyncio
from collections import deque

from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.audit_sign_ins import SignIn
from router.errors import ApiError
from router.log import EventLog

EVERY_S = 1.0
MOST_UNTOLD = 1024
AT_ONCE = 64


class SignInNotes:
    """Kept by the gateway's own task, while the head is away too."""

    def __init__(self) -> None:
        self._untold: deque[SignIn] = deque()

    def note(self, one: SignIn) -> None:
        """Raises ApiError 503 once so many wait that another might be lost."""
        if len(self._untold) >= MOST_UNTOLD:
            message = "the head is away, and no more logins can be put on record until it is back"
            raise ApiError(503, "audit_unavailable", message).retry_after(10)
        self._untold.append(one)

    def first(self) -> tuple[SignIn, ...]:
        return tuple(self._untold)[:AT_ONCE]

    def told(self, count: int) -> None:
        for _ in range(count):
            self._untold.popleft()


class SignInReporter:
    """Tells the head every second while there is anything to tell, and again until it has heard."""

    def __init__(self, head: AdminClient, notes: SignInNotes, log: EventLog) -> None:
        self._head, self._notes, self._log = head, notes, log

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(EVERY_S)

    async def tell(self) -> None:
        while found := self._notes.first():
            try:
                await self._head.signed_in(found)
            except (HeadUnreachableError, AdminRefusedError) as error:
                self._log.emit("sign_ins_not_told", error=str(error))
                return
            self._notes.told(len(found))
