"""Cut a byte stream at the borders of server-sent events, so that an event of ours can follow any cut."""

from typing import Protocol

BOUNDARY = b"\n\n"


class EventTooLargeError(Exception):
    """An event without an end. Caught by the exchange, which gives the engine's answer up."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"an event of more than {size_bytes} bytes")
        self.size_bytes = size_bytes


class Framer(Protocol):
    def push(self, data: bytes) -> bytes: ...

    def rest(self) -> bytes: ...


class Unframed:
    """Bytes out as they came in."""

    __slots__ = ()

    def push(self, data: bytes) -> bytes:
        return data

    def rest(self) -> bytes:
        return b""


class EventFramer:
    """Bytes in as they arrive, whole events out. Line ends become LF; what is not whole yet is held back."""

    __slots__ = ("_held", "_limit_bytes", "_searched")

    def __init__(self, limit_bytes: int) -> None:
        self._held = bytearray()
        self._limit_bytes = limit_bytes
        self._searched = 0  # no boundary begins before this index of what is held

    def push(self, data: bytes) -> bytes:
        """Every event that is whole by now, or nothing. Raises EventTooLargeError."""
        if not self._held and data.endswith(BOUNDARY) and b"\r" not in data:
            return data  # nearly every read of an engine: one or more whole events
        return self._slow_push(data)

    def _slow_push(self, data: bytes) -> bytes:
        held = self._held
        held += data
        if b"\r" in data or held.find(b"\r", self._searched) >= 0:
            self._normalise()
        cut = held.rfind(BOUNDARY, self._searched)
        if cut < 0:
            self._searched = max(0, len(held) - 2)
            if len(held) > self._limit_bytes:
                raise EventTooLargeError(self._limit_bytes)
            return b""
        events = bytes(held[: cut + 2])
        del held[: cut + 2]
        self._searched = 0
        return events

    def _normalise(self) -> None:
        """CRLF and CR become LF. A CR at the very end waits: the LF that belongs to it may come next."""
        tail = self._held[self._searched :]
        waits = tail.endswith(b"\r")
        if waits:
            del tail[-1]
        tail = tail.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if waits:
            tail += b"\r"
        self._held[self._searched :] = tail

    def rest(self) -> bytes:
        """What came after the last whole event."""
        return bytes(self._held)
