"""From bytes to a running call: authenticate, parse, resolve the model. Every host of the hot routes uses it."""

from collections.abc import Callable

from nodes.relay.contract import Writer
from router.call import Call
from router.call_context import CallContext, request_id_lines
from router.call_report import NO_MODEL, CallReport, outcome_of
from router.dialects import chat, completions
from router.errors import ApiError, stopping, unknown_model
from router.ids import RequestIds, sane_client_id
from router.request import Api, Arrival, Identity, InferenceRequest, Parsed
from router.view import GatewayView

HOT_PATHS: dict[bytes, Api] = {b"/v1/chat/completions": "chat", b"/v1/completions": "completions"}
_PARSERS: dict[Api, Callable[[bytes], Parsed]] = {"chat": chat.parse, "completions": completions.parse}

HeaderMap = dict[bytes, bytes]  # names in lower case


class Dispatcher:
    """Synchronous from end to end: between a decision and its reservation nothing else can run."""

    def __init__(self, context: CallContext, view: GatewayView, ids: RequestIds) -> None:
        self.context, self.view, self.ids = context, view, ids
        self.draining = False

    def identify(self, headers: HeaderMap) -> Identity:
        """Raises ApiError 401, or 503 before the first AccessSnapshot."""
        wall_s = self.context.clock.wall_s()
        return self.view.keys.identify(headers.get(b"authorization"), headers.get(b"x-api-key"), wall_s)

    def arrive(self, api: Api, headers: HeaderMap) -> Arrival:
        """Who asks, before the body is read. Raises ApiError as `identify` does."""
        clock = self.context.clock
        return Arrival(
            request_id=self.ids.next(),
            client_request_id=sane_client_id(headers.get(b"x-client-request-id") or headers.get(b"x-request-id")),
            api=api,
            identity=self.identify(headers),
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
            names = self.view.table.names
            routes = names.get(asked)
            if routes is None:
                raise unknown_model(asked, names)
        except ApiError as error:
            self.refuse(arrival, asked, error, writer)
            return None
        call = Call(self.context, InferenceRequest(arrival, routes.view.name, parsed), routes, writer)
        call.start()
        return call

    def refuse(self, arrival: Arrival, asked: str, error: ApiError, writer: Writer) -> None:
        lines = request_id_lines(arrival.request_id, arrival.client_request_id)
        writer.respond(error.status, lines + error.header_lines(), error.body())
        report = CallReport(arrival, NO_MODEL, asked, stream=False)
        report.end(outcome_of(error.status), error.status, error.code, self.context.clock.monotonic_s())
        self.context.note(report)

    def turn_away(self, error: ApiError, writer: Writer) -> None:
        """An error for somebody whose name is not known: nothing is recorded under a tenant."""
        writer.respond(error.status, request_id_lines(self.ids.next(), None) + error.header_lines(), error.body())
