"""What a simulated engine is asked for, and how it writes its answers: OpenAI's shapes, as far as it knows them."""

import time
from typing import Literal, TypeVar

import msgspec

from nodes.engines.simulated_batch import Tokens, Work
from nodes.engines.simulated_words import tokens_of

Body = TypeVar("Body")


class RefusedError(Exception):
    """A request that cannot be answered, in the words of OpenAI's errors. Caught by the routes."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class _Part(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    role: str = ""
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        words = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or ())
        return f"{self.role}: {words}\n"


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class Asked(msgspec.Struct):
    """A request for text, as far as this engine reads it."""

    messages: list[_Message] | None = None
    prompt: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None

    @property
    def tokens(self) -> Tokens:
        return tokens_of("".join(message.text for message in self.messages or ()) or self.prompt or "") or ("\n",)


class AskedVectors(msgspec.Struct):
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class Shape:
    """How the answer to one request is written."""

    def __init__(self, model: str, chat: bool, finish_reason: str) -> None:
        self._model, self.chat, self._finish_reason = model, chat, finish_reason
        self._created = int(time.time())

    def base(self, streamed: bool) -> dict[str, object]:
        """Of every object. The fingerprint is where OpenAI's clients look for what made an answer."""
        kind = ("chat.completion" if self.chat else "text_completion") + (".chunk" if streamed and self.chat else "")
        told = {"id": "simulated", "object": kind, "created": self._created, "model": self._model}
        return {**told, "system_fingerprint": "simulated"}

    def chunk(self, piece: str, role: str) -> dict[str, object]:
        delta = {"role": role, "content": piece} if role else {"content": piece}
        return self._choice({"delta": delta} if self.chat else {"text": piece}, None)

    def last(self) -> dict[str, object]:
        return self._choice({"delta": {}} if self.chat else {"text": ""}, self._finish_reason)

    def whole(self, text: str, work: Work) -> dict[str, object]:
        content = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": self._finish_reason}
        return {**self.base(streamed=False), "choices": [choice], "usage": self.usage(work)}

    def usage(self, work: Work) -> dict[str, object]:
        prompt, output = len(work.prompt), work.written
        cached = {"prompt_tokens_details": {"cached_tokens": work.cached}}
        return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output, **cached}

    def _choice(self, content: dict[str, object], finish_reason: str | None) -> dict[str, object]:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": finish_reason}
        return {**self.base(streamed=True), "choices": [choice]}


def read(body: bytes, kind: type[Body]) -> Body:
    """Raises RefusedError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(400, f"a simulated engine cannot read this request: {error}") from None
