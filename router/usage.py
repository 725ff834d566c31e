"""Tokens of an answer: read from a whole body, or from the one event of a stream that carries them."""

import re

import msgspec

from router.errors import STREAM_DONE

_USAGE_KEY = b'"usage"'
_USAGE_OBJECT = re.compile(rb'"usage"\s*:\s*\{')
_ERROR_EVENT = re.compile(rb'data:\s*\{\s*"error"\s*:')
_ERROR_KEY = b'"error"'


class PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None

    @property
    def cached_tokens(self) -> int | None:
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None


class _Answer(msgspec.Struct):
    usage: Usage | None = None


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] = []
    usage: Usage | None = None


_answers = msgspec.json.Decoder(_Answer)
_chunks = msgspec.json.Decoder(_Chunk)


def usage_of_answer(body: bytes) -> Usage | None:
    """Raises msgspec.DecodeError for a body that is not a JSON object."""
    return _answers.decode(body).usage


class StreamTap:
    """Watches a stream go by. Costs two substring searches a read; only the event with the usage is parsed.

    `"usage"` with its quotes cannot come from generated text: there, a quote is always escaped.
    """

    __slots__ = ("_progress_key", "_tail", "_usage_wanted", "error", "events", "usage")

    def __init__(self, usage_wanted: bool, progress_key: bytes | None = None) -> None:
        self._usage_wanted, self._progress_key = usage_wanted, progress_key
        self._tail = b""
        self.usage: Usage | None = None
        self.events = 0
        self.error: bytes | None = None  # an error event of the engine's own, which the stream must end with

    def pass_on(self, events: bytes) -> bytes:
        """What of these whole events the client should get."""
        self._tail = events
        self.events += events.count(b"\n\n")
        progress = self._progress_key
        if _USAGE_KEY in events or _ERROR_KEY in events or (progress is not None and progress in events):
            return self._inspect(events)
        return events

    @property
    def done(self) -> bool:
        """The stream said itself that it is whole."""
        return self._tail.endswith(STREAM_DONE)

    def _inspect(self, events: bytes) -> bytes:
        kept = []
        for event in events.split(b"\n\n")[:-1]:
            if _ERROR_EVENT.match(event):
                self.error = event
                break
            if self._progress_key is not None and self._progress_key in event:
                self.events -= 1
                continue
            if _USAGE_OBJECT.search(event) and self._only_usage(event):
                continue
            kept.append(event + b"\n\n")
        return b"".join(kept)

    def _only_usage(self, event: bytes) -> bool:
        """Note the usage of an event; True if it says nothing else and the client did not ask for it."""
        try:
            chunk = _chunks.decode(event.removeprefix(b"data:").strip())
        except msgspec.DecodeError:
            return False
        if chunk.usage is None:
            return False
        self.usage = chunk.usage
        if chunk.choices:
            return False
        self.events -= 1
        return not self._usage_wanted
