"""Request ids: unique, sorted by time, ours. A client's own id is echoed only if it is sane."""

import re
from collections.abc import Callable

from inventory.clock import Clock

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """`req_` and 32 hex digits: 48 bits of milliseconds, 80 bits of chance, as a ULID has them."""

    def __init__(self, clock: Clock, random_bits: Callable[[int], int]) -> None:
        self._clock, self._random_bits = clock, random_bits

    def next(self) -> str:
        return f"req_{int(self._clock.wall_s() * 1000):012x}{self._random_bits(80):020x}"


def sane_client_id(value: bytes | None) -> str | None:
    return value.decode() if value is not None and _SANE.fullmatch(value) else None
