"""POST /v1/responses, OpenAI's newer dialect: a closed schema, turned into the chat request every engine understands.

It is stateless: a client sends the whole conversation each time, and what would need a stored one (an earlier response,
a conversation, a reference to an item, work in the background) is refused. `store` is accepted whatever it says, and
every answer says that nothing was stored.

The tool `file_search` is the gateway's own: what it finds is read by the model before it begins (docs/decisions/0027),
and is an item of the answer as well.

Accepted and dropped, because no engine here has such a thing: `user`, `safety_identifier`, `service_tier`,
`prompt_cache_retention`, `client_metadata`, `stream_options`, `text.verbosity`, encrypted thoughts (`include` may ask
for them; none are given), and the tool `web_search`, which Codex offers with every request and does without. The tools
that `max_tool_calls` counts are those that a model has a server run: there are none. Other tools are refused.
Functions in a namespace, as Codex offers those of its plugins, are told to engines by one name.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from inventory.clock import SystemClock
from router.dialects import chat
from router.dialects.common import (
    Closed,
    Count,
    Dropped,
    JsonObject,
    Label,
    Metadata,
    ModelField,
    Penalty,
    Share,
    Temperature,
    TopLogprobs,
    check_schema,
    decode,
)
from router.dialects.responses_answer import JsonSaid, ReasoningSettings, Response, SchemaSaid, TextSaid, TextSettings
from router.dialects.responses_input import Item, chat_messages
from router.dialects.responses_tools import (
    MOST_TOOLS,
    Choice,
    Offer,
    choice_said,
    names_of,
    offer_tools,
    search_of,
    tools_said,
)
from router.dialects.responses_voice import ResponsesVoice
from router.errors import ApiError, invalid
from router.request import Arrival, Parsed, Voice

LOGPROBS, RESULTS = "message.output_text.logprobs", "file_search_call.results"


class SchemaFormat(Closed, tag_field="type", tag="json_schema"):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    schema: JsonObject
    description: str | None = None
    strict: bool | None = None


Format = chat.TextFormat | chat.JsonFormat | SchemaFormat


Included = Literal["reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results"]


class Text(Closed):
    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


Summary = Literal["auto", "concise", "detailed"]


class Reasoning(Closed):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None


class EventOptions(Closed):
    include_obfuscation: bool | None = None


class ResponsesBody(Closed):
    """The fields accepted, and nothing else. Those of the last group ask for what only a server that stores can do."""

    model: ModelField
    input: str | Annotated[list[Item], Meta(min_length=1, max_length=4096)]
    instructions: str | None = None
    stream: bool | None = None
    stream_options: EventOptions | None = None
    max_output_tokens: Count | None = None
    max_tool_calls: Count | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    top_logprobs: TopLogprobs | None = None
    tools: Annotated[list[Offer], Meta(max_length=MOST_TOOLS)] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    include: list[Included] | None = None
    metadata: Metadata | None = None
    prompt_cache_key: Label | None = None
    safety_identifier: Label | None = None
    user: Label | None = None
    store: bool | None = None
    service_tier: Label | None = None
    prompt_cache_retention: Label | None = None
    client_metadata: Dropped = None

    previous_response_id: Dropped = None
    conversation: Dropped = None
    prompt: Dropped = None
    background: bool | None = None
    truncation: Literal["disabled", "auto"] | None = None


_decoder = msgspec.json.Decoder(ResponsesBody)


def parse(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_decoder, raw)
    _check_state(body)
    names, said = names_of(body.tools or ()), _said(body)
    included = body.include or ()
    logprobs = bool(body.top_logprobs) or LOGPROBS in included
    search = search_of(body.tools or (), body.tool_choice, RESULTS in included)

    def voice(arrival: Arrival, prompt_tokens: int) -> Voice:
        number = arrival.request_id.removeprefix("req_")
        response = msgspec.structs.replace(said, id=f"resp_{number}", created_at=int(arrival.arrived_wall_s))
        return ResponsesVoice(response, names, logprobs, SystemClock())

    parsed = chat.prepared(_as_chat(body, logprobs), body.stream is True, usage_wanted=True, voice=voice)
    return parsed if search is None else msgspec.structs.replace(parsed, search=search, side=None)


def _check_state(body: ResponsesBody) -> None:
    for field in ("previous_response_id", "conversation", "prompt"):
        if getattr(body, field) is not None:
            raise _unable(field, "nothing is stored here; send the whole conversation as `input`, and leave it out")
    if body.background:
        raise _unable("background", "nothing is stored here, so nobody could fetch the answer later; leave it out")
    if body.truncation == "auto":
        raise _unable("truncation", "a conversation is never cut here; shorten it yourself, and leave it out")


def _unable(field: str, why: str) -> ApiError:
    return invalid(f"`{field}` cannot be done: {why}", field, "unsupported_parameter")


def _as_chat(body: ResponsesBody, logprobs: bool) -> chat.ChatBody:
    asked = chat.ChatBody(
        model=body.model,
        messages=chat_messages(body.instructions, body.input),
        max_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logprobs=logprobs or None,
        top_logprobs=body.top_logprobs,
        response_format=_format(body.text.format) if body.text is not None else None,
        reasoning_effort=body.reasoning.effort if body.reasoning is not None else None,
        prompt_cache_key=body.prompt_cache_key,
    )
    offer_tools(asked, body.tools or (), body.tool_choice)
    if asked.tools:
        asked.parallel_tool_calls = body.parallel_tool_calls
    return asked


def _format(form: Format | None) -> chat.TextFormat | chat.JsonFormat | chat.SchemaFormat | None:
    if not isinstance(form, SchemaFormat):
        return form
    check_schema(form.schema, "text.format.schema")
    return chat.SchemaFormat(chat.NamedSchema(form.name, form.schema, form.description, form.strict))


def _said(body: ResponsesBody) -> Response:
    """What a response says again of its request. Its defaults are OpenAI's: engines have their own, unknown here."""
    thinking = body.reasoning or Reasoning()
    return Response(
        id="",
        created_at=0,
        model=body.model,
        status="in_progress",
        output=[],
        tools=tools_said(body.tools or ()),
        tool_choice=choice_said(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        text=_text_said(body.text or Text()),
        reasoning=ReasoningSettings(thinking.effort, thinking.summary or thinking.generate_summary),
        metadata=body.metadata or {},
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        top_logprobs=body.top_logprobs or 0,
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        max_tool_calls=body.max_tool_calls,
        safety_identifier=body.safety_identifier,
        prompt_cache_key=body.prompt_cache_key,
        user=body.user or msgspec.UNSET,
    )


def _text_said(text: Text) -> TextSettings:
    form: TextSaid | JsonSaid | SchemaSaid = TextSaid()
    if isinstance(text.format, SchemaFormat):
        asked = text.format
        form = SchemaSaid(asked.name, asked.schema, asked.strict is True, asked.description or msgspec.UNSET)
    elif isinstance(text.format, chat.JsonFormat):
        form = JsonSaid()
    return TextSettings(form, text.verbosity or "medium")
