"""One batch under way, as its runner sees it: which lines come next, which run, and why none does."""

import asyncio
from collections import deque
from collections.abc import Sequence

from router.batches.values import BatchRow, LineAnswer, LineSpan


class Work:
    """Owned by the runner's task."""

    def __init__(self, row: BatchRow) -> None:
        self.row = row
        self.ahead: deque[LineSpan] = deque()  # in the order of the file
        self.running: dict[LineSpan, asyncio.Task[None]] = {}
        self.next_at = 0  # the first line that was not read from the store
        self.all_read = self.ending = False
        self.not_before_s = 0.0  # monotonic: no other line of it begins until then
        self.rests_until_s = 0.0  # monotonic: it is not looked at until then
        self.why = ""  # no machine takes a line of it
        self._tries: dict[int, int] = {}

    @property
    def answered(self) -> bool:
        """All of it."""
        return self.row.status == "in_progress" and self.all_read and not self.ahead and not self.running

    def take(self, lines: Sequence[LineSpan], asked: int) -> None:
        """What the store had of the lines that come next."""
        self.ahead.extend(lines)
        self.all_read = len(lines) < asked
        if lines:
            self.next_at = lines[-1].at + 1

    def first_of(self, model: str) -> LineSpan | None:
        return next((line for line in self.ahead if line.model == model), None)

    def put_back(self, line: LineSpan, not_before_s: float) -> None:
        """It comes before all others."""
        self.ahead.appendleft(line)
        self.not_before_s = max(self.not_before_s, not_before_s)

    def tried(self, at: int, answer: LineAnswer | None) -> int:
        """How many engines have failed on a line, this answer counted."""
        if answer is not None and answer.status >= 500 and answer.status != 503:
            self._tries[at] = self._tries.get(at, 0) + 1
        return self._tries.get(at, 0)

    def stop(self) -> None:
        """End what runs; each line ends by itself."""
        for task in self.running.values():
            task.cancel()
