"""When a model that starts will serve: what its kind of load took before, and what comes on top of it here.

On top come the way of an order, the leaving of those that make room, and how late a report arrives. Learnt from each
start that went well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cluster.load_times import LoadBook
from inventory.catalog import ModelName

LEARNS = 0.5  # the share of the latest start in what is expected of the next
FIRST_GUESS_S = {False: 1.0, True: 3.0}  # by whether others had to leave first


@dataclass(frozen=True, slots=True)
class Start:
    """A model on its way. `load_s` is what loading it took before, None where it never was here."""

    at_s: float  # when it was decided, monotonic
    made_room: bool
    load_s: float | None
    spoilt: bool = False  # something failed on the way: it says nothing about the next start


class Arrivals:
    """Written once a tick. `loads` is the book of what engines measured."""

    def __init__(self, loads: LoadBook) -> None:
        self.loads = loads
        self._starts: dict[ModelName, Start] = {}
        self._beside_s = dict(FIRST_GUESS_S)

    def follow(self, starts: Mapping[ModelName, Start]) -> None:
        """Every model that is on its way now. One that was known keeps the moment at which it began."""
        known = self._starts
        self._starts = {
            name: replace(known[name], spoilt=known[name].spoilt or start.spoilt) if name in known else start
            for name, start in starts.items()
        }

    def arrived(self, name: ModelName, ready_after_s: float | None, now_s: float) -> None:
        """It serves. Its node says how long its engine took, unless it found the engine running."""
        start = self._starts.pop(name, None)
        if start is not None and not start.spoilt and ready_after_s is not None:
            beside_s = max(0.0, now_s - start.at_s - ready_after_s)
            self._beside_s[start.made_room] += LEARNS * (beside_s - self._beside_s[start.made_room])

    def eta_s(self, name: ModelName, now_s: float) -> float | None:
        """Seconds until a model that is on its way serves; 0 where it is overdue, None where nothing is known."""
        start = self._starts.get(name)
        if start is None or start.load_s is None:
            return None
        return max(0.0, self.takes_s(start.load_s, start.made_room) - (now_s - start.at_s))

    def takes_s(self, load_s: float, made_room: bool) -> float:
        return load_s + self._beside_s[made_room]
