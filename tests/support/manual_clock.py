"""Time that moves only when a test says so."""


class ManualClock:
    def __init__(self, wall_s: float = 1_800_000_000.0, monotonic_s: float = 1000.0) -> None:
        self._wall_s, self._monotonic_s = wall_s, monotonic_s

    def wall_s(self) -> float:
        return self._wall_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        self._wall_s += seconds
        self._monotonic_s += seconds
