"""What the dashboard's routes ask: the state at this moment, and who is logged in."""

import secrets
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from cluster.snapshot import ClusterSnapshot
from inventory.clock import Clock
from nodes.snapshot import EngineId
from router.accounting import RequestRecord
from router.dashboard.cookie import ROUTES, Headers, own_page, session_id
from router.dashboard.happenings import MOST, Happening, ejection, engines_of, happenings
from router.dashboard.live import LastMinute, Live, Pair
from router.dashboard.sessions import IDLE_S, Sessions
from router.dashboard.state import document, state_of
from router.dashboard.stream import StateStream
from router.dispatcher import Dispatcher
from router.errors import ApiError
from router.refusals import claimed_key_id
from router.request import TOKEN_HOLDER, Identity
from router.view import GatewayView

LIVE_EVERY_S = 1.0


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
        """At most once a second another."""
        now_s, context = self._clock.monotonic_s(), self._dispatcher.context
        if self._live is None or now_s - self._live_s >= LIVE_EVERY_S:
            in_flight: Counter[Pair] = Counter()
            for engine_id, count in context.ledger.in_flight.items():
                in_flight[self._places.get(engine_id, ("", ""))] += count
            waiting = {str(model): count for model, count in context.room.waiting.items() if count}
            self._live, self._live_s = self._minute.figures(now_s, in_flight, waiting), now_s
        return self._live


class Door:
    """Who is logged in."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher, self._clock = dispatcher, dispatcher.context.clock
        self._sessions = Sessions(lambda: secrets.token_urlsafe(32))

    @property
    def _view(self) -> GatewayView:
        return self._dispatcher.view

    def enter(self, key: str, route: str, before: str | None) -> tuple[str, Identity]:
        """A session's id, and whose it is; the one before it ends. Raises ApiError 401, which goes on record."""
        headers = {b"authorization": b"Bearer " + key.encode()} if key else {}
        try:
            identity = self._dispatcher.identify(headers)
            check_key(identity)
        except ApiError as error:
            if error.status == 401:
                self._dispatcher.refusals.note(claimed_key_id(headers), error.code, route)
            raise
        self._sessions.end(before or "")
        return self._sessions.begin(identity.key_id, self._clock.monotonic_s()), identity

    def leave(self, headers: Headers) -> None:
        """Raises ApiError 401 where there is no session, 403 where another page asks."""
        self.holder(headers, "DELETE")
        self._sessions.end(session_id(headers) or "")

    def holder(self, headers: Headers, method: str) -> Identity:
        """Whose session it is. Raises ApiError 401, or 403 where another page asks."""
        if not own_page(method, headers):
            raise ApiError(403, "cross_site", "a session answers to the dashboard's own page only")
        identity = self.identity_of(session_id(headers) or "")
        if identity is None:
            raise ApiError(401, "no_session", f"not logged in, or idle for {IDLE_S // 60} minutes, or the key is gone")
        return identity

    def cookie_holder(self, headers: Headers, method: str, route: str | None) -> Identity | None:
        """Who asks without a key, by the session's cookie; None where keys decide. Raises as `holder` does."""
        if route not in ROUTES or b"authorization" in headers or b"x-api-key" in headers:
            return None
        return None if session_id(headers) is None else self.holder(headers, method)

    def identity_of(self, session: str, use: bool = True) -> Identity | None:
        """None of one that has ended, or whose key has. Without `use` it is only looked at."""
        key_id = self._sessions.key_of(session, self._clock.monotonic_s(), use)
        if key_id is None:
            return None
        identity = self._view.keys.holder_of(key_id, self._clock.wall_s())
        if identity is None:
            self._sessions.end(session)
        return identity

    def name_of(self, identity: Identity) -> str:
        """What people call the key; its id where it has no name."""
        keys = self._view.access.keys if self._view.access is not None else ()
        return next((one.name for one in keys if one.key_id == identity.key_id and one.name), identity.key_id)

    def still_in(self, identity: Identity, session: str | None) -> bool:
        """Whether a stream may go on: as long as whoever began it might begin it anew. A display's keeps its session,
        for nobody touches a screen on a wall; another page that lies open is no use of it."""
        if session is not None:
            return self.identity_of(session, use=identity.role == "display") is not None
        return self._view.keys.holder_of(identity.key_id, self._clock.wall_s()) is not None


class Dashboard:
    """Both, for the routes and the guard."""

    def __init__(self, dispatcher: Dispatcher, minute: LastMinute) -> None:
        self.stage, self.door = Stage(dispatcher, minute), Door(dispatcher)
        dispatcher.view.on_change(lambda _: self.stage.follow())
        self.stage.follow()


def check_key(identity: Identity) -> None:
    """Raises ApiError 401 for a token of an issuer: only of a key is it known when it is revoked."""
    if identity.key_id.startswith(TOKEN_HOLDER):
        raise ApiError(401, "no_key", "the dashboard takes keys of this cluster, no tokens of an issuer")
