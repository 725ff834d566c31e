"""Request ids: unique, sorted by time, ours. A client's own id is echoed only if it is sane."""

import re
from collections.abc import Callable

from inventory.clock import Clock

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """`req_` and 32 hex digits: 48 bits of milliseconds, 56 bits of chance drawn by each process, 24 bits of count."""

    def __init__(self, clock: Clock, random_bits: Callable[[int], int]) -> None:
        self._clock, self._count = clock, 0
        self._process = f"{random_bits(56):014x}"

    def next(self) -> str:
        self._count = (self._count + 1) & 0xFFFFFF
        return f"req_{int(self._clock.wall_s() * 1000):012x}{self._process}{self._count:06x}"


def sane_client_id(value: bytes | None) -> str | None:
    return value.decode() if value is not None and _SANE.fullmatch(value) else None
