"""What the dashboard's routes ask: the state at this moment, and who is logged in."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence

from cluster.snapshot import ClusterSnapshot
from inventory.clock import Clock
from nodes.snapshot import EngineId
from router.accounting import RequestRecord
from router.dashboard.door import Door
from router.dashboard.happenings import MOST, Happening, ejection, engines_of, happenings
from router.dashboard.live import LastMinute, Live, Pair
from router.dashboard.state import document, state_of
from router.dashboard.stream import StateStream
from router.dispatcher import Dispatcher
from router.errors import ApiError

LIVE_EVERY_S = 0.4  # less than what is told anew goes by, so that each telling has other figures


class MinuteSink:
    """A record sink for LastMinute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.minute = LastMinute(clock.monotonic_s())

    def record(self, records: Sequence[RequestRecord]) -> None:
        self.minute.take(records, self._clock.monotonic_s())


class Stage:
    """The cluster's state as the page shows it. Follows the view from its first snapshot on."""

    def __init__(self, dispatcher: Dispatcher, minute: LastMinute) -> None:
        self._dispatcher, self._minute, self._clock = dispatcher, minute, dispatcher.context.clock
        self._events: deque[Happening] = deque(maxlen=MOST)
        self._last: ClusterSnapshot | None = None
        self._places: Mapping[str, Pair] = {}
        self._live: Live | None = None
        self._live_s = 0.0
        self.endpoint = ""
        self.stream = StateStream(self.document, self._clock)
        dispatcher.context.health.on_change(self._ejected)

    def follow(self) -> None:
        """A snapshot is in place."""
        snapshot = self._dispatcher.view.cluster
        if snapshot is None or snapshot is self._last:
            return
        self._events.extend(happenings(self._last, snapshot))
        self._last = snapshot
        self._places = {
            engine_id: (engine.model.name, node.node_id) for engine_id, (node, engine) in engines_of(snapshot).items()
        }
        self.stream.tell()

    def _ejected(self, engine_id: EngineId, why: str | None) -> None:
        model, node = self._places.get(engine_id, ("", ""))
        self._events.append(ejection(self._clock.wall_s(), engine_id, (node, model), why))
        self.stream.tell()

    def document(self) -> dict[str, object]:
        """Raises ApiError 503 before the first snapshot."""
        view = self._dispatcher.view
        if view.cluster is None:
            raise ApiError(503, "not_ready", "this gateway has not heard from the head yet").retry_after(2)
        return document(state_of(view.cluster, view.age_s, self.endpoint, self._live_now(), self._events))

    def _live_now(self) -> Live:
        """Summed anew for each telling, and not for every piece of news."""
        now_s, context = self._clock.monotonic_s(), self._dispatcher.context
        if self._live is None or now_s - self._live_s >= LIVE_EVERY_S:
            in_flight: Counter[Pair] = Counter()
            for engine_id, count in context.ledger.in_flight.items():
                in_flight[self._places.get(engine_id, ("", ""))] += count
            waiting = {str(model): count for model, count in context.room.waiting.items() if count}
            self._live, self._live_s = self._minute.figures(now_s, in_flight, waiting), now_s
        return self._live


class Dashboard:
    """Both, for the routes and the guard."""

    def __init__(self, dispatcher: Dispatcher, minute: LastMinute) -> None:
        self.stage, self.door = Stage(dispatcher, minute), Door(dispatcher)
        dispatcher.view.on_change(lambda _: self.stage.follow())
        self.stage.follow()
