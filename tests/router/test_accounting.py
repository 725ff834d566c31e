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
        self.held: dict[int, str] = {}

    @rule(target=reservations, engine=st.sampled_from(["a", "b"]))
    def reserve(self, engine: str) -> Reservation:
        reservation = self.ledger.reserve(EngineId(engine))
        self.held[id(reservation)] = engine
        return reservation

    @rule(reservation=reservations)
    def release(self, reservation: Reservation) -> None:
        reservation.release()
        self.held.pop(id(reservation), None)

    @invariant()
    def counts_are_what_is_held(self) -> None:
        held = list(self.held.values())
        assert self.ledger.in_flight == {engine: held.count(engine) for engine in set(held)}
        assert self.ledger.total == len(held)


TestAccounting = Accounting.TestCase
