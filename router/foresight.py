"""All that this gateway knows which a decision in seconds needs: accounts, prefixes, sessions, lengths of answers.

Told of every dispatch, first token and end in the same step as they happen, it needs no scrape and has no lag. Times
are arguments; same events, same answers.
"""

from collections.abc import Hashable, Iterable

import msgspec

from inventory.catalog import ModelName
from nodes.rates import Rates
from nodes.snapshot import EngineId, NodeId
from router.cost import Ask, Prospect, Standing
from router.machine_account import MachineAccount, Seat, Work
from router.output_means import OutputMeans
from router.prefix_index import BLOCK_TOKENS, CAUTION, Chain, PrefixIndex
from router.rates import Bias, Learnt
from router.request import Feature
from router.sessions import Session, SessionId, Sessions, Stay
from router.strangers import Report
from router.warming import Spot, WarmUp


class EngineFacts(msgspec.Struct, frozen=True):
    """Of an engine that can serve, from a snapshot and from what was measured of it. Rates None: not measured."""

    engine_id: EngineId
    node_id: NodeId
    rates: Rates | None
    slots: int
    cache_tokens: int
    generation: int = 0  # a restart begins with an empty cache
    load_s: float = 0
    round_trip_s: float = 0
    bias: Bias = Bias()
    report: Report | None = None  # None: it says nothing of how busy it is
    kept: float = 1.0  # what its cache was seen to keep, as a share of `cache_tokens`


class Question(msgspec.Struct, frozen=True):
    """A request as the gateway received it."""

    prompt_tokens: int
    kind: Hashable  # of its answer: see OutputMeans
    output_limit: int | None = None
    chain: Chain = ()
    session: str | None = None  # as its client names it, with its tenant
    tokens_per_chained: float = 1.0  # of this prompt, for one of those that its chain's blocks stand for
    tenant: str = ""  # whose prompt it is, where it has a chain
    classes: frozenset[str] = frozenset()  # privacy classes of this prompt; its chain is of them, too


class Trip:
    """A request that was sent to an engine."""

    __slots__ = ("index", "kept_tokens", "known_tokens", "machine", "question", "session_id", "work")

    def __init__(
        self, question: Question, machine: MachineAccount, work: Work, session_id: SessionId, index: PrefixIndex
    ) -> None:
        self.question, self.machine, self.work, self.session_id, self.index = question, machine, work, session_id, index
        self.kept_tokens = index.kept_tokens  # as it was believed when it was sent
        self.known_tokens = index.insert(question.chain)

    def told(self, cached: int) -> None:
        """By its engine: so many tokens of its prompt were cached."""
        question = self.question
        chained = int(cached / question.tokens_per_chained)
        self.index.told(self.known_tokens, min(chained, self.index.tokens_of(question.chain)), self.kept_tokens)


class _Known:
    """An engine that somebody measured, with its place in all accounts."""

    __slots__ = ("facts", "index", "machine", "seat")

    def __init__(self, facts: EngineFacts, machine: MachineAccount, seat: Seat, index: PrefixIndex) -> None:
        self.facts, self.machine, self.seat, self.index = facts, machine, seat, index


class Foresight:
    """One for a gateway. `block_tokens` is the size of the blocks in every chain it is given."""

    def __init__(self, block_tokens: int = BLOCK_TOKENS, caution: float = CAUTION) -> None:
        self._block_tokens, self._caution = block_tokens, caution
        self._facts: dict[EngineId, EngineFacts] = {}
        self._machines: dict[NodeId, MachineAccount] = {}
        self._indexes: dict[EngineId, PrefixIndex] = {}
        self._known: dict[EngineId, _Known] = {}
        self.sessions = Sessions()
        self.outputs = OutputMeans()

    def follow(self, engines: Iterable[EngineFacts]) -> None:
        """The engines that can serve, by the last snapshot. Those that stay keep what was learnt of them."""
        found = {facts.engine_id: facts for facts in engines}
        for engine_id in self._facts.keys() - found.keys():
            self._forget(engine_id)
        for facts in found.values():
            self._learn_of(facts)

    def look_again(self, now_s: float) -> None:
        """At what engines say of themselves, and at those that nobody asks. Called now and then."""
        for machine in self._machines.values():
            for seat in machine.seats.values():
                seat.hear(self._facts[seat.engine_id].report, now_s)
                seat.look_again(now_s)

    def learnt(self) -> dict[EngineId, Learnt]:
        seats = [seat for machine in self._machines.values() for seat in machine.seats.values()]
        return {seat.engine_id: self._learnt(seat) for seat in seats}

    def knows(self, engine_id: EngineId) -> bool:
        """Where it does not, nothing is to be told of what goes there."""
        return engine_id in self._known

    def prospect(self, question: Question, engine_ids: Iterable[EngineId], now_s: float) -> Prospect | None:
        """None where the rates of any of these are unknown: seconds and guesses cannot be compared."""
        session_id = self.sessions.recognise(question.session, question.chain)
        session = self.sessions.get(session_id)
        standings: dict[EngineId, Standing] = {}
        backlog_s: float = 0
        machine, backlog_tokens = None, 0
        for engine_id in engine_ids:
            known = self._known.get(engine_id)
            if known is None:
                return None
            facts, seat, index = known.facts, known.seat, known.index
            if machine is not known.machine:
                machine = known.machine
                machine.follow(now_s)
                backlog_s, backlog_tokens = machine.backlog()
            home = session is not None and session.engine_id == engine_id
            matched = index.match(question.chain)
            standings[engine_id] = Standing(  # by position: names cost more than all the rest of it
                seat.rates,
                facts.cache_tokens,
                seat.slots,
                seat.believed,
                seat.in_flight,
                seat.decoding,
                seat.kv_tokens,
                backlog_s,
                backlog_tokens,
                machine.neighbours_step_s(seat),
                self.sessions.live_tokens(engine_id, now_s, session_id),
                self._cached(question, matched, session if home else None) if matched or home else 0,
                facts.load_s,
                facts.round_trip_s,
                home,
                index.kept_tokens,
                seat.strangers.count,
                seat.strangers.age_s,
            )
        output = self.outputs.expected(question.kind, question.output_limit)
        multi_turn = self.sessions.comes_back(session_id, question.session, now_s)
        return Prospect(Ask(question.prompt_tokens, output, multi_turn), standings, session_id)

    def dispatched(
        self,
        question: Question,
        engine_id: EngineId,
        now_s: float,
        prospect: Prospect | None = None,
        whole: bool = False,
    ) -> Trip:
        """In the same step as the decision, to an engine that it knows: `prospect` is what that was made of. `whole`:
        nobody will tell of a first token."""
        prospect = prospect or self.prospect(question, (engine_id,), now_s)
        assert prospect is not None
        known, cached = self._known[engine_id], prospect.standings[engine_id].cached_tokens
        tokens = question.prompt_tokens + int(prospect.ask.output_tokens)
        work = Work(known.seat, question.prompt_tokens, cached, tokens, whole)
        known.machine.dispatch(work, now_s)
        stay = Stay(engine_id, tokens, now_s)
        session_id = self.sessions.settle(prospect.session_id, question.session, question.chain, stay)
        return Trip(question, known.machine, work, session_id, known.index)

    def first_token(self, trip: Trip, now_s: float) -> None:
        trip.machine.first_token(trip.work, now_s)

    def ended(self, trip: Trip, now_s: float, output_tokens: int | None = None, cached: int | None = None) -> None:
        """However it ended; the counts where its engine gave them."""
        trip.machine.end(trip.work, now_s, output_tokens, cached)
        if cached is not None and trip.question.chain:
            trip.told(cached)
        held = 0 if output_tokens is None else trip.question.prompt_tokens + output_tokens
        self.sessions.touch(trip.session_id, now_s, held)
        if output_tokens is not None:
            self.outputs.ended(trip.question.kind, output_tokens)

    def spot(
        self, engine_id: EngineId, model: ModelName, context_tokens: int, lacks: frozenset[Feature], now_s: float
    ) -> Spot | None:
        """An engine as warming looks at it; None where nobody has measured it."""
        known = self._known.get(engine_id)
        if known is None:
            return None
        facts, seat = known.facts, known.seat
        return Spot(
            engine_id=engine_id,
            node_id=facts.node_id,
            model=model,
            tokens_per_s=seat.rates.prefill / seat.bias.prefill,
            quiet_s=known.machine.quiet_s(now_s),
            index=known.index,
            context_tokens=context_tokens,
            slots=facts.slots,
            live_sessions=self.sessions.live_count(engine_id, now_s),
            live_tokens=self.sessions.live_tokens(engine_id, now_s),
            lacks=lacks,
        )

    def quiet_s(self, node_id: NodeId, now_s: float) -> float | None:
        """Since a machine last had anything to do; 0 while it has. None where nobody has measured it."""
        machine = self._machines.get(node_id)
        return None if machine is None else machine.quiet_s(now_s)

    def warms(self, engine_id: EngineId, more: int) -> None:
        """A warm-up or a guest begins there, or ends: 1 or -1. No decision counts it, as it leaves for any request."""
        known = self._known.get(engine_id)
        if known is not None:
            known.seat.warm(more)

    def warmed(self, warm_up: WarmUp) -> None:
        """Its engine has read it."""
        index = self._indexes.get(warm_up.engine_id)
        if index is not None:
            index.insert(warm_up.chain)

    def _cached(self, question: Question, matched: int, session: Session | None) -> int:
        """Of a prompt: what the index knows; where it has all of the session's last prompt, which was served there, the
        answer as well."""
        cached = int(matched * question.tokens_per_chained)
        if session is not None and matched >= session.blocks * self._block_tokens:
            cached = max(cached, session.held_tokens // self._block_tokens * self._block_tokens)
        most = question.prompt_tokens - 1
        return cached if cached < most else most

    def _learnt(self, seat: Seat) -> Learnt:
        engine_id = seat.engine_id
        return Learnt(seat.rates, seat.bias, self._facts[engine_id].cache_tokens, self._indexes[engine_id].kept)

    def _learn_of(self, facts: EngineFacts) -> None:
        engine_id, bias, kept = facts.engine_id, facts.bias, facts.kept
        known = self._facts.get(engine_id)
        if known is not None:
            if _same(known, facts):
                self._facts[engine_id] = facts
                if engine_id in self._known:
                    self._known[engine_id].facts = facts
                return
            before = self._machines[known.node_id].seats.get(engine_id) if known.rates is not None else None
            if before is not None and before.rates == facts.rates:
                bias = before.bias
            if known.cache_tokens == facts.cache_tokens:
                kept = self._indexes[engine_id].kept
            self._forget(engine_id)
        self._facts[engine_id] = facts
        index = self._indexes[engine_id] = PrefixIndex(facts.cache_tokens, self._block_tokens, self._caution, kept)
        if facts.rates is not None:
            machine = self._machines.setdefault(facts.node_id, MachineAccount())
            seat = Seat(engine_id, facts.rates, facts.slots, bias)
            machine.seat(seat)
            self._known[engine_id] = _Known(facts, machine, seat, index)

    def _forget(self, engine_id: EngineId) -> None:
        facts = self._facts.pop(engine_id)
        self._indexes.pop(engine_id, None)
        self._known.pop(engine_id, None)
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
