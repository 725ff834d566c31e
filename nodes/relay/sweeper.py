"""One coarse timer for every deadline of the relay: a timer per token would cost more than the token."""

import asyncio

from nodes.relay.contract import Paced

TICK_S = 0.25


class Sweeper:
    """Looks at everything it was given on each tick. Sleeps while it has nothing to look at."""

    def __init__(self, tick_s: float = TICK_S) -> None:
        self._tick_s = tick_s
        self._watched: dict[Paced, None] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def watched(self) -> tuple[Paced, ...]:
        return tuple(self._watched)

    def watch(self, paced: Paced) -> None:
        self._watched[paced] = None
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(self._tick_s, self._tick)

    def forget(self, paced: Paced) -> None:
        self._watched.pop(paced, None)

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        for paced in tuple(self._watched):
            if paced in self._watched:
                paced.sweep(now_s)
        if self._watched and not self._closed:
            self._timer = self._loop.call_later(self._tick_s, self._tick)
