"""Request ids: unique, sorted by time, ours. A client's own id is echoed only if it is sane."""

import re
from collections.abc import Callable

from inventory.clock import Clock

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """`req_` and 32 hex digits: 48 bits of milliseconds, 56 bits of chance drawn by each process, 24 bits of count."""

    def __init__(self, clock: Clock, random_bits: Callable[[int], int]) -> None:
        self._clock, self._count = clock, 0
        self._process = random_bits(56) << 24

    def next(self) -> str:
        self._count = (self._count + 1) & 0xFFFFFF
        number = int(self._clock.wall_s() * 1000) << 80 | self._process | self._count
        return "req_" + number.to_bytes(16, "big").hex()


def made_s(request_id: str) -> float | None:
    """When, by the wall clock, to the millisecond; None of an id that is not ours."""
    digits = request_id.removeprefix("req_")
    try:
        return int(digits[:12], 16) / 1000
    except ValueError:
        return None


def sane_client_id(value: bytes | None) -> str | None:
    return value.decode() if value is not None and _SANE.fullmatch(value) else None
