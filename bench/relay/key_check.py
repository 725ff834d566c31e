"""What it costs the gateway to know who asks and whether he may: microseconds of one core, its own code, no sockets."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import thread_time

from bench.relay.gateway_state import access_snapshot
from cluster.limits import Limits
from cluster.snapshot import AccessSnapshot
from inventory.clock import SystemClock
from router.access import KeyRing
from router.limits import LimitDesk
from router.permissions import refusal
from router.request import Identity

ROUTE = "/v1/chat/completions"
OTHERS = 499  # keys beside the one that asks
BATCH = 2_000
BATCHES = 15
MOST = Limits(
    requests_per_minute=10**9,
    requests_per_day=10**9,
    tokens_per_minute=10**9,
    tokens_per_day=10**9,
    concurrency=10**9,
    hours=("mon-sun 00:00-24:00",),
)  # every kind of limit, and none in the way


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Microseconds a request: a key that was seen before; one seen for the first time; one with six limits."""

    known_us: float
    first_us: float
    limited_us: float

    def text(self) -> str:
        return (
            f"key check, {OTHERS + 1} keys: {self.known_us:.1f} µs; seen for the first time {self.first_us:.1f} µs; "
            f"with six limits, their headers and the settling {self.limited_us:.1f} µs"
        )


def measured() -> KeyCheck:
    pepper, key = secrets.token_urlsafe(32), f"pl_bench_{secrets.token_urlsafe(32)}"
    access = _crowd(pepper, key)
    headers = {b"host": b"bench", b"authorization": f"Bearer {key}".encode(), b"content-type": b"application/json"}
    clock = SystemClock()
    desk, ring = LimitDesk(clock), KeyRing(access, pepper.encode())
    desk.follow(access)

    def known() -> Identity:
        identity = ring.identify(headers.get(b"authorization"), headers.get(b"x-api-key"), clock.wall_s())
        assert refusal(identity, ROUTE) is None
        return identity

    def first() -> None:
        ring.identify(None, key.encode(), clock.wall_s())  # by this header nothing is remembered

    def limited() -> None:
        permit = desk.admit(known(), 100, 100)
        assert permit is not None
        permit.header_lines()
        permit.settle(200)

    return KeyCheck(_each_us(known), _each_us(first), _each_us(limited))


def _crowd(pepper: str, key: str) -> AccessSnapshot:
    access = access_snapshot(Path(), pepper, key)
    record = access.keys[0]
    others = tuple(replace(record, key_id=f"other{number}") for number in range(OTHERS))
    return replace(access, keys=(*others, replace(record, limits=MOST)))


def _each_us(work: Callable[[], object]) -> float:
    return median(_batch_us(work) for _ in range(BATCHES))


def _batch_us(work: Callable[[], object]) -> float:
    begin_s = thread_time()
    for _ in range(BATCH):
        work()
    return (thread_time() - begin_s) / BATCH * 1e6
