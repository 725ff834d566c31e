"""Who goes next: strict classes of priority, then whoever has been served the fewest tokens, then the first to come.

Virtual token counters after Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024): every user has a
counter of what was served to it, and two who both wait are never further apart than one request of each. Who comes
back after a while is lifted to where those stand that wait, so that nobody saves up. Nothing here knows a clock.
"""

from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Generic, TypeVar

OUTPUT_WEIGHT = 2  # a token of an answer against one of a prompt: about what they cost an engine
MOST_COUNTERS = 2048
MEMORY = 0.2  # of the newest pause between two that went on, in their running mean

Item = TypeVar("Item", bound=Hashable)
_Place = tuple[int, Hashable]


def service(prompt_tokens: int, output_tokens: float) -> float:
    """What a request takes of its user's share."""
    return prompt_tokens + OUTPUT_WEIGHT * output_tokens


class FairQueue(Generic[Item]):
    """An item waits once."""

    def __init__(self) -> None:
        self._lines: dict[_Place, dict[Item, int]] = {}  # by priority and user: those that wait, numbered as they came
        self._places: dict[Item, _Place] = {}
        self._counters: dict[Hashable, float] = {}
        self._floor = 0.0  # where those start who were not here
        self._number = 0
        self._gone_s: float | None = None  # when the last one went on, if others have waited ever since
        self._pause_s: float | None = None

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, item: object) -> bool:
        return item in self._places

    def items(self) -> tuple[Item, ...]:
        return tuple(self._places)

    def add(self, item: Item, user: Hashable, priority: int = 0) -> None:
        """A higher priority goes first."""
        self._number += 1
        least = min((self._counters[whose] for _, whose in self._lines), default=0.0)
        self._floor = max(self._floor, least)
        self._lines.setdefault((priority, user), {})[item] = self._number
        self._places[item] = (priority, user)
        self._counters[user] = max(self._counters.get(user, 0.0), self._floor)

    def head(self) -> Item | None:
        """Who goes next."""
        return next(self.in_order(1), None)

    def in_order(self, most: int) -> Iterator[Item]:
        """The first few, as things stand: for callers who let others past one that cannot go yet."""
        for place in sorted(self._lines, key=self._order):
            first = tuple(islice(self._lines.get(place, ()), most))
            most -= len(first)
            yield from first

    def remove(self, item: Item) -> bool:
        """It leaves, whatever for. False if it did not wait."""
        place = self._places.pop(item, None)
        if place is None:
            return False
        line = self._lines[place]
        del line[item]
        if not line:
            del self._lines[place]
        if not self._places:
            self._gone_s = None
        return True

    def take(self, item: Item, served: float) -> None:
        """It goes, and is expected to take so much of its user's share."""
        user = self._places[item][1]
        self.remove(item)
        self.charge(user, served)

    def charge(self, user: Hashable, served: float) -> None:
        """So much was served to it. Less than nothing takes back what was expected too high."""
        counter = max(self._counters.pop(user, 0.0), self._floor) + served
        if not self._places:  # nobody is kept waiting by it
            self._floor = max(self._floor, counter)
        elif counter > self._floor or any(whose == user for _, whose in self._lines):
            self._counters[user] = counter  # otherwise: who comes is lifted to the floor anyway
            if len(self._counters) > MOST_COUNTERS:
                self._forget()

    def went_on(self, now_s: float) -> None:
        """One that waited has begun: how often that happens is what the others expect."""
        if self._gone_s is not None:
            pause_s = now_s - self._gone_s
            known = self._pause_s
            self._pause_s = pause_s if known is None else known + MEMORY * (pause_s - known)
        self._gone_s = now_s if self._places else None

    def expected_wait_s(self, user: Hashable, priority: int = 0, item: Item | None = None) -> float | None:
        """Of one that waits, or of one that came now: how many go on before it, if all take as much, and how often one
        goes on. None while nobody knows."""
        if self._pause_s is None:
            return None
        own = tuple(self._lines.get((priority, user), ()))
        before = own.index(item) if item in own else len(own)
        ahead, had = before, max(self._counters.get(user, 0.0), self._floor)
        for (other, whose), line in self._lines.items():
            if other > priority:
                ahead += len(line)
            elif other == priority and whose != user:
                ahead += min(len(line), before + (self._counters[whose] <= had))
        return self._pause_s * (ahead + 1)

    def _order(self, place: _Place) -> tuple[int, float, int]:
        priority, user = place
        return -priority, self._counters[user], next(iter(self._lines[place].values()))

    def _forget(self) -> None:
        waiting = {user for _, user in self._lines}
        self._counters = {
            user: counter for user, counter in self._counters.items() if user in waiting or counter > self._floor
        }
