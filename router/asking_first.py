"""Documents are asked before an engine is: what stands in a call's place until its prompt is whole.

Whoever offers the tool `file_search`, or has usual stores, gets what they hold on his last words into his prompt.
Nobody else pays for it: no task is made, and nothing is looked up but whether there are usual stores.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from msgspec.structs import replace

from cluster.knowledge import Ask, Found, KnowledgeError, Reader
from inventory.logs import told as kind_of
from nodes.relay.contract import Writer
from nodes.snapshot import EngineId
from router.accounting import Outcome
from router.call_context import CallContext, UnderWay, request_id_lines
from router.call_errors import took_too_long
from router.call_report import Added, CallReport, outcome_of
from router.decision import ModelRoutes
from router.dialects.with_documents import question_of, with_context
from router.errors import ApiError, internal, invalid, saturated
from router.file_search import LEAST_TOKENS, LEFT_ALONE, FileSearch, Searched, room_for, shortened, told
from router.knowledge_errors import as_api_error, no_documents
from router.readers import reader_of
from router.reply import Reply, reply_to, voice_of
from router.request import Arrival, Citing, InferenceRequest, Parsed, Voice
from router.server_tools import Knowledge
from router.token_ratio import TokenRatios

USUAL_PATIENCE_S = 20.0  # with stores that nobody named in the request
NO_ROOM, NO_QUESTION, NO_TOKENS = (
    Added(f"not searched ({why})") for why in ("no_room", "no_question", "rate_limit_exceeded")
)


@dataclass(frozen=True, slots=True)
class Errand:
    """What is asked of documents for one request. `by_tool` None: its client said nothing of them."""

    knowledge: Knowledge
    reader: Reader
    ask: Ask
    by_tool: FileSearch | None
    patience_s: float | None = None  # None: as long as its request has

    async def run(self) -> Found:
        """Raises KnowledgeError."""
        try:
            async with asyncio.timeout(self.patience_s):
                return await self.knowledge.search(self.reader, self.ask)
        except TimeoutError as error:
            said = f"nothing was found within {self.patience_s:g} s" if self.patience_s else "it took too long"
            raise KnowledgeError("not_ready", "too_slow", said) from error


def errand_of(
    knowledge: Knowledge | None, arrival: Arrival, parsed: Parsed, routes: ModelRoutes, prompt_tokens: int
) -> Errand | Added | None:
    """None where no document is asked, or why those that usually are cannot be. Raises ApiError for a tool that cannot
    be had."""
    search = parsed.search
    if not parsed.writes or parsed.side is not None or arrival.within or search == LEFT_ALONE:
        return None
    if knowledge is None:
        if search is None:
            return None
        raise no_documents()
    reader = reader_of(arrival.identity, arrival.request_id, arrival.added)
    wanted = search or FileSearch(knowledge.usual_stores(reader, routes.view.name))
    if not wanted.store_ids:
        return None
    question = shortened(question_of(parsed.prompt))
    if not question:
        return NO_QUESTION
    contexts = [candidate.context_tokens for candidate in routes.candidates]
    context = max(contexts, default=routes.view.context_tokens)
    room = room_for(context, prompt_tokens, parsed.output_tokens_limit)
    if room < LEAST_TOKENS:
        if search is None:
            return NO_ROOM
        said = f"a prompt of about {prompt_tokens} tokens leaves no room for passages in a context of {context}"
        raise invalid(f"{said}; shorten it, or leave the tool `file_search` out", parsed.prompt_field, "no_room")
    admitted = replace(reader, admitted=True)
    ask = wanted.ask(question, room, arrival.arrived_wall_s)
    return Errand(knowledge, admitted, ask, search, USUAL_PATIENCE_S if search is None else None)


class Prelude:
    """A call as long as documents are searched for it: its host, the gateway that stops and the sweeper know no other.
    Then it goes on as one, with the prompt that is whole. Ends exactly once, or goes on."""

    def __init__(
        self,
        context: CallContext,
        request: InferenceRequest,
        errand: Errand,
        writer: Writer,
        go_on: Callable[[InferenceRequest, Added, Reply], UnderWay | None],
    ) -> None:
        self._context, self._request, self._errand, self._go_on = context, request, errand, go_on
        self._reply = reply_to(request, writer)
        self.report = CallReport(request.arrival, request.model, request.parsed.model, request.parsed.stream)
        self._after: UnderWay | None = None
        self._over = False  # it ended, or went on
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._context.opened(self)
        self._task = asyncio.get_running_loop().create_task(self._run())

    # Calls by the host of the client

    def client_gone(self) -> None:
        if self._after is not None:
            self._after.client_gone()
        elif not self._over:
            self._finish("cancelled", 499, "client_closed")

    def writer_paused(self) -> None:
        if self._after is not None:
            self._after.writer_paused()

    def writer_resumed(self) -> None:
        if self._after is not None:
            self._after.writer_resumed()
        else:
            self._reply.resumed()

    # Calls by the context, as of any call

    def look(self, now_s: float) -> None:
        """It has no engine."""

    def waits_on(self, engine_id: EngineId) -> bool:
        return False

    @property
    def request(self) -> InferenceRequest:
        return self._request

    def move(self, strays: bool = False) -> None:
        """It is nowhere."""

    def sweep(self, now_s: float) -> None:
        request, settings = self._request, self._context.settings
        if now_s - request.arrival.arrived_s > settings.total_s:
            self.abandon(took_too_long(settings.total_s))
        elif request.deadline_s is not None and now_s > request.deadline_s:
            late_s = max(1, ceil(now_s - request.deadline_s))
            self.abandon(saturated("documents were searched until after the deadline of this request", late_s))
        elif request.parsed.stream:
            self._reply.keep_waiting(self._lines, now_s, settings.reading_s)

    def abandon(self, error: ApiError) -> None:
        if not self._over:
            self._reply.fail(self._lines(), error, self._request.request_id)
            self._finish(outcome_of(error.status), error.status, error.code)

    # Inside

    async def _run(self) -> None:
        request = self._request
        try:
            whole, added = await self._searched()
            if not self._over:
                self._over = True
                self._after = self._go_on(whole, added, self._reply)
                self._context.handed_on(self)
        except ApiError as error:
            self._over = self._after is not None
            self.abandon(error)
        except Exception as error:  # noqa: BLE001 - nobody else would answer the client
            self._context.log.emit("request_failed", request_id=request.request_id, error=kind_of(error))
            self._over = self._after is not None
            self.abandon(internal(request.request_id))

    async def _searched(self) -> tuple[InferenceRequest, Added]:
        """The request with what was found. Raises ApiError where the client asked for the search that failed."""
        errand = self._errand
        try:
            found = await errand.run()
        except KnowledgeError as error:
            if errand.by_tool is not None:
                raise as_api_error(error, errand.by_tool.field) from error
            return self._request, self._without(error.code, error.message)
        except Exception as error:
            if errand.by_tool is not None:
                raise
            return self._request, self._without("broken", kind_of(error))
        return with_found(self._request, errand, found, self._context.ratios)

    def _without(self, code: str, why: str) -> Added:
        """A usual store is nobody's wish of this request: it goes on."""
        self._context.log.emit(
            "documents_not_searched", request_id=self._request.request_id, code=code, reason=why,
            store=" ".join(self._errand.ask.store_ids),
        )  # fmt: skip
        return Added(f"not searched ({code})")

    def _finish(self, outcome: Outcome, status: int, code: str) -> None:
        self._over = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self.report.end(outcome, status, code, self._context.clock.monotonic_s())
        self._context.closed(self, self.report)

    def _lines(self) -> bytes:
        arrival = self._request.arrival
        return request_id_lines(arrival.request_id, arrival.client_request_id) + self.report.header_lines()


def with_found(
    request: InferenceRequest, errand: Errand, found: Found, ratios: TokenRatios
) -> tuple[InferenceRequest, Added]:
    """The request as its engine is to read it, with a voice that names what was added."""
    searched = Searched(errand.ask.text, found.passages, request.arrival.origin, errand.by_tool)
    context, guard = told(found), request.parsed.guard
    if guard is not None and context:
        context = guard.more(context, request.parsed.prompt_field)
    parsed = with_context(request.parsed, context)

    def voice(arrival: Arrival, prompt_tokens: int) -> Voice:
        plain = voice_of(parsed, arrival, prompt_tokens)
        return plain.citing(searched) if isinstance(plain, Citing) else plain

    cites = isinstance(voice_of(parsed, request.arrival, request.prompt_tokens), Citing)
    tokens = ratios.prompts.tokens_of(request.model, parsed.characters)
    whole = replace(request, parsed=replace(parsed, voice=voice), prompt_tokens=tokens, found=found.classes)
    return whole, Added(searched.words, "" if cites else searched.sources)
