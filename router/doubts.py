"""Tells the head which engines hang as seen from here, so that it has them started again."""

import asyncio

from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.doubts import EngineDoubt
from router.call_context import CallContext

EVERY_S = 2.0


class DoubtReporter:
    """Says it again and again while it is so: the head forgets what it has not heard for a few seconds."""

    def __init__(self, head: AdminClient, context: CallContext, every_s: float = EVERY_S) -> None:
        self._head, self._context, self._every_s = head, context, every_s

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            doubts = self.doubts()
            if doubts:
                try:
                    await self._head.doubt(doubts)
                except (HeadUnreachableError, AdminRefusedError) as error:
                    self._context.log.emit("doubts_not_told", error=str(error))
            await asyncio.sleep(self._every_s)

    def doubts(self) -> list[EngineDoubt]:
        """A probe may also wait because others are served: then they are the proof."""
        health, pulse, now_s = self._context.health, self._context.pulse, self._context.clock.monotonic_s()
        return [
            EngineDoubt(candidate.engine_id, candidate.generation, reason)
            for candidate, reason in health.hung()
            if not pulse.moved_within(candidate.engine_id, health.patience_s, now_s)
        ]
