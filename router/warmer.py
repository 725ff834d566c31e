"""Lets idle machines read what several sessions will ask for again, and stops them when a request comes.

What to read where is router.warming's to say. A warm-up is nobody's request: it has no record, no limit and no place in
the accounts by which requests are placed. Its log line tells what it was for, and never a word of it.
"""

from collections.abc import Callable, Iterator, Sized
from typing import Literal, NamedTuple

from inventory.catalog import ModelName
from nodes.relay.contract import Failure, Headers
from nodes.relay.exchange import Exchange
from router.call_parts import CallParts
from router.decision import Candidate
from router.dialects.beginning import beginning_of
from router.foresight import Foresight, Question, Trip
from router.outlook import BLOCK_BYTES
from router.prefix_index import BLOCK_TOKENS
from router.request import EngineApi, Feature, Parsed, Prompt
from router.upstreams import body_for
from router.warming import LEAST_TOKENS, Beginning, Spot, WarmUp, choose, worth_reading
from router.warming_counts import SharedBeginnings
from router.warming_texts import HeldTexts
from router.witness import GatewayWitness

PATIENCE_S = 60.0  # with an engine that should be done in a second or a few
ASKS: frozenset[Feature] = frozenset({"tools", "tool_choice"})  # what is left of a prompt's needs in its beginning

Outcome = Literal["read", "cancelled", "failed"]


class _Text(NamedTuple):
    api: EngineApi
    prompt: Prompt


class Warmer:
    """One for a gateway, with one warm-up at a time. `on`: cluster.yaml wants it."""

    def __init__(self, parts: CallParts, foresight: Foresight, room: Sized, witness: GatewayWitness) -> None:
        """`room` holds the requests that wait for an engine."""
        self._parts, self._foresight, self._room, self._witness = parts, foresight, room, witness
        self._shared = SharedBeginnings()
        self._texts: HeldTexts[_Text] = HeldTexts()
        self._reading: _Reading | None = None
        self.on = False

    @property
    def held_bytes(self) -> int:
        """Of prompts, that wait to be read."""
        return self._texts.held_bytes

    @property
    def busy(self) -> bool:
        return self._reading is not None

    def placed(self, candidate: Candidate, parsed: Parsed, question: Question, trip: Trip | None) -> None:
        """A request goes to an engine. Told before it is sent there: nothing of ours is in its way."""
        reading = self._reading
        if reading is not None and reading.candidate.node_id == candidate.node_id:
            reading.cancel("a request came")
        if trip is not None and question.chain and parsed.side is None and "media" not in parsed.needs:
            self._notice(candidate, parsed, question, trip)

    def look(self) -> None:
        """Called a few times a second, and when a piece was read."""
        if not self.on:
            return
        now_s = self._parts.clock.monotonic_s()
        self._texts.expire(now_s)
        if self._reading is not None:
            self._reading.sweep(now_s)
            if self._room and self._reading is not None:
                self._reading.cancel("requests wait")
        elif self._texts:
            warm_up = choose(self._texts.beginnings(), self._spots(now_s), len(self._room), self._allowed)
            if warm_up is not None:
                self._begin(warm_up, now_s)

    def follow(self) -> None:
        """A snapshot came."""
        self.on = self._parts.table().warming == "on"
        if not self.on:
            self.close()
        borders = self._parts.table().borders
        if self._reading is not None and not self._is_there(self._reading.candidate):
            self._reading.cancel("its engine left")
        elif self._reading is not None and not borders.allows(
            self._reading.candidate.node_id, borders.zones_of(self._reading.warm_up.beginning.classes)
        ):
            self._reading.cancel("its machine is in another zone")
        for beginning in self._texts.beginnings():
            if not borders.may_stay(beginning.classes):
                self._texts.drop(beginning)

    def forget(self) -> None:
        """No text is kept any more."""
        self._texts.clear()

    def close(self) -> None:
        """Stop, and forget what was kept."""
        self.on = False
        if self._reading is not None:
            self._reading.cancel("switched off")
        self._texts.clear()
        self._shared = SharedBeginnings()

    def _notice(self, candidate: Candidate, parsed: Parsed, question: Question, trip: Trip) -> None:
        """Whose beginning this is, and whether another engine should have it."""
        model, now_s = ModelName(candidate.served_name), self._parts.clock.monotonic_s()
        shared = self._shared.seen(model, question.chain, trip.session_id)
        if shared * BLOCK_TOKENS < LEAST_TOKENS:
            return
        chain, needs = question.chain[:shared], parsed.needs & ASKS
        beginning = Beginning(question.tenant, model, chain, now_s, needs, question.classes)
        if self._texts.seen(beginning):
            return
        others = (spot for spot in self._spots(now_s) if spot.engine_id != candidate.engine_id)
        if any(self._allowed(beginning, spot) and worth_reading(beginning, spot) for spot in others):
            prompt = beginning_of(parsed.prompt, shared * BLOCK_BYTES)
            if prompt is not None:
                self._texts.keep(beginning, _Text(parsed.engine_api, prompt), shared * BLOCK_BYTES)

    def _candidates(self) -> Iterator[tuple[ModelName, Candidate]]:
        """Engines of models that others serve too: where there is no choice, whoever reads a prompt has it cached."""
        ejected = self._parts.health.ejected
        for model, routes in self._parts.table().models.items():
            if routes.measured and len(routes.candidates) > 1:
                for one in routes.candidates:
                    if not one.last_resort and one.engine_id not in ejected:
                        yield model, one

    def _spots(self, now_s: float) -> list[Spot]:
        found = (
            self._foresight.spot(one.engine_id, model, one.context_tokens, one.lacks, now_s)
            for model, one in self._candidates()
        )
        return [spot for spot in found if spot is not None]

    def _allowed(self, beginning: Beginning, spot: Spot) -> bool:
        """By the last snapshot, and where it can be put on record."""
        borders = self._parts.table().borders
        zones = borders.zones_of(beginning.classes)
        return zones is None or (borders.allows(spot.node_id, zones) and not self._witness.trouble)

    def _begin(self, warm_up: WarmUp, now_s: float) -> None:
        held = self._texts.text(warm_up.beginning)
        candidate = next(one for _, one in self._candidates() if one.engine_id == warm_up.engine_id)
        prompt = beginning_of(held.prompt, len(warm_up.chain) * BLOCK_BYTES) if held is not None else None
        if held is None or prompt is None:
            self._texts.drop(warm_up.beginning)
            return
        self._reading = reading = _Reading(warm_up, candidate, now_s, self._ended)
        self._foresight.warms(candidate.engine_id, 1)
        request_id = self._parts.ids.next()
        self._witness.saw(candidate.node_id, warm_up.beginning.classes, "read ahead", request_id)
        body = body_for(candidate, prompt, True, warm_up.beginning.tenant, self._parts.salt_of)
        try:
            upstream = self._parts.upstreams.of(candidate)
            message = upstream.request(held.api, request_id, body)
        except Exception as error:  # noqa: BLE001 - an unreadable secret is this engine's failure, whatever its kind
            reading.end("failed", f"its secret cannot be read: {type(error).__name__}")
            return
        reading.start(Exchange(upstream.pool, message, reading))

    def _ended(self, reading: "_Reading", outcome: Outcome, why: str) -> None:
        self._reading = None
        warm_up, now_s = reading.warm_up, self._parts.clock.monotonic_s()
        self._foresight.warms(warm_up.engine_id, -1)
        if outcome == "read":
            self._foresight.warmed(warm_up)
        if outcome == "failed" or (outcome == "read" and warm_up.last):
            self._texts.drop(warm_up.beginning)
        self._parts.metrics.warmed(outcome, warm_up.node_id)
        self._parts.log.emit(
            "warm_up",
            model=warm_up.beginning.model,
            engine=warm_up.engine_id,
            node=warm_up.node_id,
            outcome=outcome,
            why=why or None,
            reason=warm_up.reason,
            lived_s=round(now_s - reading.since_s, 3),
        )
        if outcome == "read":
            self.look()

    def _is_there(self, candidate: Candidate) -> bool:
        return any(
            (one.engine_id, one.generation) == (candidate.engine_id, candidate.generation)
            for _, one in self._candidates()
        )


class _Reading:
    """One warm-up on its way. Ends once: `on_end` hears how."""

    def __init__(
        self,
        warm_up: WarmUp,
        candidate: Candidate,
        since_s: float,
        on_end: Callable[["_Reading", Outcome, str], None],
    ) -> None:
        self.warm_up, self.candidate, self.since_s, self._on_end = warm_up, candidate, since_s, on_end
        self._exchange: Exchange | None = None
        self._spoke = False

    def start(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.start()

    def sweep(self, now_s: float) -> None:
        if now_s - self.since_s > PATIENCE_S:
            self._leave()
            self.end("failed", f"not read in {PATIENCE_S:g} s")

    def cancel(self, why: str) -> None:
        """The connection is closed at once, which frees the engine's slot."""
        self._leave()
        self.end("cancelled", why)

    def end(self, outcome: Outcome, why: str = "") -> None:
        self._exchange = None
        self._on_end(self, outcome, why)

    def on_events(self, events: bytes) -> None:
        self._spoke = self._spoke or b'"choices"' in events  # an error or an engine's progress has none

    def on_stream_end(self, held: bytes) -> None:
        if self._spoke:
            self.end("read")
        else:
            self.end("failed", "its stream had no token")

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        if status == 200:
            self.end("read")
        else:
            self.end("failed", f"answered {status}")

    def on_failure(self, failure: Failure) -> None:
        self.end("failed", f"{failure.kind}: {failure.detail}")

    def _leave(self) -> None:
        if self._exchange is not None:
            self._exchange.cancel()
