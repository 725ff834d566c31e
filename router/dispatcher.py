"""From bytes to a running call: authenticate, parse, resolve the model. Every host of the hot routes uses it."""

from collections.abc import Callable

from msgspec.structs import replace

from nodes.relay.contract import Writer
from router.call import Call
from router.call_context import CallContext, request_id_lines
from router.call_report import NO_MODEL, CallReport, outcome_of
from router.dialects import chat, completions
from router.errors import ApiError, stopping, unknown_model
from router.ids import RequestIds, sane_client_id
from router.limits import LimitDesk
from router.permissions import refusal, sees, visible
from router.refusals import REFUSALS, RefusalNotes, claimed_key_id, known_key_id
from router.request import Api, Arrival, Identity, InferenceRequest, Parsed
from router.resolution import Resolved, Wish, resolve
from router.view import GatewayView

HOT_PATHS: dict[bytes, Api] = {b"/v1/chat/completions": "chat", b"/v1/completions": "completions"}
_PARSERS: dict[Api, Callable[[bytes], Parsed]] = {"chat": chat.parse, "completions": completions.parse}
_ROUTES: dict[Api, str] = {api: path.decode() for path, api in HOT_PATHS.items()}

HeaderMap = dict[bytes, bytes]  # names in lower case
LIMITED = 429
END_USER = b"x-openwebui-user-id"


class Dispatcher:
    """Synchronous from end to end: between a decision and its reservation nothing else can run."""

    def __init__(self, context: CallContext, view: GatewayView, ids: RequestIds) -> None:
        self.context, self.view, self.ids = context, view, ids
        self.refusals = RefusalNotes(context.clock)
        self.limits = LimitDesk(context.clock)
        view.on_access(self.limits.follow)
        self.draining = False

    def admit(self, headers: HeaderMap, route: str | None) -> Identity:
        """Who asks, if he may use this route. Raises ApiError 401 or 403, which go on record, or 503."""
        try:
            identity = self.identify(headers)
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

    def arrive(self, api: Api, headers: HeaderMap) -> Arrival:
        """Who asks, before the body is read. Raises ApiError as `identify` does, or 403 who may not ask."""
        clock = self.context.clock
        identity = self.admit(headers, _ROUTES[api])
        return Arrival(
            request_id=self.ids.next(),
            client_request_id=sane_client_id(headers.get(b"x-client-request-id") or headers.get(b"x-request-id")),
            api=api,
            identity=identity,
            arrived_s=clock.monotonic_s(),
            arrived_wall_s=clock.wall_s(),
        )

    def begin(self, arrival: Arrival, body: bytes, writer: Writer) -> Call | None:
        """Start the call; its answer goes to the writer. None: it was refused, and the writer has the error."""
        asked = ""
        try:
            if self.draining:
                raise stopping()
            parsed = _PARSERS[arrival.api](body)
            asked = parsed.model
            ratio, characters = self.context.ratios.prompts, parsed.prompt_characters
            wish = Wish(arrival.identity.group, ratio.tokens_of(asked, characters), parsed.prompt.said)
            resolved = self._resolve(arrival.identity, asked, wish)
            prompt_tokens = ratio.tokens_of(resolved.routes.view.name, characters)
            answers = parsed.prompts * parsed.choices
            permit = self.limits.admit(arrival.identity, prompt_tokens, parsed.output_tokens_limit, answers)
        except ApiError as error:
            if error.status == LIMITED:
                self.refusals.note(known_key_id(arrival.identity), error.param or error.code, _ROUTES[arrival.api])
            self.refuse(arrival, asked, error, writer)
            return None
        routes = resolved.routes
        priority = self.limits.priority_of(arrival.identity)
        call = Call(self.context, InferenceRequest(arrival, routes.view.name, parsed, priority), routes, writer)
        call.report.permit, call.report.resolved, call.report.priority = permit, resolved.why, priority
        call.start()
        return call

    def check_name(self, identity: Identity, asked: str) -> None:
        """Raises ApiError 404 as a request for it would."""
        self._resolve(identity, asked, Wish(identity.group, 0, str))

    def _resolve(self, identity: Identity, asked: str, wish: Wish) -> Resolved:
        """Where a name leads this caller. Raises ApiError 404, the same for a model it may not use as for none."""
        table = self.view.table
        found = resolve(table, asked, wish, lambda name, model: sees(identity, name, model))
        if found is None:
            if asked in table.names:
                self.refusals.note(known_key_id(identity), "model_not_allowed", "")
            pairs = ((name, routes.view.name) for name, routes in table.names.items())
            raise unknown_model(asked, visible(identity, pairs))
        return found

    def refuse(self, arrival: Arrival, asked: str, error: ApiError, writer: Writer) -> None:
        lines = request_id_lines(arrival.request_id, arrival.client_request_id)
        writer.respond(error.status, lines + error.header_lines(), error.body())
        report = CallReport(arrival, NO_MODEL, asked, stream=False)
        report.end(outcome_of(error.status), error.status, error.code, self.context.clock.monotonic_s())
        self.context.note(report)

    def turn_away(self, error: ApiError, writer: Writer) -> None:
        """An error for somebody whose name is not known: nothing is recorded under a tenant."""
        writer.respond(error.status, request_id_lines(self.ids.next(), None) + error.header_lines(), error.body())


def on_behalf(identity: Identity, headers: HeaderMap) -> Identity:
    """The user for whom a front end asks. Of all that it may send of a person, the id alone is kept."""
    return replace(identity, user=sane_client_id(headers.get(END_USER)))
