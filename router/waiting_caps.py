"""How much may wait at the gateway, by count and by bytes, in all and of one user. Pure."""

from collections import Counter
from dataclasses import dataclass

from router.request import Asker


@dataclass(frozen=True, slots=True)
class WaitingCaps:
    """Bytes are those of prompts, roughly: what it costs to keep requests waiting."""

    of_model: int = 1024
    in_all: int = 2048
    of_user: int = 256
    bytes_in_all: int = 128 * 1024 * 1024
    bytes_of_user: int = 32 * 1024 * 1024


class WaitingTally:
    """Of all that wait, for whichever model."""

    def __init__(self, caps: WaitingCaps) -> None:
        self._caps = caps
        self._bytes = self._count = 0
        self._counts: Counter[Asker] = Counter()
        self._bytes_of: Counter[Asker] = Counter()

    def why_not(self, user: Asker, size_bytes: int, of_model: int) -> str | None:
        """What stands against one more, beside so many that wait for its model."""
        caps = self._caps
        if of_model >= caps.of_model:
            return f"{_wait(of_model)} for it already"
        if self._count >= caps.in_all:
            return f"{_wait(self._count)} already"
        if self._counts[user] >= caps.of_user:
            return f"{_wait(self._counts[user])} for this user already"
        if self._bytes_of[user] + size_bytes > caps.bytes_of_user:
            return f"requests of this user with {self._bytes_of[user]:,} bytes wait already"
        if self._bytes + size_bytes > caps.bytes_in_all:
            return f"requests with {self._bytes:,} bytes wait already"
        return None

    def add(self, user: Asker, size_bytes: int) -> None:
        self._count += 1
        self._bytes += size_bytes
        self._counts[user] += 1
        self._bytes_of[user] += size_bytes

    def remove(self, user: Asker, size_bytes: int) -> None:
        self._count -= 1
        self._bytes -= size_bytes
        self._counts[user] -= 1
        self._bytes_of[user] -= size_bytes
        if not self._counts[user]:
            del self._counts[user], self._bytes_of[user]


def _wait(count: int) -> str:
    return "1 request waits" if count == 1 else f"{count} requests wait"
