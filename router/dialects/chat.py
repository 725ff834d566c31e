"""POST /v1/chat/completions: a closed schema, validated once and written once for the engine."""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.dialects.chat_citing import CHAT
from router.dialects.chat_messages import Message, check_messages, has_media, text_of
from router.dialects.common import (
    BodyPrompt,
    Choices,
    Closed,
    Count,
    JsonObject,
    Label,
    LogitBias,
    Metadata,
    ModelField,
    Penalty,
    Repetition,
    Seed,
    Share,
    Stops,
    StopText,
    StreamOptions,
    Temperature,
    TopK,
    TopLogprobs,
    as_read,
    check_schema,
    check_size,
    decode,
    usage_asked,
)
from router.dialects.file_search_tool import (
    FileSearchChoice,
    FileSearchOffer,
    nothing_to_choose,
    one_only,
    search_by,
)
from router.file_search import LEFT_ALONE, FileSearch
from router.request import Arrival, Feature, Parsed, Voice
from router.side_calls import Asked, SideCall, named, recognised, worth_a_look

TOOLS_BYTES = 64 * 1024
MOST_ASIDE = 8  # messages of what a front end asks for itself


class Function(Closed):
    name: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class Tool(Closed, tag_field="type", tag="function"):
    function: Function


class NamedFunction(Closed):
    name: Annotated[str, Meta(min_length=1, max_length=128)]


class NamedTool(Closed, tag_field="type", tag="function"):
    function: NamedFunction


class TextFormat(Closed, tag_field="type", tag="text"):
    pass


class JsonFormat(Closed, tag_field="type", tag="json_object"):
    pass


class NamedSchema(Closed):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    schema: JsonObject | None = None
    description: str | None = None
    strict: bool | None = None


class SchemaFormat(Closed, tag_field="type", tag="json_schema"):
    json_schema: NamedSchema


class TemplateArguments(Closed):
    """The one argument of a chat template that a client may set."""

    enable_thinking: bool | None = None


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class Reasoning(Closed):
    """As the Responses API says it, which some clients of this one do too."""

    effort: Effort | None = None
    summary: Label | None = None


class ChatBody(Closed):
    """The fields accepted, and nothing else. Those of the last group are accepted and dropped."""

    model: ModelField
    messages: Annotated[list[Message], Meta(min_length=1, max_length=4096)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    repetition_penalty: Repetition | None = None
    repeat_penalty: Repetition | None = None  # the same, as llama.cpp calls it; each engine knows one name
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Seed | None = None
    stop: StopText | Stops | None = None
    n: Choices | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    logit_bias: LogitBias | None = None
    tools: Annotated[list[Tool | FileSearchOffer], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | FileSearchChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: TemplateArguments | None = None

    reasoning: Reasoning | None = None
    user: Label | None = None
    metadata: Metadata | None = None
    store: bool | None = None
    service_tier: Label | None = None
    prompt_cache_key: Label | None = None
    safety_identifier: Label | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    modalities: list[Literal["text"]] | None = None

    def said(self) -> str:
        """All messages of the user, so that a conversation does not change its model with every turn."""
        return "\n".join(text_of(message) for message in self.messages if message.role == "user")

    def read(self) -> bytes:
        """Tools come first in most templates."""
        return as_read(self.tools, self.messages)


_decoder = msgspec.json.Decoder(ChatBody)
_NOTHING_MORE: frozenset[Feature] = frozenset()
_NONE_OF_THEM = (None,) * 8


def parse(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_decoder, raw)
    stream, search = body.stream is True, None
    if body.tools is not None or body.tool_choice is not None:
        search = _taken_out(body)
    parsed = prepared(body, stream, usage_asked(body.stream_options, stream), _as_it_is)
    return parsed if search is None else msgspec.structs.replace(parsed, search=search, side=None)


def prepared(body: ChatBody, stream: bool, usage_wanted: bool, voice: Callable[[Arrival, int], Voice]) -> Parsed:
    """A body of any dialect, as the one internal request. Raises ApiError 400 that names the field."""
    characters, media = check_messages(body.messages)
    if body.tools is not None:
        check_size(body.tools, TOOLS_BYTES, "tools")
    if isinstance(body.response_format, SchemaFormat):
        check_schema(body.response_format.json_schema.schema, "response_format.json_schema.schema")
    limit = body.max_completion_tokens or body.max_tokens
    asked, session, side = body.model, body.prompt_cache_key, _side_call(body, limit)
    _prepare(body, limit)
    return Parsed(
        asked,
        stream,
        usage_wanted,
        characters,
        limit,
        BodyPrompt(body),
        choices=body.n or 1,
        session=session,
        needs=_needs(body, media),
        voice=voice,
        side=side,
    )


def _taken_out(body: ChatBody) -> FileSearch | None:
    """What the gateway does itself, which no engine is told of. Raises ApiError 400."""
    tools = body.tools or ()
    offered = [(at, tool) for at, tool in enumerate(tools) if isinstance(tool, FileSearchOffer)]
    chosen = isinstance(body.tool_choice, FileSearchChoice)
    if not offered:
        if chosen:
            raise nothing_to_choose()
        return None
    one_only(len(offered))
    ((at, offer),) = offered
    search = search_by(offer, f"tools[{at}]")
    body.tools = [tool for tool in tools if isinstance(tool, Tool)] or None
    if body.tool_choice == "none":
        search = LEFT_ALONE
    elif chosen or body.tool_choice == "required":  # a search is what it requires
        body.tool_choice = None
    if body.tools is None:
        body.tool_choice = body.parallel_tool_calls = None
    return search


def _as_it_is(arrival: Arrival, prompt_tokens: int) -> Voice:
    return CHAT


def _needs(body: ChatBody, media: bool) -> frozenset[Feature]:
    """What not every engine can do of what it asks."""
    found: list[Feature] = []
    if body.tools:
        found.append("tools")
    if body.tool_choice is not None and body.tool_choice != "auto":
        found.append("tool_choice")
    if body.response_format is not None:
        found.append("response_format")
    if body.n is not None and body.n > 1:
        found.append("n")
    if body.logprobs or body.top_logprobs:
        found.append("logprobs")
    if body.logit_bias:
        found.append("logit_bias")
    if media:
        found.append("media")
    return frozenset(found) if found else _NOTHING_MORE


def _side_call(body: ChatBody, limit: int | None) -> SideCall | None:
    """What a front end asks for itself has no tools and no images, and nobody has answered yet."""
    messages = body.messages
    if body.tools or len(messages) > MOST_ASIDE:
        return None
    told = named(body.metadata["task"], "`metadata.task`") if body.metadata and "task" in body.metadata else None
    if told is None and not worth_a_look(text_of(messages[0]), text_of(messages[-1])):
        return None
    if any(message.role in ("assistant", "tool") or has_media(message) for message in messages):
        return None
    system = next((text_of(message) for message in messages if message.role == "system"), "")
    said = tuple(text_of(message) for message in messages if message.role == "user")
    return told or recognised(Asked(system, said, limit))


def _prepare(body: ChatBody, limit: int | None) -> None:
    """Turn what the client said into what every engine understands."""
    if body.tool_choice == "none":  # no engine need understand it
        body.tools = body.tool_choice = body.parallel_tool_calls = None
    if isinstance(body.response_format, TextFormat):
        body.response_format = None
    if body.max_completion_tokens is not None:
        body.max_tokens, body.max_completion_tokens = limit, None
    penalty = body.repetition_penalty or body.repeat_penalty
    if penalty is not None:
        body.repetition_penalty = body.repeat_penalty = penalty
    if body.reasoning is not None:
        body.reasoning_effort = body.reasoning_effort or body.reasoning.effort
        body.reasoning = None
    dropped = (body.user, body.service_tier, body.prompt_cache_key, body.safety_identifier, body.metadata, body.store,
               body.verbosity, body.modalities)  # fmt: skip
    if dropped != _NONE_OF_THEM:  # most say none, and setting a field costs three times as much as reading it
        body.user = body.service_tier = body.prompt_cache_key = body.safety_identifier = None
        body.metadata = body.store = body.verbosity = body.modalities = None
