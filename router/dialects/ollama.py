"""POST /api/chat and POST /api/generate, Ollama's dialect: closed schemas, turned into what every engine understands.

Accepted and dropped: `keep_alive` and the options of a launch (`num_ctx`, `num_gpu`, `num_thread`, …), because how a
model is loaded is its operator's to say; `truncate` and `shift`, because a prompt that is too long is refused; samplers
that no engine here has, where they are set to change nothing, with what only they look at; `repeat_last_n`, `num_keep`.
Refused: `template`, `suffix` and `context` with something in them, and a request without a word, by which Ollama would
only load a model.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.dialects.chat import ChatBody, JsonFormat, NamedSchema, SchemaFormat, TemplateArguments, Tool, prepared
from router.dialects.chat_messages import Message
from router.dialects.common import (
    BodyPrompt,
    Closed,
    Dropped,
    JsonObject,
    ModelField,
    Penalty,
    Repetition,
    Seed,
    Share,
    Stops,
    StopText,
    Temperature,
    TopK,
    TopLogprobs,
    decode,
)
from router.dialects.completions import CompletionBody
from router.dialects.heard import answer_in, text_answer_in
from router.dialects.ollama_messages import Images, Turn, chat_messages, user_message
from router.dialects.ollama_voice import ChatLine, GenerateLine, Line, OllamaVoice
from router.errors import invalid
from router.request import Arrival, Parsed, Voice

LATEST = ":latest"  # the tag that Ollama's clients give a name that has none
ANSWER = "answer"  # names a schema: Ollama's have no name
RAW_TOKENS = 128  # of an answer to a raw prompt, without `num_predict`: engines would end it anywhere, one at 16

Off = Annotated[float, Meta(ge=1, le=1)]
Level = Literal["low", "medium", "high"]


class Options(Closed):
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    num_predict: Annotated[int, Meta(ge=-2, le=2**31 - 1)] | None = None  # none of it, or less: no limit
    seed: Seed | None = None
    stop: StopText | Stops | None = None
    repeat_penalty: Repetition | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None

    typical_p: Off | None = None
    tfs_z: Off | None = None
    mirostat: Annotated[int, Meta(ge=0, le=0)] | None = None

    mirostat_eta: Dropped = None
    mirostat_tau: Dropped = None
    repeat_last_n: Dropped = None
    penalize_newline: Dropped = None
    num_keep: Dropped = None
    num_ctx: Dropped = None
    num_batch: Dropped = None
    num_gpu: Dropped = None
    num_thread: Dropped = None
    main_gpu: Dropped = None
    low_vram: Dropped = None
    f16_kv: Dropped = None
    logits_all: Dropped = None
    vocab_only: Dropped = None
    use_mmap: Dropped = None
    use_mlock: Dropped = None
    numa: Dropped = None
    embedding_only: Dropped = None


class _Body(Closed, kw_only=True):
    """What both routes take."""

    model: ModelField
    stream: bool | None = None  # not said is true
    format: Literal["", "json"] | JsonObject | None = None
    options: Options | None = None
    think: bool | Level | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    keep_alive: Dropped = None
    truncate: Dropped = None
    shift: Dropped = None

    @property
    def streams(self) -> bool:
        return self.stream is not False

    @property
    def name(self) -> str:
        return bare(self.model)


class OllamaChat(_Body, kw_only=True):
    """The fields accepted, and nothing else."""

    messages: Annotated[list[Turn], Meta(min_length=1, max_length=4096)]
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None


class OllamaGenerate(_Body, kw_only=True):
    """The fields accepted, and nothing else."""

    prompt: Annotated[str, Meta(min_length=1)]
    system: str | None = None
    images: Images | None = None
    raw: bool | None = None
    template: str | None = None
    suffix: str | None = None
    context: list[int] | None = None


_chats = msgspec.json.Decoder(OllamaChat)
_generates = msgspec.json.Decoder(OllamaGenerate)
_NO_OPTIONS = Options()


def bare(model: str) -> str:
    """A model's own name."""
    return model.removesuffix(LATEST)


def parse_chat(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_chats, raw)
    chat = _as_chat(body, chat_messages(body.messages))
    chat.tools = list(body.tools) if body.tools else None
    return prepared(chat, body.streams, usage_wanted=True, voice=_voice(body, ChatLine))


def parse_generate(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_generates, raw)
    for field in ("template", "suffix", "context"):
        if getattr(body, field):
            raise invalid(f"`{field}` is not taken here; a model has its own template", field)
    if body.raw:
        return _raw(body)
    system = [Message("system", body.system)] if body.system else []
    chat = _as_chat(body, [*system, user_message(body.prompt, body.images, "images")])
    return prepared(chat, body.streams, usage_wanted=True, voice=_voice(body, GenerateLine))


def _as_chat(body: _Body, messages: list[Message]) -> ChatBody:
    options = body.options or _NO_OPTIONS
    chat = ChatBody(
        model=body.name,
        messages=messages,
        max_tokens=_limit(options),
        logprobs=body.logprobs or None,
        top_logprobs=body.top_logprobs if body.logprobs else None,
    )
    _sample(chat, options)
    if body.format:
        json = body.format == "json"
        chat.response_format = JsonFormat() if json else SchemaFormat(NamedSchema(ANSWER, _schema(body), strict=True))
    if body.think is not None:
        chat.chat_template_kwargs = TemplateArguments(enable_thinking=body.think is not False)
        chat.reasoning_effort = body.think if isinstance(body.think, str) else None
    return chat


def _raw(body: OllamaGenerate) -> Parsed:
    """A prompt that no template is put around."""
    for field in ("system", "images", "format", "think", "logprobs"):
        if getattr(body, field):
            raise invalid(f"a raw prompt goes to the model as it is, so `{field}` cannot be heeded", field)
    options, asked = body.options or _NO_OPTIONS, body.name
    limit = _limit(options) or RAW_TOKENS
    completion = CompletionBody(model=asked, prompt=body.prompt, max_tokens=limit)
    _sample(completion, options)
    return Parsed(
        asked,
        body.streams,
        usage_wanted=True,
        prompt_characters=len(body.prompt),
        output_tokens_limit=limit,
        prompt=BodyPrompt(completion),
        engine_api="completions",
        voice=_voice(body, GenerateLine, raw=True),
    )


def _voice(body: _Body, line: type[Line], raw: bool = False) -> Callable[[Arrival, int], Voice]:
    said, read = body.model, text_answer_in if raw else answer_in

    def voice(arrival: Arrival, prompt_tokens: int) -> Voice:
        return OllamaVoice(line, read, said, arrival.arrived_wall_s)

    return voice


def _sample(body: ChatBody | CompletionBody, options: Options) -> None:
    body.temperature, body.seed, body.stop = options.temperature, options.seed, options.stop or None
    body.top_p, body.top_k, body.min_p = options.top_p, options.top_k, options.min_p
    body.repetition_penalty = options.repeat_penalty
    body.frequency_penalty, body.presence_penalty = options.frequency_penalty, options.presence_penalty


def _limit(options: Options) -> int | None:
    return options.num_predict if options.num_predict is not None and options.num_predict > 0 else None


def _schema(body: _Body) -> JsonObject:
    assert isinstance(body.format, dict)
    return body.format
