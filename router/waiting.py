"""Requests that wait for their model: it sleeps, starts, makes room for another, or all that it has is taken.

They go on in the order of router.fair_queue.

A streamed one gets comments that say how things stand, which every client ignores; a whole one is told to come back
once it has waited for as long as settings allow. What waits here is the demand by which the head wakes models.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, inf
from typing import Protocol

import msgspec

from cluster.demand import ModelDemand
from cluster.snapshot import ModelView
from inventory.catalog import ModelName
from inventory.clock import Clock
from router.call_report import CallReport
from router.decision import ModelRoutes, RoutingTable
from router.errors import ApiError, not_ready, saturated
from router.fair_queue import FairQueue
from router.request import InferenceRequest
from router.settings import GatewaySettings

ON_ITS_WAY = frozenset({"asleep", "starting", "yielding"})
UNKNOWN_RETRY_S = 10  # nobody knows how long it will take


class Waiter(Hashable, Protocol):
    """A call without an engine."""

    request: InferenceRequest
    report: CallReport

    def has_room(self) -> bool:
        """No engine has to finish something else first."""
        ...

    def go_on(self) -> None:
        """Its model serves. It may come back to wait, if that did not last."""
        ...

    def tell(self, comment: bytes) -> None: ...

    def abandon(self, error: ApiError) -> None: ...


class _Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a comment says, for people and for clients that know potluck."""

    model: str
    state: str
    eta_s: float | None = None
    waiting: int = 0
    reason: str = ""


@dataclass(slots=True)
class _Ticket:
    since_s: float
    told_s: float  # when the last comment was due


class WaitingRoom:
    """One per gateway. `news` is set when demand began or ended; `waited` is told of each wait that is over."""

    def __init__(
        self,
        settings: GatewaySettings,
        table: Callable[[], RoutingTable],
        clock: Clock,
        waited: Callable[[ModelName, float], None],
    ) -> None:
        self._settings, self._table, self._clock, self._waited = settings, table, clock, waited
        self._queues: dict[ModelName, FairQueue[Waiter]] = defaultdict(FairQueue)
        self._tickets: dict[Waiter, _Ticket] = {}
        self._taken = 0  # size of all that wait
        self._heard_s = clock.monotonic_s()  # when the table arrived
        self._failing_s: dict[ModelName, float] = {}
        self._said: dict[ModelName, tuple[str, bool]] = {}
        self.crowded: set[ModelName] = set()  # models that serve, with requests that wait for others to end
        self.news = asyncio.Event()

    def enter(self, waiter: Waiter, crowded: bool = False) -> ApiError | None:
        """Wait from here on, for the model or, where it is crowded, for others to end; or the reason why not."""
        queue, settings = self._queues[waiter.request.model], self._settings
        if len(queue) >= settings.waiting_limit or self._taken + _size(waiter) > settings.waiting_bytes:
            return self._come_back(
                waiter.request.model, f"{len(queue)} requests wait for `{waiter.request.model}` already"
            )
        if (own := queue.waiting_of(waiter.request.arrival.identity.consumer)) >= settings.waiting_per_user:
            return self._come_back(
                waiter.request.model, f"{own} requests of this user wait for `{waiter.request.model}` already"
            )
        now_s = self._clock.monotonic_s()
        queue.add(waiter, waiter.request.arrival.identity.consumer, waiter.request.priority)
        self._tickets[waiter] = _Ticket(now_s, now_s)
        self._taken += _size(waiter)
        self.news.set()
        if crowded:  # mostly for moments: a stream is told when it has lasted
            self.crowded.add(waiter.request.model)
        elif waiter.request.parsed.stream:
            waiter.tell(self._comment(waiter.request.model))
        return None

    def charge(self, model: ModelName, user: Hashable, tokens: float) -> None:
        """So much was served to a user, or less than was thought."""
        self._queues[model].charge(user, tokens)

    def leave(self, waiter: Waiter) -> None:
        """It goes on, or its client has gone: it counts no more."""
        queue, ticket = self._queues[waiter.request.model], self._tickets.pop(waiter, None)
        if ticket is None:
            return
        queue.remove(waiter)
        self._taken -= _size(waiter)
        waited_s = self._clock.monotonic_s() - ticket.since_s
        waiter.report.queued_s += waited_s
        self._waited(waiter.request.model, waited_s)
        if not queue:
            self._failing_s.pop(waiter.request.model, None)
            self.crowded.discard(waiter.request.model)
        self.news.set()

    def make_room(self, model: ModelName) -> None:
        """A request for it has ended."""
        if model not in self.crowded:
            return
        routes = self._table().models.get(model)
        if routes is None or not routes.candidates:
            self.crowded.discard(model)  # what they wait for is the model itself
        else:
            self._release(model)

    def follow(self) -> None:
        """A snapshot came."""
        self._heard_s = now_s = self._clock.monotonic_s()
        table = self._table()
        for model in self._models():
            routes = table.models.get(model)
            if routes is None:
                self._refuse(model, _hopeless(model, None))
            elif routes.candidates:
                self._release(model)
            elif routes.view.state in ON_ITS_WAY or routes.view.state == "ready":
                self._failing_s.pop(model, None)
                self._announce(routes.view)
            else:
                self._failing_s.setdefault(model, now_s)

    def sweep(self, now_s: float) -> None:
        """Called a few times a second."""
        for model in tuple(self.crowded):
            self.make_room(model)
        for model in self._models():
            if now_s - self._failing_s.get(model, now_s) > self._settings.failed_patience_s:
                self._refuse(model, _hopeless(model, self._table().models.get(model)))
                continue
            for waiter in self._queues[model].items():
                ticket = self._tickets[waiter]
                if waiter.request.parsed.stream and now_s - ticket.told_s >= self._settings.keepalive_s:
                    ticket.told_s = now_s
                    waiter.tell(self._comment(model))
                elif not waiter.request.parsed.stream and now_s - ticket.since_s > self._settings.wait_s:
                    what = "has no place for this request" if model in self.crowded else "is not ready"
                    said = f"`{model}` {what} after {self._settings.wait_s:g} s"
                    waiter.abandon(self._come_back(model, said))

    def demand(self) -> Iterator[ModelDemand]:
        """Those who wait, by model."""
        now_s = self._clock.monotonic_s()
        for model in self._models():
            waiters = self._queues[model].items()
            waited_s = sum(now_s - self._tickets[one].since_s for one in waiters)
            yield ModelDemand(model, len(waiters), waited_s=waited_s)

    @property
    def waiting(self) -> Mapping[ModelName, int]:
        return {model: len(self._queues[model]) for model in self._models()}

    def _models(self) -> tuple[ModelName, ...]:
        """That somebody waits for."""
        return tuple(model for model, queue in self._queues.items() if queue)

    def _release(self, model: ModelName) -> None:
        """One by one: each decides in turn, and finds those before it counted. Nobody is let past one that needs more
        room."""
        queue, in_turn = self._queues[model], model in self.crowded
        for _ in range(len(queue)):
            waiter = queue.head()
            if waiter is None:
                return
            if not waiter.has_room():
                self.crowded.add(model)
                return
            self.leave(waiter)
            if in_turn:
                queue.went_on(self._clock.monotonic_s())
            waiter.go_on()

    def _announce(self, view: ModelView) -> None:
        """What has changed since the last comment is told with the next sweep."""
        said = (view.state, view.eta_s is not None)
        if self._said.get(view.name) != said:
            self._said[view.name] = said
            for waiter in self._queues[view.name].items():
                self._tickets[waiter].told_s = -inf

    def _refuse(self, model: ModelName, error: ApiError) -> None:
        for waiter in self._queues[model].items():
            waiter.abandon(error)

    def _come_back(self, model: ModelName, said: str) -> ApiError:
        routes = self._table().models.get(model)
        if model in self.crowded:
            expected_s = self._queues[model].expected_wait_s()
            return saturated(f"{said}; try again", UNKNOWN_RETRY_S if expected_s is None else max(1, ceil(expected_s)))
        eta_s = self._eta_s(routes.view) if routes is not None else None
        reason = self._reason(routes) if routes is not None else ""
        how = f" ({routes.view.state}: {reason})" if routes is not None and reason else ""
        return not_ready(f"{said}{how}; try again", UNKNOWN_RETRY_S if eta_s is None else max(1, ceil(eta_s)))

    def _comment(self, model: ModelName) -> bytes:
        routes = self._table().models.get(model)
        waiting = len(self._queues[model])
        if routes is None:
            note = _Note(model, "unplaced", waiting=waiting)
        else:
            view, eta_s = routes.view, self._eta_s(routes.view)
            note = _Note(model, view.state, None if eta_s is None else round(eta_s, 1), waiting, self._reason(routes))
        return b": keepalive %b\n\n" % msgspec.json.encode(note)

    def _reason(self, routes: ModelRoutes) -> str:
        crowded = "all that it has is taken by other requests" if routes.view.name in self.crowded else ""
        return routes.view.reason or routes.held_up or crowded

    def _eta_s(self, view: ModelView) -> float | None:
        """As the head expected when it published, less what has passed."""
        if view.eta_s is None:
            return None
        return max(0.0, view.eta_s - (self._clock.monotonic_s() - self._heard_s))


def _size(waiter: Waiter) -> int:
    """Of its body, roughly: what it costs to keep it waiting."""
    return waiter.request.parsed.prompt_characters


def worth_waiting(routes: ModelRoutes) -> bool:
    """Nobody can serve it now, and it is on its way, will be when asked for, or only may not take more at present."""
    return not routes.candidates and (routes.view.state in ON_ITS_WAY or bool(routes.held_up))


def _hopeless(model: ModelName, routes: ModelRoutes | None) -> ApiError:
    if routes is None:
        return ApiError(404, "model_not_found", f"`{model}` is not served here any more", "model")
    return not_ready(f"`{model}` cannot be served ({routes.view.state}: {routes.view.reason})", UNKNOWN_RETRY_S)
