"""Work that nobody waits for, on engines that nobody asks: who runs where, and that it leaves when somebody comes.

A guest has no place in the accounts by which requests are placed: an engine with guests is as good as idle, as they
are gone before the first request is sent there.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from nodes.snapshot import EngineId, NodeId
from router.accounting import Ledger, Reservation
from router.decision import Candidate
from router.foresight import Foresight


class Guest(Protocol):
    def make_way(self) -> None:
        """Close the connection to the engine at once, and end."""
        ...


class GuestPlace:
    """One guest's place. Released once, however often it is asked for."""

    __slots__ = ("_candidate", "_guest", "_guests", "_reservation")

    def __init__(self, guests: "Guests", guest: Guest, candidate: Candidate, reservation: Reservation) -> None:
        self._guests: Guests | None = guests
        self._guest, self._candidate, self._reservation = guest, candidate, reservation

    def release(self) -> None:
        guests, self._guests = self._guests, None
        if guests is not None:
            self._reservation.release()
            guests.left(self._guest, self._candidate)


class Guests:
    """Of one gateway."""

    def __init__(self, foresight: Foresight) -> None:
        self._foresight = foresight
        self._on: dict[NodeId, dict[Guest, None]] = {}
        self.ledger = Ledger()  # theirs
        self.wanted: Callable[[], Mapping[str, int]] = (
            dict  # how many there are, running or not, by the model they name
        )

    def __bool__(self) -> bool:
        """There are some."""
        return bool(self._on)

    @property
    def running(self) -> Mapping[EngineId, int]:
        return self.ledger.in_flight

    def enter(self, guest: Guest, candidate: Candidate, tokens: int) -> GuestPlace:
        """In the same step as the decision for it. `tokens`: of a cache that requests of this engine share."""
        self._on.setdefault(candidate.node_id, {})[guest] = None
        self._foresight.warms(candidate.engine_id, 1)
        return GuestPlace(self, guest, candidate, self.ledger.reserve(candidate.engine_id, tokens))

    def left(self, guest: Guest, candidate: Candidate) -> None:
        """Called by its place, once."""
        there = self._on[candidate.node_id]
        del there[guest]
        if not there:
            del self._on[candidate.node_id]
        self._foresight.warms(candidate.engine_id, -1)

    def close(self) -> None:
        """All leave."""
        for node_id in tuple(self._on):
            self.make_room(node_id)

    def make_room(self, node_id: NodeId) -> None:
        """Somebody's request goes to this machine. Told before it is sent there: nothing of theirs is in its way."""
        for guest in tuple(self._on.get(node_id, ())):
            guest.make_way()
