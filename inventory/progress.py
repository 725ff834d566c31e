"""How long work reports on itself: called with bytes done and, where known, bytes in all."""

from typing import Protocol


class Progress(Protocol):
    """May be called often and from the thread that does the work; it must return quickly."""

    def __call__(self, done_bytes: int, total_bytes: int | None) -> None: ...


def silent(done_bytes: int, total_bytes: int | None) -> None:
    """For callers that show nothing."""
