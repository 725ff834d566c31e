"""All that this gateway knows which a decision in seconds needs: accounts, prefixes, sessions, lengths of answers.

Told of every dispatch, first token and end in the same step as they happen, it needs no scrape and has no lag. Times
are arguments; same events, same answers.
"""

from collections.abc import Hashable, Iterable

import msgspec

from nodes.snapshot import EngineId, NodeId
from router.cost import Ask, Prospect, Standing
from router.machine_account import MachineAccount, Seat, Work
from router.output_means import OutputMeans
from router.prefix_index import BLOCK_TOKENS, CAUTION, Chain, PrefixIndex
from router.rates import Bias, Rates
from router.sessions import Session, SessionId, Sessions, Stay


class EngineFacts(msgspec.Struct, frozen=True):
    """Of an engine that can serve, from a snapshot and from what was measured of it. Rates None: not measured."""

    engine_id: EngineId
    node_id: NodeId
    rates: Rates | None
    slots: int
    cache_tokens: int
    generation: int = 0  # a restart begins with an empty cache
    load_s: float = 0.0
    round_trip_s: float = 0.0
    bias: Bias = Bias()


class Question(msgspec.Struct, frozen=True):
    """A request as the gateway received it."""

    prompt_tokens: int
    kind: Hashable  # of its answer: see OutputMeans
    output_limit: int | None = None
    chain: Chain = ()
    session: str | None = None  # as its client names it, with its tenant


class Trip:
    """A request that was sent to an engine."""

    __slots__ = ("machine", "question", "session_id", "work")

    def __init__(self, question: Question, machine: MachineAccount, work: Work, session_id: SessionId) -> None:
        self.question, self.machine, self.work, self.session_id = question, machine, work, session_id


class Foresight:
    """One for a gateway. `block_tokens` is the size of the blocks in every chain it is given."""

    def __init__(self, block_tokens: int = BLOCK_TOKENS, caution: float = CAUTION) -> None:
        self._block_tokens, self._caution = block_tokens, caution
        self._facts: dict[EngineId, EngineFacts] = {}
        self._machines: dict[NodeId, MachineAccount] = {}
        self._indexes: dict[EngineId, PrefixIndex] = {}
        self.sessions = Sessions()
        self.outputs = OutputMeans()

    def follow(self, engines: Iterable[EngineFacts]) -> None:
        """The engines that can serve, by the last snapshot. Those that stay keep what was learnt of them."""
        found = {facts.engine_id: facts for facts in engines}
        for engine_id in self._facts.keys() - found.keys():
            self._forget(engine_id)
        for facts in found.values():
            self._learn_of(facts)

    def biases(self) -> dict[EngineId, Bias]:
        return {seat.engine_id: seat.bias for machine in self._machines.values() for seat in machine.seats.values()}

    def prospect(self, question: Question, engine_ids: Iterable[EngineId], now_s: float) -> Prospect | None:
        """None where the rates of any of these are unknown: seconds and guesses cannot be compared."""
        session_id = self.sessions.recognise(question.session, question.chain)
        session = self.sessions.get(session_id)
        standings: dict[EngineId, Standing] = {}
        for engine_id in engine_ids:
            facts = self._facts.get(engine_id)
            if facts is None or facts.rates is None:
                return None
            machine = self._machines[facts.node_id]
            machine.follow(now_s)
            seat = machine.seats[engine_id]
            backlog_s, backlog_tokens = machine.backlog()
            standings[engine_id] = Standing(
                rates=seat.rates,
                cache_tokens=facts.cache_tokens,
                slots=seat.slots,
                bias=seat.bias,
                in_flight=seat.in_flight,
                decoding=seat.decoding,
                kv_tokens=seat.kv_tokens,
                backlog_s=backlog_s,
                backlog_tokens=backlog_tokens,
                neighbours_step_s=machine.neighbours_step_s(engine_id),
                live_tokens=self.sessions.live_tokens(engine_id, now_s, session_id),
                cached_tokens=self._cached(question, engine_id, session),
                load_s=facts.load_s,
                round_trip_s=facts.round_trip_s,
                home=session is not None and session.engine_id == engine_id,
            )
        output = self.outputs.expected(question.kind, question.output_limit)
        multi_turn = self.sessions.comes_back(session_id, question.session, now_s)
        return Prospect(Ask(question.prompt_tokens, output, multi_turn), standings)

    def dispatched(self, question: Question, engine_id: EngineId, now_s: float) -> Trip:
        """In the same step as the decision."""
        facts = self._facts[engine_id]
        machine = self._machines[facts.node_id]
        known = self.sessions.recognise(question.session, question.chain)
        cached = self._cached(question, engine_id, self.sessions.get(known))
        output = int(self.outputs.expected(question.kind, question.output_limit))
        tokens = question.prompt_tokens + output
        work = Work(machine.seats[engine_id], question.prompt_tokens, cached, tokens)
        machine.dispatch(work, now_s)
        self._indexes[engine_id].insert(question.chain)
        stay = Stay(engine_id, tokens, now_s)
        session_id = self.sessions.settle(known, question.session, question.chain, stay)
        return Trip(question, machine, work, session_id)

    def first_token(self, trip: Trip, now_s: float) -> None:
        trip.machine.first_token(trip.work, now_s)

    def ended(self, trip: Trip, now_s: float, output_tokens: int | None = None, cached: int | None = None) -> None:
        """However it ended; the counts where its engine gave them."""
        trip.machine.end(trip.work, now_s, output_tokens, cached)
        held = 0 if output_tokens is None else trip.question.prompt_tokens + output_tokens
        self.sessions.touch(trip.session_id, now_s, held)
        if output_tokens is not None:
            self.outputs.ended(trip.question.kind, output_tokens)

    def _cached(self, question: Question, engine_id: EngineId, session: Session | None) -> int:
        """Of a prompt: what the index knows; where it has all of the session's last prompt, the answer as well."""
        matched = self._indexes[engine_id].match(question.chain)
        if session is not None and session.engine_id == engine_id and matched >= session.blocks * self._block_tokens:
            matched = max(matched, session.held_tokens // self._block_tokens * self._block_tokens)
        return max(min(matched, question.prompt_tokens - 1), 0)

    def _learn_of(self, facts: EngineFacts) -> None:
        engine_id, bias = facts.engine_id, facts.bias
        known = self._facts.get(engine_id)
        if known is not None:
            if _same(known, facts):
                self._facts[engine_id] = facts
                return
            if known.rates == facts.rates:
                bias = self.biases().get(engine_id, bias)
            self._forget(engine_id)
        self._facts[engine_id] = facts
        self._indexes[engine_id] = PrefixIndex(facts.cache_tokens, self._block_tokens, self._caution)
        if facts.rates is not None:
            machine = self._machines.setdefault(facts.node_id, MachineAccount())
            machine.seat(Seat(engine_id, facts.rates, facts.slots, bias))

    def _forget(self, engine_id: EngineId) -> None:
        facts = self._facts.pop(engine_id)
        self._indexes.pop(engine_id, None)
        self.sessions.engine_gone(engine_id)
        machine = self._machines.get(facts.node_id)
        if machine is not None:
            machine.unseat(engine_id)
            if not machine.seats:
                del self._machines[facts.node_id]


def _same(one: EngineFacts, other: EngineFacts) -> bool:
    return (one.node_id, one.generation, one.rates, one.slots, one.cache_tokens) == (
        other.node_id, other.generation, other.rates, other.slots, other.cache_tokens
    )  # fmt: skip
