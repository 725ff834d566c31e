"""Time as an argument: every module that needs it receives a Clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time is for people and records; monotonic time is for every duration and deadline."""

    def wall_s(self) -> float: ...

    def monotonic_s(self) -> float: ...


class SystemClock:
    wall_s = staticmethod(time.time)
    monotonic_s = staticmethod(time.monotonic)
