"""POST /v1/messages, Anthropic's dialect: a closed schema, turned into the chat request that every engine understands.

Accepted and dropped, because no engine here has such a thing: `metadata`, `service_tier`, `context_management`,
`container`, `cache_control` and `citations` of blocks, what a tool says of its loading, and an effort that no engine
grades. Refused: tools that Anthropic's servers run, files, documents that are not text, addresses of images.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.dialects.chat import (
    ChatBody,
    Function,
    NamedFunction,
    NamedSchema,
    NamedTool,
    SchemaFormat,
    TemplateArguments,
    Tool,
    prepared,
)
from router.dialects.common import Closed, Count, Dropped, JsonObject, Label, ModelField, Share, StopText, TopK, decode
from router.dialects.messages_content import TextBlock, Turn, chat_messages
from router.dialects.messages_voice import MessagesVoice
from router.errors import invalid
from router.request import Arrival, Parsed, Voice

ANSWER = "answer"  # names a schema that came without a name


class ToolOffer(Closed):
    name: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]
    input_schema: JsonObject | None = None  # which only tools of Anthropic's own servers lack
    description: str | None = None
    type: str | None = None
    strict: bool | None = None
    cache_control: Dropped = None
    input_examples: Dropped = None
    defer_loading: Dropped = None
    eager_input_streaming: Dropped = None
    allowed_callers: Dropped = None


class AutoChoice(Closed, tag_field="type", tag="auto"):
    disable_parallel_tool_use: bool | None = None


class AnyChoice(Closed, tag_field="type", tag="any"):
    disable_parallel_tool_use: bool | None = None


class ToolChoice(Closed, tag_field="type", tag="tool"):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    disable_parallel_tool_use: bool | None = None


class NoChoice(Closed, tag_field="type", tag="none"):
    pass


Choice = AutoChoice | AnyChoice | ToolChoice | NoChoice


class Thinking(Closed):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Count | None = None
    display: Literal["summarized", "omitted"] | None = None


class SchemaOutput(Closed):
    type: Literal["json_schema"]
    schema: JsonObject


class OutputConfig(Closed):
    effort: Label | None = None
    format: SchemaOutput | None = None
    task_budget: Dropped = None


class _Body(Closed, kw_only=True):
    """What both routes take."""

    model: ModelField
    messages: Annotated[list[Turn], Meta(min_length=1, max_length=4096)]
    system: str | list[TextBlock] | None = None
    stream: bool | None = None
    stop_sequences: Annotated[list[StopText], Meta(max_length=4)] | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    tools: Annotated[list[ToolOffer], Meta(max_length=128)] | None = None
    tool_choice: Choice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: SchemaOutput | None = None

    metadata: Dropped = None
    service_tier: Label | None = None
    container: None = None
    context_management: Dropped = None
    cache_control: Dropped = None
    inference_geo: Dropped = None
    speed: Dropped = None


class MessagesBody(_Body, kw_only=True):
    """The fields accepted, and nothing else."""

    max_tokens: Count


class CountBody(_Body, kw_only=True):
    """Of the request that only counts, and limits no answer."""

    max_tokens: Count | None = None


_decoder = msgspec.json.Decoder(MessagesBody)
_counts = msgspec.json.Decoder(CountBody)


def parse(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_decoder, raw)
    asked, stops = body.model, frozenset(body.stop_sequences or ())

    def voice(arrival: Arrival, prompt_tokens: int) -> Voice:
        return MessagesVoice(f"msg_{arrival.request_id}", asked, prompt_tokens, stops)

    return prepared(_as_chat(body), body.stream is True, usage_wanted=True, voice=voice)


def parse_to_count(raw: bytes) -> ChatBody:
    """The chat request whose prompt is to be counted. Raises ApiError 400 that names the field."""
    return _as_chat(decode(_counts, raw))


def _as_chat(body: MessagesBody | CountBody) -> ChatBody:
    tools, choice = body.tools or (), body.tool_choice
    chat = ChatBody(
        model=body.model,
        messages=chat_messages(body.system, body.messages),
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=list(body.stop_sequences) if body.stop_sequences else None,
        tools=[_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)] or None,
    )
    if tools and choice is not None:
        _choose(chat, choice, {tool.name for tool in tools})
    if body.thinking is not None:
        chat.chat_template_kwargs = TemplateArguments(enable_thinking=body.thinking.type != "disabled")
    output = body.output_config.format if body.output_config is not None else None
    if (form := output or body.output_format) is not None:
        chat.response_format = SchemaFormat(NamedSchema(ANSWER, form.schema, strict=True))
    return chat


def _tool(offer: ToolOffer, param: str) -> Tool:
    if offer.type not in (None, "custom"):
        raise invalid(
            f"`{offer.type[:64]}` is a tool of Anthropic's servers, and nothing here runs it", f"{param}.type"
        )
    if offer.input_schema is None:
        raise invalid("a tool needs `input_schema`", f"{param}.input_schema")
    return Tool(Function(offer.name, offer.description, offer.input_schema, offer.strict))


def _choose(chat: ChatBody, choice: Choice, names: set[str]) -> None:
    match choice:
        case NoChoice():
            chat.tool_choice = "none"
            return
        case AnyChoice():
            chat.tool_choice = "required"
        case ToolChoice(name=name):
            if name not in names:
                raise invalid(f"there is no tool `{name}` among `tools`", "tool_choice.name")
            chat.tool_choice = NamedTool(NamedFunction(name))
        case AutoChoice():
            pass
    if choice.disable_parallel_tool_use:
        chat.parallel_tool_calls = False
