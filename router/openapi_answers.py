"""What the hot routes answer, for the OpenAPI document: the fields that clients may count on. Engines add their own."""

from typing import Literal

import msgspec


class ScrapeTarget(msgspec.Struct):
    """Where Prometheus finds metrics: this gateway, which tells of every node, as whoever asks has reached it."""

    targets: list[str]
    labels: dict[str, str]


class Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class UrlCitation(msgspec.Struct):
    url: str
    title: str
    start_index: int
    end_index: int


class ChatAnnotation(msgspec.Struct):
    """A passage that the model was given, where its answer cites it."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class ChatMessage(msgspec.Struct, omit_defaults=True):
    role: Literal["assistant"]
    content: str | None = None
    annotations: list[ChatAnnotation] = []


class ChatChoice(msgspec.Struct):
    index: int
    message: ChatMessage
    finish_reason: str | None = None


class ChatAnswer(msgspec.Struct):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage | None = None


class Delta(msgspec.Struct):
    role: Literal["assistant"] | None = None
    content: str | None = None
    annotations: list[ChatAnnotation] = []


class ChunkChoice(msgspec.Struct):
    index: int
    delta: Delta
    finish_reason: str | None = None


class ChatChunk(msgspec.Struct):
    """One event of a stream. The last has no choices and the usage, where `stream_options` asks for it."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class TextChoice(msgspec.Struct):
    index: int
    text: str
    finish_reason: str | None = None


class CompletionAnswer(msgspec.Struct):
    """Whole, or one event of a stream: OpenAI gives both the same form."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None
