"""POST /v1/chat/completions: a closed schema, validated once and written once for the engine."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.dialects.chat_messages import Message, check_messages, text_of
from router.dialects.common import (
    BodyPrompt,
    Choices,
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
    check_schema,
    check_size,
    decode,
    usage_asked,
)
from router.request import Parsed

TOOLS_BYTES = 64 * 1024


class _Closed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Function(_Closed):
    name: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    function: Function


class NamedFunction(_Closed):
    name: Annotated[str, Meta(min_length=1, max_length=128)]


class NamedTool(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    function: NamedFunction


class TextFormat(_Closed, tag_field="type", tag="text"):
    pass


class JsonFormat(_Closed, tag_field="type", tag="json_object"):
    pass


class NamedSchema(_Closed):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    schema: JsonObject | None = None
    description: str | None = None
    strict: bool | None = None


class SchemaFormat(_Closed, tag_field="type", tag="json_schema"):
    json_schema: NamedSchema


class TemplateArguments(_Closed):
    """The one argument of a chat template that a client may set."""

    enable_thinking: bool | None = None


class ChatBody(_Closed):
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
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Seed | None = None
    stop: StopText | Stops | None = None
    n: Choices | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    logit_bias: LogitBias | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    chat_template_kwargs: TemplateArguments | None = None

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


_decoder = msgspec.json.Decoder(ChatBody)


def parse(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_decoder, raw)
    characters = check_messages(body.messages)
    if body.tools is not None:
        check_size(body.tools, TOOLS_BYTES, "tools")
    if isinstance(body.response_format, SchemaFormat):
        check_schema(body.response_format.json_schema.schema, "response_format.json_schema.schema")
    stream = body.stream is True
    usage_wanted = usage_asked(body.stream_options, stream)
    limit = body.max_completion_tokens or body.max_tokens
    asked = body.model
    _prepare(body, limit)
    return Parsed(asked, stream, usage_wanted, characters, limit, BodyPrompt(body), choices=body.n or 1)


def _prepare(body: ChatBody, limit: int | None) -> None:
    """Turn what the client said into what every engine understands."""
    body.max_tokens, body.max_completion_tokens = limit, None
    body.user = body.service_tier = body.prompt_cache_key = body.safety_identifier = None
    body.metadata = body.store = body.verbosity = body.modalities = None
