"""One inference call: decide, reserve, relay, retry before the first byte, end properly, account once."""

import msgspec

from nodes.relay.contract import Failure, FailureKind, Headers
from nodes.relay.exchange import Exchange
from nodes.snapshot import EngineId
from router.accounting import Outcome
from router.asking import Place, choose, hold_for, message_for, streams, take_place, trace_lines
from router.assembly import Assembly
from router.call_context import CallContext
from router.call_errors import nobody, too_late, too_long_for, took_too_long, upstream_error
from router.call_report import MADE_WAY, CallReport, outcome_of
from router.decision import Candidate, Decision, ModelRoutes
from router.engine_errors import translate, translate_event, worth_another
from router.errors import ApiError, not_ready
from router.holding import Hold, hold_of
from router.outlook import question_of
from router.pulse import hangs
from router.reply import Client, reply_to
from router.request import InferenceRequest
from router.scoring import CHARACTERS_PER_TOKEN, crowded_out
from router.usage import StreamTap, usage_of_answer
from router.waiting_words import worth_waiting

MAX_TRIES = 2


class Call:
    """Owned by its writer's host, which tells it when the client leaves or can read again. Ends exactly once."""

    __slots__ = (
        "_asked_s", "_assembly", "_candidate", "_context", "_decision", "_exchange", "_finished", "_is_guest",
        "_moved", "_place", "_question", "_reply", "_routes", "_spoke", "_tap", "_tried", "_waits", "report", "request",
    )  # fmt: skip

    def __init__(self, context: CallContext, request: InferenceRequest, routes: ModelRoutes, client: Client) -> None:
        self._context, self.request, self._routes = context, request, routes
        self._reply, self._is_guest = reply_to(request, client), request.is_guest
        self.report = CallReport(request.arrival, routes.view.name, request.parsed.model, request.parsed.stream)
        self._assembly: Assembly | None = None  # where the client gets whole what the engine streams
        self._candidate: Candidate | None = None
        self._decision: Decision | None = None
        self._exchange: Exchange | None = None
        self._place: Place | None = None
        self._question = question_of(request, choice=routes.measured and len(routes.candidates) > 1)
        self._tap: StreamTap | None = None  # from the first events on
        self._tried: tuple[EngineId, ...] = ()
        self._finished = self._waits = False  # its model is not ready
        self._moved = self._spoke = False  # an event came since the last sweep; a token came in this attempt
        self._asked_s = 0.0  # when this attempt began, or its client was last kept waiting by itself

    def start(self) -> None:
        self._context.opened(self)
        crowded = self._context.room.crowded
        if self.request.model in crowded and not self._is_guest:  # behind those that wait already
            self._wait(crowded=True)
            self._context.room.look_soon(self.request.model)
        else:
            self._attempt(None)

    # Calls by the host of the client

    def client_gone(self) -> None:
        """Close the connection to the engine at once: that is what frees its slot."""
        if self._finished:
            return
        self._cancel_exchange()
        if self._assembly is None and self._tap is not None and self._tap.done:  # it has all, but for HTTP's own end
            self._finish("ok", 200, None)
        else:
            self._finish("cancelled", 499, "client_closed")

    def writer_paused(self) -> None:
        if self._exchange is not None and not self._finished:
            self._exchange.pause()

    def writer_resumed(self) -> None:
        self._reply.resumed()
        if self._exchange is not None:
            self._exchange.resume()

    def abandon(self, error: ApiError) -> None:
        """End it now with an error: the gateway is going away."""
        if not self._finished:
            self._cancel_exchange()
            self._end_with(error)

    def make_way(self) -> None:
        """A guest's, as somebody's request goes to its machine."""
        if not self._finished:
            self._cancel_exchange()
            self._reply.give_up()
            self._finish("cancelled", 499, MADE_WAY)

    def sweep(self, now_s: float) -> None:
        """Called now and then: cut a client that does not read, and an engine that does not speak."""
        if now_s - self.request.arrival.arrived_s > self._context.settings.total_s:
            self.abandon(took_too_long(self._context.settings.total_s))
        elif self._reply.paused:
            self._asked_s = now_s
            self._sweep_reader(now_s)
        elif self._exchange is not None:
            self._exchange.sweep(now_s)
            self._sweep_engine(now_s)
            if self._exchange is not None and self.request.parsed.stream:
                self._reply.keep_waiting(self._header_lines, now_s, self._context.settings.reading_s)

    def look(self, now_s: float) -> None:
        """Called before `sweep`, for every call: what this one knows of its engine's life."""
        if self._candidate is None or self._finished:
            return
        if self._moved:
            self._moved = False
            self._context.pulse.sign(self._candidate.engine_id, now_s)
        if not self._spoke:
            self._context.pulse.waits(self._candidate.engine_id, self._prompt_tokens)

    def waits_on(self, engine_id: EngineId) -> bool:
        candidate = self._candidate
        asked = candidate is not None and candidate.engine_id == engine_id and not self._finished
        return asked and not self._is_guest and not self._spoke and not self._reply.began

    def move(self, strays: bool = False) -> None:
        """Begin elsewhere, once, if another engine can serve, as this one leaves; `strays`: or not at all."""
        assert self._candidate is not None
        context, here = self._context, self._candidate
        routes = context.routes_of(self.request) or self._routes
        if self._tried and not strays:
            return
        now_s = context.clock.monotonic_s()
        if strays or choose(context, routes, self.request, self._question, now_s, (here.engine_id,)).places:
            self._cancel_exchange()
            error = not_ready(f"engine {here.engine_id} on {here.node_id} is leaving; try again")
            self._retry("strays" if strays else "drained", error)

    # Calls by the waiting room

    def hold(self) -> Hold | None:
        routes = self._context.routes_of(self.request) or self._routes
        return hold_for(self._context, routes, self.request, self._question)

    def go_on(self) -> None:
        self._waits = False
        self._routes = self._context.routes_of(self.request) or self._routes
        self._attempt(None)

    def tell(self, comment: bytes) -> None:
        self._reply.comment(self._header_lines(), comment)

    # Calls by the exchange

    def on_events(self, events: bytes) -> None:
        self._moved = True
        tap = self._tap
        if tap is None:
            tap = self._begin_tap()
        passed = tap.pass_on(events)
        if passed:
            if not self._spoke and b"data:" in passed:  # a comment keeps a client waiting, and is no token
                self._first_token()
            if self._assembly is not None:
                self._collect(self._assembly, passed)
            else:
                self._say(passed)
        if tap.error is not None and not self._finished:
            assert self._candidate is not None
            self._cancel_exchange()
            self._end_with(translate_event(tap.error, self._candidate.engine_id), "node_lost")

    def on_stream_end(self, held: bytes) -> None:
        if self._finished:
            return
        if self._tap is not None and self._tap.done:
            if self._assembly is not None:
                self._respond(self._assembly.body())  # its usage is known from the stream
            else:
                self._reply.end()
                self._finish("ok", 200, None)
            return
        self.on_failure(Failure("died", "the stream ended without its end marker", self._reply.began))

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        if status == 200:
            self._deliver(body)
            return
        assert self._candidate is not None
        candidate = self._candidate
        if status in (401, 403):
            self._context.upstreams.of(candidate).forget_secret()
        error = translate(status, body, candidate.engine_id, self.request.parsed.prompt_field)
        if status >= 500 and error.status >= 500:
            self._context.health.eject(candidate, f"answered {status}")
        if worth_another(status) and error.code != "context_length_exceeded":
            self._retry(f"status_{status}", error)
        else:
            self._end_with(error)

    def on_failure(self, failure: Failure) -> None:
        assert self._candidate is not None
        candidate = self._candidate
        self._context.health.eject(candidate, f"{failure.kind}: {failure.detail}")
        self._context.log.emit(
            "exchange_failed",
            request_id=self.request.request_id,
            engine=candidate.engine_id,
            node=candidate.node_id,
            kind=failure.kind,
            detail=failure.detail,
        )
        error = upstream_error(failure, candidate)
        if self._reply.began:
            self._context.metrics.stream_aborted(failure.kind, candidate.node_id)
            self._end_with(error)
        else:
            self._retry(failure.kind, error)

    # Inside

    def _attempt(self, last_error: ApiError | None) -> None:
        context, clock = self._context, self._context.clock
        started_s = clock.monotonic_s()
        decision = choose(context, self._routes, self.request, self._question, started_s, self._tried)
        self.report.decision_s += clock.monotonic_s() - started_s
        candidate = decision.chosen
        if candidate is None:
            crowded = crowded_out(decision)
            if (crowded or worth_waiting(self._routes)) and self.report.attempts < MAX_TRIES and not self._is_guest:
                self._wait(crowded)
            else:
                self._end_with(last_error or nobody(self._routes, decision, self.request))
            return
        if not self._tried and (late := too_late(self.request, decision, started_s)) is not None:
            self._end_with(late)
            return
        if not self._tried and not self._is_guest and hold_of(decision) is not None:
            self._wait(crowded=True)
            return
        self._decision, self._candidate = decision, candidate
        self._reply.discreet = not candidate.salted and context.several_tenants()
        self._place = take_place(context, decision, self.request, self._question, started_s, self)
        context.served(self.report, self.request)
        self.report.attempts += 1
        self._asked_s, self._moved, self._spoke = started_s, False, False
        self.report.first_token_s = None  # of an engine before
        try:
            message = message_for(context, candidate, self.request)
        except Exception as error:  # noqa: BLE001 - an unreadable secret is this engine's failure, whatever its kind
            self.on_failure(Failure("connect", f"its secret cannot be read: {type(error).__name__}", False))
            return
        self._exchange = Exchange(context.upstreams.of(candidate).pool, message, self)
        self._exchange.start()

    def _wait(self, crowded: bool) -> None:
        """For its model, which is on its way, or for others to end. An engine that was tried before is another one
        then."""
        self._candidate = self._decision = self._exchange = None
        self._tried = ()
        self._waits = True
        refusal = too_long_for(self._routes, self.request.parsed) or self._context.room.enter(self, crowded)
        if refusal is not None:
            self._waits = False
            self._end_with(refusal)

    def _retry(self, cause: str, error: ApiError) -> None:
        """Another engine, once, while the client has not had a byte; else the error."""
        assert self._candidate is not None
        self._tried = (*self._tried, self._candidate.engine_id)
        self._tap = self._assembly = None
        if self._place is not None:
            self._place.leave()
        if len(self._tried) >= MAX_TRIES or self._is_guest:  # whoever sent that one tries again
            self._end_with(error)
            return
        self._context.metrics.retried(cause, self._candidate.node_id)
        self._routes = self._context.routes_of(self.request) or self._routes  # it may have waited for long
        self._attempt(error)

    def _deliver(self, body: bytes) -> None:
        try:
            usage = usage_of_answer(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.on_failure(Failure("protocol", "its answer is not JSON", False))
            return
        self.report.usage = usage
        self._respond(body)

    def _respond(self, body: bytes) -> None:
        assert self._candidate is not None
        try:
            self._reply.whole(self._header_lines(), body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.on_failure(Failure("protocol", "its answer is not OpenAI's", False))
            return
        self._context.health.proved(self._candidate)
        self._finish("ok", 200, None)

    @property
    def _prompt_tokens(self) -> int:
        return self.request.parsed.characters // CHARACTERS_PER_TOKEN

    def _first_token(self) -> None:
        assert self._candidate is not None
        self._spoke = True
        context, engine_id = self._context, self._candidate.engine_id
        context.health.proved(self._candidate)
        now_s = context.clock.monotonic_s()
        self.report.first_token_s = now_s - self._asked_s
        context.pulse.measured(engine_id, self._prompt_tokens, self.report.first_token_s)
        if self._place is not None:
            self._place.first_token(now_s)
        context.room.look_soon(self.request.model)

    def _begin_tap(self) -> StreamTap:
        """What watches the stream of this attempt, and what puts it together for a client who wants it whole."""
        assert self._candidate is not None
        whole = not self.request.parsed.stream
        if whole:
            self._assembly = Assembly(self.request.parsed.engine_api)
        self._tap = StreamTap(whole or self.request.parsed.usage_wanted, self._candidate.progress_key)
        return self._tap

    def _say(self, events: bytes) -> None:
        if not self._reply.began:
            self.report.first_byte_s = self._context.clock.monotonic_s()
        try:
            self._reply.events(b"" if self._reply.began else self._header_lines(), events)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._misspoken()
            return
        if self._reply.paused and self._exchange is not None:
            self._exchange.pause()

    def _misspoken(self) -> None:
        self._cancel_exchange()
        self.on_failure(Failure("protocol", "an event of its stream is not OpenAI's", self._reply.began))

    def _collect(self, assembly: Assembly, events: bytes) -> None:
        limit_bytes = self._context.settings.answer_limit_bytes
        try:
            assembly.push(events)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._misspoken()
            return
        if assembly.taken_bytes > limit_bytes:
            self._cancel_exchange()
            self.on_failure(Failure("too_large", f"an answer of more than {limit_bytes} bytes", False))

    def _end_with(self, error: ApiError, outcome: Outcome | None = None) -> None:
        """The proper end of a call that failed: an error event in a stream, or an error answer."""
        self._reply.fail(self._header_lines(), error, self.request.request_id)
        self._finish(outcome or outcome_of(error.status), error.status, error.code)

    def _finish(self, outcome: Outcome, status: int, code: str | None) -> None:
        self._finished = True
        if self._waits:
            self._context.room.leave(self)
        self._exchange = None  # no reference cycle is left: the call, its prompt with it, is freed at once
        report = self.report
        report.heard(self.request.parsed, self._tap)
        if self._place is not None:
            self._place.leave(report.usage)
        report.decision = self._decision
        report.end(outcome, status, code, self._context.clock.monotonic_s())
        self._context.closed(self, report)

    def _cancel_exchange(self) -> None:
        exchange = self._exchange
        if exchange is not None:
            exchange.cancel()

    def _header_lines(self) -> bytes:
        return trace_lines(self._context, self.report, self._candidate, self._decision)

    def _sweep_engine(self, now_s: float) -> None:
        """Give up an engine whose silence means that it hangs, or whose machine is gone."""
        candidate, pulse = self._candidate, self._context.pulse
        if candidate is None or self._finished or self._exchange is None:
            return
        quiet_s = pulse.silence(candidate.engine_id, self._asked_s, now_s)
        settings = self._context.settings
        limit_s = pulse.limit_s(candidate.engine_id, settings.stall_s if self._spoke else settings.first_token_s)
        streamed = streams(candidate, self.request.parsed)
        if candidate.engine_id in pulse.lost and quiet_s > settings.gone_s:
            failure = Failure("died", "its machine is lost", self._reply.began)
        elif hangs(quiet_s, limit_s, pulse.counters_age_s(candidate.engine_id, now_s), streamed):
            kind: FailureKind = "stall" if self._spoke else "first_byte_timeout"
            failure = Failure(kind, f"no sign of life for {quiet_s:.0f} s", self._reply.began)
        else:
            return
        self._cancel_exchange()
        self.on_failure(failure)

    def _sweep_reader(self, now_s: float) -> None:
        if self._reply.stuck_s(now_s) > self._context.settings.slow_reader_s:
            self._context.log.emit("slow_reader_cut", request_id=self.request.request_id)
            self._cancel_exchange()
            self._reply.give_up()
            self._finish("cancelled", 499, "slow_reader")
