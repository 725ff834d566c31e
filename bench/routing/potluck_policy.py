"""The router itself, `scoring.decide` with all that the gateway would tell it; and one who knows everything."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from bench.routing.load import Job
from bench.routing.machine import Engine
from cluster.snapshot import ModelView
from inventory.catalog import ModelName
from nodes.rates import Rates
from nodes.snapshot import EngineEndpoint, EngineId, NodeId
from router.cost import Ask, Prospect, Standing, first_token_s
from router.decision import Candidate, Decision, ModelRoutes
from router.foresight import EngineFacts, Foresight, Question, Trip
from router.prefix_index import CAUTION
from router.request import Parsed, SizeOnly
from router.scoring import CHARACTERS_PER_TOKEN, decide

NOBODY: Mapping[EngineId, str] = {}
SNAPSHOT_S = 1.0  # between those that a gateway gets


@dataclass(frozen=True, slots=True)
class Belief:
    """What the router is wrong about."""

    rates: tuple[tuple[str, float], ...] = ()  # by machine: how many times faster it is believed to be
    cache: float = 1.0  # of an engine's cache
    names: bool = True  # clients name their sessions
    streams: bool = True  # answers are streamed, so that their first token shows
    caution: float = CAUTION

    def of(self, engine: Engine) -> Rates:
        factor, rates = dict(self.rates).get(engine.machine.name, 1.0), engine.rates
        return msgspec.structs.replace(
            rates,
            prefill=rates.prefill * factor,
            step_s=rates.step_s / factor,
            step_per_request_s=rates.step_per_request_s / factor,
            step_per_token_s=rates.step_per_token_s / factor,
        )


class Potluck:
    """`decide`, with everything that the gateway would tell it."""

    def __init__(self, engines: list[Engine], belief: Belief | None = None) -> None:
        self._belief = belief or Belief()
        self.foresight = Foresight(engines[0].block_tokens, self._belief.caution)
        self.foresight.follow(self._facts(engine) for engine in engines)
        self._routes: dict[tuple[str, ...], ModelRoutes] = {}
        self._trips: dict[Job, Trip] = {}
        self.predicted: dict[Job, float] = {}
        self._looked_s = 0.0

    def decision(self, job: Job, engines: list[Engine], now_s: float) -> Decision:
        prospect = self.prospect(job, engines, now_s)
        names = tuple(engine.name for engine in engines)
        routes = self._routes.get(names)
        if routes is None:
            routes = self._routes[names] = _routes(engines)
        standings = prospect.standings if prospect is not None else {}
        counts = {engine_id: standing.in_flight for engine_id, standing in standings.items()}
        parsed = Parsed(job.model, True, False, job.prompt * CHARACTERS_PER_TOKEN, None, SizeOnly())
        return decide(routes, parsed, counts, NOBODY, prospect=prospect)

    def choose(self, job: Job, engines: list[Engine], now_s: float) -> Engine:
        decision = self.decision(job, engines, now_s)
        if (
            not decision.ranked
        ):  # every queue is at its ceiling: a gateway would answer 429, but all must serve the same
            return min(engines, key=lambda engine: len(engine.in_flight))
        best = decision.ranked[0]
        self.predicted[job] = first_token_s(best.terms)
        return next(engine for engine in engines if engine.name == best.engine_id)

    def prospect(self, job: Job, engines: list[Engine], now_s: float) -> Prospect | None:
        if now_s > self._looked_s + SNAPSHOT_S:
            self._looked_s = now_s
            self.foresight.look_again(now_s)
        return self.foresight.prospect(self._question(job), [EngineId(engine.name) for engine in engines], now_s)

    def dispatched(self, job: Job, engine: Engine, now_s: float) -> None:
        question, whole = self._question(job), not self._belief.streams
        self._trips[job] = self.foresight.dispatched(question, EngineId(engine.name), now_s, whole=whole)

    def first_token(self, job: Job, engine: Engine, now_s: float) -> None:
        if self._belief.streams:
            self.foresight.first_token(self._trips[job], now_s)

    def ended(self, job: Job, engine: Engine, now_s: float) -> None:
        self.foresight.ended(self._trips.pop(job), now_s, job.output, job.cached)

    def _question(self, job: Job) -> Question:
        name = job.session.name if self._belief.names else None
        return Question(job.prompt, (job.model, job.session.kind), None, job.turn.prompt_chain, name)

    def _facts(self, engine: Engine) -> EngineFacts:
        return EngineFacts(
            engine_id=EngineId(engine.name),
            node_id=NodeId(engine.machine.name),
            rates=self._belief.of(engine),
            slots=engine.spec.slots,
            cache_tokens=int(engine.spec.cache_tokens * self._belief.cache),
            round_trip_s=engine.machine.round_trip_s,
        )


class Clairvoyant(Potluck):
    """The same cost from the truth: what engines really have cached and left to do, and how long each answer will be.

    Greedy still: it knows this moment, not who comes next.
    """

    def prospect(self, job: Job, engines: list[Engine], now_s: float) -> Prospect | None:
        guessed = super().prospect(job, engines, now_s)
        assert guessed is not None
        standings = {EngineId(engine.name): self._truth(engine, job, guessed) for engine in engines}
        return Prospect(Ask(job.prompt, job.output, guessed.ask.multi_turn), standings)

    def _truth(self, engine: Engine, job: Job, guessed: Prospect) -> Standing:
        machine, known = engine.machine, guessed.standings[EngineId(engine.name)]
        return Standing(
            rates=engine.rates,
            cache_tokens=engine.spec.cache_tokens,
            slots=engine.spec.slots,
            in_flight=len(engine.in_flight),
            decoding=engine.decoding,
            kv_tokens=sum(other.tokens for other in engine.in_flight),
            backlog_s=machine.left_s(),
            backlog_tokens=sum(other.prompt for one in machine.engines for other in one.unread),
            neighbours_step_s=sum(one.step_s for one in machine.engines if one is not engine),
            live_tokens=known.live_tokens,
            cached_tokens=engine.cached_tokens(job),
            round_trip_s=machine.round_trip_s,
            home=known.home,
        )


def _routes(engines: list[Engine]) -> ModelRoutes:
    candidates = tuple(sorted((_candidate(engine) for engine in engines), key=lambda one: one.engine_id))
    model = engines[0].spec.model
    view = ModelView(ModelName(model), None, "ready", "", 0, None, frozenset())
    engine_ids = tuple(one.engine_id for one in candidates)
    return ModelRoutes(view, candidates, (), min(one.context_tokens for one in candidates), engine_ids)


def _candidate(engine: Engine) -> Candidate:
    return Candidate(
        engine_id=EngineId(engine.name), node_id=NodeId(engine.machine.name), generation=1,
        endpoint=EngineEndpoint("127.0.0.1", 1, None), served_name=engine.spec.model, revision=engine.spec.model,
        context_tokens=engine.spec.context_tokens, cache_tokens=0, slots=engine.spec.slots, always_stream=False,
        stream_extra=b"", progress_key=None, last_resort="", progress_age_s=None, node_address=None, standing_terms=(),
    )  # fmt: skip
