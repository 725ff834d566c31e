"""The state as a stream of server-sent events: a snapshot, then what changed, resumable for as long as it is kept.

Nothing is made while nobody watches. Whoever watches wakes when there is news, or twice a second; the first that
finds the state old makes it anew, for all.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator

import msgspec

from inventory.clock import Clock
from router.dashboard.patch import difference
from router.errors import ApiError

KEPT = 256
RENEW_S = 0.5
NEWS_S = 0.1  # snapshots that come faster are told together
SILENCE_S = 10.0
MOST_WATCHERS = 128
BEGINNING = b"retry: 1000\n\n"  # milliseconds
COMMENT = b": still here\n\n"

Document = dict[str, object]
_encode = msgspec.json.Encoder().encode


class StateStream:
    """`state` makes the document, or raises ApiError."""

    def __init__(self, state: Callable[[], Document], clock: Clock) -> None:
        self._state, self._clock = state, clock
        self._epoch = int(clock.wall_s() * 1000)  # numbers of another gateway process are none of ours
        self._number = 0
        self._document: Document = {}
        self._made_s: float | None = None
        self._news = False
        self._deltas: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._watchers: set[asyncio.Event] = set()

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def tell(self) -> None:
        """The cluster has changed."""
        self._news = True
        for watcher in self._watchers:
            watcher.set()

    def document(self) -> Document:
        """As of now, give or take a tenth of a second. Raises what `state` raises."""
        now_s = self._clock.monotonic_s()
        made_s = self._made_s
        if made_s is None or now_s - made_s >= (NEWS_S if self._news else RENEW_S):
            self._news = False
            document = self._state()
            delta = difference(self._document, document)
            if delta:
                self._number += 1
                self._deltas.append((self._number, _encode(delta)))
            self._document, self._made_s = document, now_s
        return self._document

    async def events(self, last_event_id: str | None, goes_on: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
        """Until `goes_on` says no. Raises ApiError 429 where too many watch."""
        if len(self._watchers) >= MOST_WATCHERS:
            raise ApiError(429, "too_many_watchers", f"{MOST_WATCHERS} dashboards are open").retry_after(10)
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        try:
            told = self._number_in(last_event_id)
            self.document()
            yield BEGINNING
            spoke_s = self._clock.monotonic_s()
            while goes_on():
                watcher.clear()
                self.document()
                for event in self._since(told):
                    yield event
                    spoke_s = self._clock.monotonic_s()
                told = self._number
                if self._clock.monotonic_s() - spoke_s >= SILENCE_S:
                    yield COMMENT
                    spoke_s = self._clock.monotonic_s()
                await self._wait(watcher)
        finally:
            self._watchers.discard(watcher)

    async def _wait(self, watcher: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(NEWS_S if self._news else RENEW_S):  # news may have come too soon to be told
                await watcher.wait()
            await asyncio.sleep(NEWS_S)
        except TimeoutError:
            return

    def _since(self, told: int | None) -> Iterator[bytes]:
        """A snapshot for whoever has none, or one that is too old to go on from."""
        oldest = self._deltas[0][0] if self._deltas else self._number + 1
        if told is None or not oldest - 1 <= told <= self._number:
            yield self._event(self._number, b"snapshot", _encode(self._document))
            return
        for number, delta in tuple(self._deltas):
            if number > told:
                yield self._event(number, b"delta", delta)

    def _event(self, number: int, name: bytes, data: bytes) -> bytes:
        return b"id: %d.%d\nevent: %b\ndata: %b\n\n" % (self._epoch, number, name, data)

    def _number_in(self, last_event_id: str | None) -> int | None:
        epoch, _, number = (last_event_id or "").partition(".")
        return int(number) if epoch == str(self._epoch) and number.isascii() and number.isdigit() else None
