"""From bytes to a running call: authenticate, parse, resolve the model. Every host of the hot routes uses it."""

import dataclasses
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from cluster.snapshot import ModelView
from nodes.relay.contract import Writer
from nodes.snapshot import NodeId
from router.answer_cache import AnswerCache, AnyKeeping, give_again
from router.asking_first import NO_TOKENS, Errand, Prelude, errand_of
from router.borders import class_set
from router.cache_store import CacheStore
from router.call import Call
from router.call_context import CallContext, UnderWay, request_id_lines
from router.call_errors import not_there, wrong_kind
from router.call_report import NO_MODEL, Added, CallReport, outcome_of
from router.capabilities import can_do
from router.data_class import HEADER, NONE, classes_in
from router.decision import ModelRoutes
from router.dialects import DIALECTS
from router.dialects.guarding import guarded
from router.errors import ApiError, invalid, stopping, unknown_model
from router.ids import RequestIds, sane_client_id
from router.limits import LimitDesk, Permit
from router.narrowing import within
from router.permissions import refusal, sees, visible
from router.pii_guard import Guard
from router.refusals import REFUSALS, RefusalNotes, claimed_key_id, known_key_id
from router.reply import Client
from router.request import Api, Arrival, EngineApi, Identity, InferenceRequest, Parsed
from router.resolution import Resolved, Wish, resolve
from router.server_tools import Knowledge
from router.side_calls import SideCall, named
from router.side_routes import as_aside, stand_in
from router.view import GatewayView

HOT_PATHS: dict[bytes, Api] = {
    path.encode(): dialect.api for dialect in DIALECTS.values() for path in (dialect.path, *dialect.also_at)
}

HeaderMap = dict[bytes, bytes]  # names in lower case
LIMITED = 429
LOWEST = -1_000_000  # priority of whatever nobody waits for
END_USER = b"x-openwebui-user-id"
DEADLINE = b"x-potluck-deadline"
TASK = b"x-openwebui-task"
LONGEST_DEADLINE_S = 86400.0
SESSION_HEADERS = (b"session-id", b"x-session-id", b"x-claude-code-session-id", b"x-openwebui-chat-id")


class Said(NamedTuple):
    """What a head says of its request, whoever asks: the same for the same bytes."""

    client_request_id: str | None
    session: str | None
    patience_s: float | None  # from its arrival
    side: SideCall | None
    fresh: bool
    host: bytes | None
    added: frozenset[str]  # privacy classes


class Dispatcher:
    """Synchronous from end to end: between a decision and its reservation nothing else can run."""

    def __init__(
        self, context: CallContext, view: GatewayView, ids: RequestIds, cache: CacheStore | None = None
    ) -> None:
        self.context, self.view, self.ids = context, view, ids
        self.answers = AnswerCache(cache, context.clock, lambda: view.cache_rules)
        self.refusals = RefusalNotes(context.clock)
        self.limits = LimitDesk(context.clock)
        view.on_access(self.limits.follow)
        self.knowledge: Knowledge | None = None  # people's documents, where this gateway keeps any
        self.draining = False

    def admit(self, headers: HeaderMap, route: str | None, known: Identity | None = None) -> Identity:
        """Who asks, if he may use this route. Raises ApiError 401 or 403, which go on record, or 503. `known`: whoever
        a session of the dashboard stands for."""
        try:
            identity = known or self.identify(headers)
            refused = refusal(identity, route) if route is not None else None
            if refused is not None:
                raise refused
        except ApiError as error:
            if error.status in REFUSALS:
                self.refusals.note(claimed_key_id(headers), error.code, route or "")
            raise
        return identity

    def identify(self, headers: HeaderMap) -> Identity:
        """Raises ApiError 401, or 503 before the first AccessSnapshot."""
        wall_s = self.context.clock.wall_s()
        identity = self.view.keys.identify(headers.get(b"authorization"), headers.get(b"x-api-key"), wall_s)
        return on_behalf(identity, headers) if identity.front_end else identity

    def arrive(self, api: Api, headers: HeaderMap, scheme: str = "", said: Said | None = None) -> Arrival:
        """Who asks, before the body is read. `said`: what is known of this head. Raises ApiError as `identify` does,
        403 who may not ask, or 400."""
        clock = self.context.clock
        identity = self.admit(headers, DIALECTS[api].path)
        arrived_s = clock.monotonic_s()
        client_request_id, session, patience_s, side, fresh, host, added = said or said_in(headers)
        return Arrival(  # by position: names would cost as much as all the rest of it
            self.ids.next(),
            client_request_id,
            api,
            identity,
            arrived_s,
            clock.wall_s(),
            session,
            None if patience_s is None else arrived_s + patience_s,
            side,
            fresh,
            trace=None if self.context.tracer is None else self.context.tracer.begin(headers, identity),
            scheme=scheme,
            host=host,
            added=added,
        )

    def begin(self, arrival: Arrival, body: bytes, writer: Writer) -> UnderWay | None:
        """Start the call; its answer goes to the writer. None: it was refused, and the writer has the error."""
        asked = ""
        try:
            if self.draining and not arrival.within:
                raise stopping()
            self.check_classes(arrival.classes, arrival.identity)
            parsed = as_aside(DIALECTS[arrival.api].parse(body), arrival, self.view.table)
            asked = parsed.model
            parsed = self._looked_through(parsed, arrival.identity)
            prompt_tokens = self._tokens_of(asked, parsed)
            resolved = self._who_answers(arrival, parsed, prompt_tokens)
            if arrival.guest_on is not None:
                resolved = as_guest(parsed, resolved, arrival.guest_on)
            model = resolved.routes.view.name
            if model != asked:
                prompt_tokens = self._tokens_of(model, parsed)
            errand = None
            if self.knowledge is not None or parsed.search is not None:
                errand = errand_of(self.knowledge, arrival, parsed, resolved.routes, prompt_tokens)
            permit = None
            if isinstance(errand, Errand):
                permit, errand = self._admit_errand(arrival.identity, parsed, prompt_tokens, errand)
            elif not arrival.within:
                permit = self._admit(arrival.identity, parsed, prompt_tokens)
        except ApiError as error:
            if error.status == LIMITED:
                self.refusals.note(
                    known_key_id(arrival.identity), error.param or error.code, DIALECTS[arrival.api].path
                )
            self.refuse(arrival, asked, error, writer)
            return None
        priority = self.limits.priority_of(arrival.identity) if arrival.guest_on is None else LOWEST
        request = InferenceRequest(arrival, model, parsed, prompt_tokens, priority)
        if not isinstance(errand, Errand):
            return self._go_on(resolved, permit, request, errand, writer)
        prelude = Prelude(self.context, request, errand, writer, partial(self._go_on_read, resolved, permit))
        prelude.report.permit, prelude.report.marks = permit, parsed.marks
        prelude.start()
        return prelude

    def _looked_through(self, parsed: Parsed, identity: Identity) -> Parsed:
        """For personal data, where the key or the cluster wants that. Raises ApiError 400."""
        guard = self.guard_of(identity)
        return parsed if guard is None else guarded(parsed, guard)

    def guard_of(self, identity: Identity) -> Guard | None:
        """Who looks through one request for personal data; None where nobody wants that."""
        plan = self.view.pii.get(identity.pii)
        return None if plan is None else Guard(plan, self.view.keys.pseudonym_key_of(identity.tenant))

    def _admit(self, identity: Identity, parsed: Parsed, prompt_tokens: int) -> Permit | None:
        """Raises ApiError 429."""
        answers = parsed.prompts * parsed.choices
        return self.limits.admit(identity, prompt_tokens, parsed.output_tokens_limit, answers)

    def _admit_errand(
        self, identity: Identity, parsed: Parsed, prompt_tokens: int, errand: Errand
    ) -> tuple[Permit | None, Errand | Added]:
        """With the passages that may come; usual stores, which nobody asked for, keep no prompt out. Raises ApiError
        429."""
        try:
            return self._admit(identity, parsed, prompt_tokens + errand.ask.budget_tokens), errand
        except ApiError:
            if errand.by_tool is not None:
                raise
            return self._admit(identity, parsed, prompt_tokens), NO_TOKENS

    def _go_on_read(
        self, resolved: Resolved, permit: Permit | None, request: InferenceRequest, added: Added, client: Client
    ) -> Call | None:
        """Documents are in its prompt, and bind it to where they may be: it goes there, or nowhere. Raises ApiError."""
        classes = request.classes
        self.check_classes(classes, request.arrival.identity)
        routes = self.context.routes_of(request) or within(self.context.borders, resolved.routes, classes)
        if routes.outside and routes.zones is not None:
            raise not_there(routes.view.name, routes.zones, classes)
        return self._go_on(Resolved(routes, resolved.why), permit, request, added, client)

    def check_classes(self, classes: frozenset[str], identity: Identity) -> None:
        """Raises ApiError 400 or 403 where nothing of these privacy classes can be served by this gateway at all, 503
        where nobody can put on record which machine gets it."""
        borders = self.view.table.borders
        if borders.zones_of(classes) is not None:
            refused = borders.refusal(classes, identity.data_class)
            if refused is not None:
                raise refused
            self.context.witness.check()

    def _go_on(
        self, resolved: Resolved, permit: Permit | None, request: InferenceRequest, added: Added | None, client: Client
    ) -> Call | None:
        """With the whole prompt. None: it was answered before, and its client has that."""
        keeping = self.answers.keeping(request, resolved.routes.view)
        if keeping is not None:
            report = CallReport(request.arrival, request.model, request.parsed.model, request.parsed.stream)
            report.permit, report.resolved, report.documents = permit, resolved.why, added
            report.marks = request.parsed.marks
            if self._give_again(keeping, request, report, client):
                return None
            request = keeping.listen(request)
        call = Call(self.context, request, resolved.routes, client)
        report = call.report
        report.permit, report.resolved, report.priority = permit, resolved.why, request.priority
        report.documents, report.marks = added, request.parsed.marks
        if keeping is not None:
            report.keeper, report.cached = keeping, False
        call.start()
        return call

    def _who_answers(self, arrival: Arrival, parsed: Parsed, prompt_tokens: int) -> Resolved:
        """Raises ApiError 404 for no model that the caller may use, 400 for one of another kind, or 503."""
        identity = arrival.identity
        wish = Wish(identity.group, prompt_tokens, parsed.prompt.said)
        resolved = self._resolve(identity, parsed.model, wish, arrival.classes)
        routes = resolved.routes
        if not can_do(parsed.engine_api, routes.view.capabilities):
            raise self._wrong_kind(identity, routes.view, parsed.engine_api)
        if parsed.side is not None and not routes.candidates:
            return stand_in(self.context, self.view, arrival, parsed, resolved)
        return resolved

    def _give_again(self, keeping: AnyKeeping, request: InferenceRequest, report: CallReport, client: Client) -> bool:
        """Answer without an engine, if the same was answered before. It takes none of the caller's tokens."""
        body, context, arrival = keeping.before(), self.context, request.arrival
        if body is None:
            return False
        report.priority, report.cached = request.priority, True
        lines = request_id_lines(arrival.request_id, arrival.client_request_id) + report.header_lines()
        try:
            give_again(body, request, lines, client, context.clock.wall_s())
        except msgspec.DecodeError:  # what is in the file is no answer: an engine gives one
            return False
        report.first_byte_s = context.clock.monotonic_s()
        report.end("ok", 200, None, report.first_byte_s)
        report.settle(context.ratios)
        context.note(report)
        return True

    def _tokens_of(self, name: str, parsed: Parsed) -> int:
        """Of all that an engine has to read, as well as is known before it counts."""
        return parsed.known_tokens or self.context.ratios.prompts.tokens_of(name, parsed.characters)

    def _wrong_kind(self, identity: Identity, view: ModelView, api: EngineApi) -> ApiError:
        kinds = {name: routes.view.capabilities for name, routes in self.view.table.models.items()}
        others = [(name, name) for name, kind in kinds.items() if kind and can_do(api, kind)]
        return wrong_kind(view, api, visible(identity, others))

    def check_name(self, identity: Identity, asked: str) -> None:
        """Raises ApiError 404 as a request for it would."""
        self.routes_for(identity, asked, 0, class_set(identity.data_class))

    def routes_for(self, identity: Identity, asked: str, prompt_tokens: int, classes: frozenset[str]) -> ModelRoutes:
        """Where a name leads this caller with a prompt of these privacy classes that has no words. Raises ApiError
        404."""
        return self._resolve(identity, asked, Wish(identity.group, prompt_tokens, str), classes).routes

    def _resolve(self, identity: Identity, asked: str, wish: Wish, classes: frozenset[str]) -> Resolved:
        """Where a name leads this caller. Raises ApiError 404, the same for a model it may not use as for none."""
        table = self.view.table
        found = resolve(table, asked, wish, partial(sees, identity), classes)
        if found is None:
            if asked in table.names:
                self.refusals.note(known_key_id(identity), "model_not_allowed", "")
            pairs = ((name, routes.view.name) for name, routes in table.names.items())
            raise unknown_model(asked, visible(identity, pairs))
        return found

    def refuse(self, arrival: Arrival, asked: str, error: ApiError, writer: Writer) -> None:
        lines = request_id_lines(arrival.request_id, arrival.client_request_id)
        writer.respond(
            error.status, lines + error.header_lines(), DIALECTS[arrival.api].error_body(error, arrival.request_id)
        )
        report = CallReport(arrival, NO_MODEL, asked, stream=False)
        report.end(outcome_of(error.status), error.status, error.code, self.context.clock.monotonic_s())
        self.context.note(report)

    def turn_away(self, api: Api, error: ApiError, writer: Writer) -> None:
        """An error for somebody whose name is not known: nothing is recorded under a tenant."""
        request_id = self.ids.next()
        lines = request_id_lines(request_id, None) + error.header_lines()
        writer.respond(error.status, lines, DIALECTS[api].error_body(error, request_id))


def as_guest(parsed: Parsed, resolved: Resolved, node_id: NodeId) -> Resolved:
    """The same, on one machine only. Raises ApiError 400 for what cannot be answered later."""
    if parsed.stream:
        raise invalid("a line of a batch is answered whole: leave `stream` out", "stream")
    routes = resolved.routes
    there = tuple(candidate for candidate in routes.candidates if candidate.node_id == node_id)
    return Resolved(dataclasses.replace(routes, candidates=there), resolved.why)


def said_in(headers: HeaderMap) -> Said:
    """Raises ApiError 400."""
    return Said(
        sane_client_id(headers.get(b"x-client-request-id") or headers.get(b"x-request-id")),
        session_of(headers),
        patience_of(headers) if DEADLINE in headers else None,
        side_of(headers[TASK]) if TASK in headers else None,
        b"cache-control" in headers and wants_fresh(headers[b"cache-control"]),
        headers.get(b"host"),
        classes_in(headers[HEADER]) if HEADER in headers else NONE,
    )


def wants_fresh(cache_control: bytes) -> bool:
    """Whether a client wants an answer of an engine, and none that was given before."""
    words = {word.strip().lower() for word in cache_control.split(b",")}
    return not words.isdisjoint((b"no-cache", b"no-store"))


def session_of(headers: HeaderMap) -> str | None:
    """The conversation, as one of the clients that say so names it."""
    for name in SESSION_HEADERS:
        if name in headers:
            return sane_client_id(headers[name])
    return None


def side_of(task: bytes) -> SideCall | None:
    """What a front end says that it asks for itself."""
    return named(task.decode("latin-1"), f"`{TASK.decode()}`")


def patience_of(headers: HeaderMap) -> float:
    """Seconds from its arrival within which the first token must come. Raises ApiError 400."""
    try:
        patience_s = float(headers[DEADLINE])
    except ValueError:
        patience_s = 0.0
    if not 0.0 < patience_s <= LONGEST_DEADLINE_S:
        raise invalid(f"`{DEADLINE.decode()}` is a number of seconds, up to {LONGEST_DEADLINE_S:g}")
    return patience_s


def on_behalf(identity: Identity, headers: HeaderMap) -> Identity:
    """The user for whom a front end asks. Of all that it may send of a person, the id alone is kept."""
    return replace(identity, user=sane_client_id(headers.get(END_USER)))
