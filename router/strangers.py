"""Requests in an engine that this gateway did not send: another gateway's, batch work, or some whose end was lost.

Its own account has no lag, and comes first. What an engine says of itself was so a moment ago: only what it had beyond
the most that this gateway had there since counts, and no longer than reports come.
"""

from collections import deque

import msgspec

STALE_S = 5.0  # since the last report: what it said is over
LOOKS_BACK_S = 4.0  # so old may be what a report says when it comes


class Report(msgspec.Struct, frozen=True):
    """What an engine said of itself. Its time is by its machine's clock, and only tells one report from another."""

    taken_at_s: float
    running: int
    waiting: int


class Strangers:
    """At one engine."""

    __slots__ = ("_heard_s", "_most_own", "_taken_at_s", "age_s", "count", "running")

    def __init__(self) -> None:
        self.count = self.running = 0  # of those, how many are answered at this moment
        self.age_s: float = 0  # of what is known of them
        self._taken_at_s: float | None = None
        self._heard_s = 0.0
        self._most_own: deque[tuple[float, int]] = deque()  # until then, since the one before

    def heard(self, report: Report | None, most_own: int, now_s: float) -> bool:
        """`most_own`: the most requests that this gateway had there since the last report. Returns whether the report
        is another one than before."""
        news = report is not None and report.taken_at_s != self._taken_at_s
        if report is not None and news:
            self._heard_s, self._taken_at_s = now_s, report.taken_at_s
            self._take(report, most_own)
        elif now_s - self._heard_s > STALE_S:
            self.count = self.running = 0
        self.age_s = now_s - self._heard_s if self.count else 0
        return news

    def _take(self, report: Report, most_own: int) -> None:
        self._most_own.append((self._heard_s, most_own))
        while self._most_own[0][0] < self._heard_s - LOOKS_BACK_S:
            self._most_own.popleft()
        most = max(own for _, own in self._most_own)
        self.count = max(report.running + report.waiting - most, 0)
        self.running = min(self.count, report.running)
