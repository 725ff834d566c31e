"""A client that does not read what it is sent: how long that has gone on."""


class SlowReader:
    """Asked on each sweep while bytes for the client pile up, and forgotten once it has taken them."""

    __slots__ = ("_since_s", "_unsent_bytes")

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._unsent_bytes: int | None = None

    def stuck_s(self, unsent_bytes: int, now_s: float) -> float:
        """Since when it has taken nothing at all."""
        if self._unsent_bytes is None or unsent_bytes < self._unsent_bytes:
            self._since_s, self._unsent_bytes = now_s, unsent_bytes
        return now_s - self._since_s
