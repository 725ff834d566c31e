"""Reservations under any order of events: nothing leaks, nothing is released twice."""

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from nodes.snapshot import EngineId
from router.accounting import Ledger, Reservation


class Accounting(RuleBasedStateMachine):
    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.held: dict[int, tuple[str, int]] = {}
        self.live: dict[int, Reservation] = {}

    @rule(target=reservations, engine=st.sampled_from(["a", "b"]), tokens=st.sampled_from([0, 0, 7, 4096]))
    def reserve(self, engine: str, tokens: int) -> Reservation:
        reservation = self.ledger.reserve(EngineId(engine), tokens)
        self.held[id(reservation)] = (engine, tokens)
        self.live[id(reservation)] = reservation
        return reservation

    @rule(reservation=reservations)
    def release(self, reservation: Reservation) -> None:
        reservation.release()
        self.held.pop(id(reservation), None)

    @invariant()
    def counts_are_what_is_held(self) -> None:
        held = [engine for engine, _ in self.held.values()]
        assert self.ledger.in_flight == {engine: held.count(engine) for engine in set(held)}
        assert self.ledger.total == len(held)
        tokens = {engine: sum(size for name, size in self.held.values() if name == engine) for engine in set(held)}
        assert self.ledger.promised == {engine: total for engine, total in tokens.items() if total}

    @rule()
    def everything_ends(self) -> None:
        """In whatever order: nothing is left."""
        for reservation in self.live.values():
            reservation.release()
        self.live.clear()
        self.held.clear()
        assert (dict(self.ledger.in_flight), dict(self.ledger.promised)) == ({}, {})


TestAccounting = Accounting.TestCase
