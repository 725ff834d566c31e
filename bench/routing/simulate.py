"""One run: a workload, a fleet and a policy in, finished jobs out. Nothing in it is left to chance."""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from bench.routing.fleet import Fleet
from bench.routing.load import Job, Workload
from bench.routing.machine import Engine, Machine

Look = Callable[[float], None]
"""Something to be done at a time."""


class Policy(Protocol):
    """A router under test. It is told what a gateway would see, when a gateway would see it."""

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine: ...
    def dispatched(self, job: Job, engine: Engine, now_s: float) -> None: ...
    def first_token(self, job: Job, engine: Engine, now_s: float) -> None: ...
    def ended(self, job: Job, engine: Engine, now_s: float) -> None: ...


class Queue(Protocol):
    """Where a gateway holds requests that no engine could begin soon."""

    def push(self, job: Job, now_s: float) -> None: ...
    def pop(self, now_s: float) -> tuple[Job, Engine] | None:
        """Who goes next, and where; None while nobody should."""
        ...

    def ended(self, job: Job) -> None: ...


@dataclass(frozen=True, slots=True)
class Run:
    jobs: list[Job]  # in order of arrival
    busy: dict[str, float]  # share of the time, by machine, while requests came
    refused: int  # that no engine can ever hold


class Simulation:
    def __init__(
        self,
        workload: Workload,
        fleet: Fleet,
        make_policy: Callable[[list[Engine]], Policy],
        make_queue: Callable[["Simulation"], Queue] | None = None,
    ) -> None:
        self.machines = [Machine(node, workload.block_tokens) for node in fleet.nodes]
        self.engines = [engine for machine in self.machines for engine in machine.engines]
        self.policy = make_policy(self.engines)
        self._queue = make_queue(self) if make_queue is not None else None
        self._events: list[tuple[float, int, Job | Machine | Look, int]] = []
        self._order, self._numbers = count(), count()
        self._jobs: list[Job] = []
        self._refused = 0
        self._where: dict[Job, Engine] = {}
        for session in workload.sessions:
            self._push(session.start_s, Job(0, session, session.turns[0], 0, session.start_s), 0)

    def run(self) -> Run:
        last_s, busy = 0.0, {machine.name: 0.0 for machine in self.machines}
        while self._events:
            now_s, _, subject, version = heappop(self._events)
            if isinstance(subject, Job):
                self._arrive(subject, now_s)
                last_s = now_s
                busy = {machine.name: machine.busy_s for machine in self.machines}
            elif not isinstance(subject, Machine):
                subject(now_s)
            elif version == subject.version:
                self._happen(subject, now_s)
        return Run(self._jobs, {name: seconds / max(last_s, 1e-9) for name, seconds in busy.items()}, self._refused)

    def candidates(self, job: Job) -> list[Engine]:
        return [engine for engine in self.engines if engine.spec.model == job.model and engine.fits(job)]

    def _push(self, at_s: float, subject: Job | Machine | Look, version: int) -> None:
        heappush(self._events, (at_s, next(self._order), subject, version))

    def _arrive(self, job: Job, now_s: float) -> None:
        job.number = next(self._numbers)
        if not self.candidates(job):
            self._refused += 1
            self._follow_up(job, now_s)
            return
        self._jobs.append(job)
        if self._queue is not None:
            self._queue.push(job, now_s)
            self._drain(now_s)
        else:
            self._send(job, self.policy.choose(job, self.candidates(job), now_s), now_s)

    def _drain(self, now_s: float) -> None:
        while self._queue is not None and (found := self._queue.pop(now_s)) is not None:
            self._send(*found, now_s)

    def _send(self, job: Job, engine: Engine, now_s: float) -> None:
        job.dispatched_s, job.where = now_s, engine.name
        self._where[job] = engine
        engine.in_flight[job] = engine.unread[job] = None
        self.policy.dispatched(job, engine, now_s)
        engine.machine.submit(engine, job, now_s)
        self._schedule(engine.machine)

    def _schedule(self, machine: Machine) -> None:
        at_s = machine.next_s()
        if at_s is not None:
            self._push(at_s, machine, machine.version)

    def _happen(self, machine: Machine, now_s: float) -> None:
        firsts, ended = machine.events(now_s)
        for job in firsts:
            engine = self._where[job]
            del engine.unread[job]
            self.policy.first_token(job, engine, now_s)
        for job in ended:
            engine = self._where.pop(job)
            del engine.in_flight[job]
            self.policy.ended(job, engine, now_s)
            if self._queue is not None:
                self._queue.ended(job)
            self._follow_up(job, now_s)
        self._drain(now_s)
        self._schedule(machine)

    def _follow_up(self, job: Job, now_s: float) -> None:
        place = job.place + 1
        if place < len(job.session.turns):
            turn = job.session.turns[place]
            at_s = now_s + turn.after_s
            self._push(at_s, Job(0, job.session, turn, place, at_s), 0)
