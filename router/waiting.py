"""Requests that wait for their model: it sleeps, starts, makes room for another, or all that it has is taken.

They go on in the order of router.fair_queue.

A streamed one gets comments that say how things stand, which every client ignores; a whole one whose model is not there
is told to come back once it has waited for as long as settings allow. For its turn at a model that serves each waits as
long as its deadline lets it: who came back would stand last. What waits here is the demand by which the head wakes
models.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Protocol

from cluster.demand import ModelDemand
from cluster.snapshot import ModelView
from inventory.catalog import ModelName
from inventory.clock import Clock
from router.call_report import CallReport
from router.decision import ModelRoutes, RoutingTable
from router.errors import ApiError
from router.fair_queue import FairQueue
from router.holding import Hold
from router.request import Identity, InferenceRequest
from router.settings import GatewaySettings
from router.waiting_caps import WaitingTally
from router.waiting_words import ON_ITS_WAY, Line, come_back, comment, eta_s, hopeless, unasked

LOOKED_AT = 4  # of those first in line: where the first must wait for its engine, another's may be free


class Waiter(Hashable, Protocol):
    """A call without an engine."""

    request: InferenceRequest
    report: CallReport

    def hold(self) -> Hold | None:
        """Why it has to wait on; None where it may go."""
        ...

    def go_on(self) -> None:
        """Its model serves. It may come back to wait, if that did not last."""
        ...

    def tell(self, comment: bytes) -> None: ...

    def abandon(self, error: ApiError) -> None: ...


@dataclass(slots=True)
class _Ticket:
    since_s: float
    told_s: float  # when the last comment was due
    judged: bool = False  # it may be in time, as far as could be told when it came


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
        self._tallies = {writes: WaitingTally(settings.waiting) for writes in (True, False)}  # a lane each
        self._looks: set[ModelName] = set()  # models whose line is about to be looked at
        self._heard_s = clock.monotonic_s()  # when the table arrived
        self._failing_s: dict[ModelName, float] = {}
        self._said: dict[ModelName, tuple[str, bool]] = {}
        self._away: dict[ModelName, set[Waiter]] = defaultdict(set)  # their model serves, but not where they may go
        self.crowded: set[ModelName] = set()  # models that serve, with requests that wait for others to end
        self.news = asyncio.Event()

    def enter(self, waiter: Waiter, crowded: bool = False) -> ApiError | None:
        """Wait from here on, for the model or, where it is crowded, for others to end; or the reason why not."""
        request = waiter.request
        if request.parsed.side is not None and not crowded:
            return unasked(request, self._table().models.get(request.model))
        queue, now_s = self._queues[request.model], self._clock.monotonic_s()
        tally = self._tallies[request.parsed.writes]
        why = tally.why_not(request.asker, _size(waiter), len(queue))
        if why is not None:
            line = self._line(request, crowded=crowded)
            return come_back(line, f"`{request.model}` cannot take this request: {why}")
        queue.add(waiter, request.asker, request.priority)
        self._tickets[waiter] = _Ticket(now_s, now_s)
        tally.add(request.asker, _size(waiter))
        self.news.set()
        if crowded:  # mostly for moments: a stream is told when it has lasted
            self.crowded.add(request.model)
        elif request.parsed.stream:
            waiter.tell(comment(self._line(request, waiter)))
        return None

    def charge(self, model: ModelName, identity: Identity, tokens: float) -> None:
        """So much was served to a user, or less than was thought. Where nobody ever waited, all stand alike."""
        queue = self._queues.get(model)
        if queue is not None:
            queue.charge(identity.asker, tokens)

    def leave(self, waiter: Waiter) -> None:
        """It goes on, or its client has gone: it counts no more."""
        queue, ticket = self._queues[waiter.request.model], self._tickets.pop(waiter, None)
        if ticket is None:
            return
        queue.remove(waiter)
        self._away[waiter.request.model].discard(waiter)
        self._tallies[waiter.request.parsed.writes].remove(waiter.request.asker, _size(waiter))
        waited_s = self._clock.monotonic_s() - ticket.since_s
        waiter.report.queued_s += waited_s
        self._waited(waiter.request.model, waited_s)
        if not queue:
            self._failing_s.pop(waiter.request.model, None)
            self.crowded.discard(waiter.request.model)
        self.news.set()

    def look_soon(self, model: ModelName) -> None:
        """A request for it has ended, or has its first token, or came. Not at once: who goes on may end at once too."""
        if model in self.crowded and model not in self._looks:
            self._looks.add(model)
            asyncio.get_running_loop().call_soon(self._make_room, model)

    def _make_room(self, model: ModelName) -> None:
        self._looks.discard(model)
        if model not in self.crowded:
            return
        routes = self._table().models.get(model)
        if routes is None or not routes.candidates:
            self.crowded.discard(model)  # what they wait for is the model itself
        else:
            self._release(model, routes)

    def follow(self) -> None:
        """A snapshot came."""
        self._heard_s = now_s = self._clock.monotonic_s()
        table = self._table()
        for model in self._models():
            routes = table.models.get(model)
            if routes is not None and not routes.candidates:
                self._dismiss_aside(model, routes)
            if routes is None:
                self._refuse(model, hopeless(model, None))
            elif routes.candidates:
                self._release(model, routes)
            elif routes.view.state in ON_ITS_WAY or routes.view.state == "ready":
                self._failing_s.pop(model, None)
                self._announce(routes.view)
            else:
                self._failing_s.setdefault(model, now_s)

    def sweep(self, now_s: float) -> None:
        """Called a few times a second."""
        for model in tuple(self.crowded):
            self._make_room(model)
        for model in self._models():
            if now_s - self._failing_s.get(model, now_s) > self._settings.failed_patience_s:
                self._refuse(model, hopeless(model, self._table().models.get(model)))
                continue
            for waiter in self._queues[model].items():
                self._look_after(waiter, self._tickets[waiter], now_s)

    def demand(self) -> Iterator[ModelDemand]:
        """Those who wait, by model. For what front ends ask for themselves none is woken, and none stays."""
        now_s = self._clock.monotonic_s()
        for model in self._models():
            waiters = [one for one in self._queues[model].items() if one.request.parsed.side is None]
            waited_s = sum(now_s - self._tickets[one].since_s for one in waiters)
            yield ModelDemand(model, len(waiters), waited_s=waited_s)

    def _look_after(self, waiter: Waiter, ticket: _Ticket, now_s: float) -> None:
        request = waiter.request
        crowded = request.model in self.crowded and waiter not in self._away[request.model]
        deadline_s, wait_s = request.deadline_s, self._settings.wait_s
        if deadline_s is not None and self._late(waiter, ticket, now_s, deadline_s):
            what = "has no place for this request" if crowded else "is not ready"
            waiter.abandon(come_back(self._line(request, waiter), f"`{request.model}` {what} by its deadline"))
        elif request.parsed.stream:
            if now_s - ticket.told_s >= self._settings.keepalive_s:
                ticket.told_s = now_s
                waiter.tell(comment(self._line(request, waiter)))
        elif deadline_s is None and not crowded and now_s - ticket.since_s > wait_s:
            line = self._line(request, waiter)
            waiter.abandon(come_back(line, f"`{request.model}` is not ready after {wait_s:g} s"))

    def _late(self, waiter: Waiter, ticket: _Ticket, now_s: float, deadline_s: float) -> bool:
        """Its deadline has passed, or cannot be met, as it looks when it has just come. Later it has its place."""
        expected_s = 0.0 if ticket.judged else self._line(waiter.request, waiter).expected_s or 0.0
        ticket.judged = True
        return now_s + expected_s > deadline_s

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def waiting(self) -> Mapping[ModelName, int]:
        return {model: len(self._queues[model]) for model in self._models()}

    def _models(self) -> tuple[ModelName, ...]:
        """That somebody waits for."""
        return tuple(model for model, queue in self._queues.items() if queue)

    def _release(self, model: ModelName, routes: ModelRoutes) -> None:
        """One by one: each decides in turn, and finds those before it counted."""
        most = LOOKED_AT if len(routes.candidates) > 1 else 1
        queue, crowded = self._queues[model], model in self.crowded
        for _ in range(len(queue)):
            first, waiter = queue.head(), self._next(queue, most, self._away[model])
            if waiter is None:
                if queue:
                    self.crowded.add(model)
                return
            self.leave(waiter)
            if crowded and waiter is first:
                queue.went_on(self._clock.monotonic_s())
            waiter.go_on()

    @staticmethod
    def _next(queue: FairQueue[Waiter], most: int, away: set[Waiter]) -> Waiter | None:
        """Who may go on. Nobody is let past one that needs more room; those that wait for an engine elsewhere are not
        counted, nor in anybody's way."""
        looked_at: set[Waiter] = set()
        while True:
            known = len(away)
            for waiter in queue.in_order(most + known):
                if waiter in looked_at:
                    continue
                looked_at.add(waiter)
                hold = waiter.hold()
                if hold == "zone":
                    away.add(waiter)
                    continue
                away.discard(waiter)
                if hold is None:
                    return waiter
                if hold == "room":
                    return None
            if len(away) <= known:
                return None

    def _announce(self, view: ModelView) -> None:
        """What has changed since the last comment is told with the next sweep."""
        said = (view.state, view.eta_s is not None)
        if self._said.get(view.name) != said:
            self._said[view.name] = said
            for waiter in self._queues[view.name].items():
                self._tickets[waiter].told_s = -inf

    def _dismiss_aside(self, model: ModelName, routes: ModelRoutes) -> None:
        """Those that were in line for its engines, and must not wait for the model."""
        for waiter in self._queues[model].items():
            if waiter.request.parsed.side is not None:
                waiter.abandon(unasked(waiter.request, routes))

    def _refuse(self, model: ModelName, error: ApiError) -> None:
        for waiter in self._queues[model].items():
            waiter.abandon(error)

    def _line(self, request: InferenceRequest, waiter: Waiter | None = None, crowded: bool = False) -> Line:
        """As it is for one that waits, or that came now."""
        model, routes, expected_s = request.model, self._table().models.get(request.model), None
        crowded = crowded or model in self.crowded
        if crowded:
            expected_s = self._queues[model].expected_wait_s(request.asker, request.priority, waiter)
        elif routes is not None:
            expected_s = eta_s(routes.view, self._clock.monotonic_s() - self._heard_s)
        return Line(model, routes, crowded, len(self._queues[model]), expected_s)


def _size(waiter: Waiter) -> int:
    """Of its body, roughly: what it costs to keep it waiting."""
    return waiter.request.parsed.characters
