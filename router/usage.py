"""Tokens of an answer: read from a whole body, or from the events of a stream that carry them."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from router.errors import STREAM_DONE

_USAGE_KEY = b'"usage"'
_USAGE_OBJECT = re.compile(rb'"usage"\s*:\s*\{')
_ERROR_EVENT = re.compile(rb'data:\s*\{\s*"error"\s*:')
_ERROR_KEY = b'"error"'
_DATA, _MORE_DATA, _COMMENT = b"data:", b"\n\ndata:", ord(":")
_DELTA = b'"delta"'
_OPENING = re.compile(_DELTA + rb'\s*:\s*\{\s*"role"\s*:\s*"assistant"\s*(?:,\s*"\w+"\s*:\s*(?:""|null)\s*)*\}')


class PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: OutputDetails | None = None

    @property
    def cached_tokens(self) -> int | None:
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None

    @property
    def reasoning_tokens(self) -> int | None:
        return self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else None


class Tokens(msgspec.Struct, frozen=True):
    """What a request took. Unknown is None; not exact: judged by what came before it broke off."""

    input: int | None = None
    cached: int | None = None
    output: int | None = None
    reasoning: int | None = None
    exact: bool = False


class Progress(msgspec.Struct, frozen=True):
    """How far an engine is with a prompt: its length, and what of it the cache had."""

    total: int | None = None
    cache: int | None = None


class _Answer(msgspec.Struct):
    usage: Usage | None = None


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] = []
    usage: Usage | None = None


_answers = msgspec.json.Decoder(_Answer)
_chunks = msgspec.json.Decoder(_Chunk)
_progress_events = msgspec.json.Decoder(dict[str, msgspec.Raw])


def usage_of_answer(body: bytes) -> Usage | None:
    """Raises msgspec.DecodeError for a body that is not a JSON object."""
    return _answers.decode(body).usage


def joined(usages: Sequence[Usage], choices: int) -> Usage | None:
    """The one count of a stream. llama.cpp counts every choice by itself, each with its prompt; of choices that share
    a prompt it is read once."""
    if len(usages) < 2:
        return usages[0] if usages else None
    of_each = min(choices, len(usages))
    prompt = _sum(usage.prompt_tokens for usage in usages)
    cached = _sum(usage.cached_tokens for usage in usages)
    return Usage(
        None if prompt is None else prompt // of_each,
        _sum(usage.completion_tokens for usage in usages),
        PromptDetails(None if cached is None else cached // of_each),
        OutputDetails(_sum(usage.reasoning_tokens for usage in usages)),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


class StreamTap:
    """Watches a stream go by. Costs two substring searches a read; only events that say more than a token are looked
    into, and those before the first token.

    `"usage"` with its quotes cannot come from generated text: there, a quote is always escaped.
    """

    __slots__ = ("_progress", "_progress_key", "_tail", "_usage_wanted", "_usages", "error", "events")

    def __init__(self, usage_wanted: bool, progress_key: bytes | None = None) -> None:
        self._usage_wanted, self._progress_key = usage_wanted, progress_key
        self._tail = self._progress = b""
        self._usages: list[Usage] = []
        self.events = 0  # that carried tokens; the end's own are among them, but by then usage is known
        self.error: bytes | None = None  # an error event of the engine's own, which the stream must end with

    def pass_on(self, events: bytes) -> bytes:
        """What of these whole events the client should get."""
        self._tail = events
        progress = self._progress_key
        find = events.find  # `in` takes half as long again
        if find(_USAGE_KEY) >= 0 or find(_ERROR_KEY) >= 0 or (progress is not None and find(progress) >= 0):
            return self._inspect(events)
        if self.events:
            self.events += events.count(_MORE_DATA) + (events[0] != _COMMENT)
        else:
            for event in events.split(b"\n\n")[:-1]:
                self.events += self._holds_tokens(event)
        return events

    @property
    def done(self) -> bool:
        """The stream said itself that it is whole."""
        return self._tail.endswith(STREAM_DONE)

    def usage(self, choices: int = 1, prompts: int = 1) -> Usage | None:
        """What the engine counted, of so many answers to each of so many prompts; None unless it is of all of them."""
        every = len(self._usages) >= choices * prompts or self.done
        return joined(self._usages, choices) if every else None

    def progress(self) -> Progress | None:
        """The last that the engine told of its way through the prompt."""
        event, key = self._progress, self._progress_key
        if not event or key is None:
            return None
        try:
            fields = _progress_events.decode(event.removeprefix(_DATA))
            return msgspec.json.decode(fields[key.decode().strip('"')], type=Progress)
        except (msgspec.DecodeError, KeyError):
            return None

    def _inspect(self, events: bytes) -> bytes:
        kept = []
        for event in events.split(b"\n\n")[:-1]:
            if _ERROR_EVENT.match(event):
                self.error = event
                break
            if self._progress_key is not None and self._progress_key in event:
                self._progress = event
                continue
            if _USAGE_OBJECT.search(event) and self._only_usage(event):
                if not self._usage_wanted:
                    continue
            else:
                self.events += self._holds_tokens(event)
            kept.append(event + b"\n\n")
        return b"".join(kept)

    def _holds_tokens(self, event: bytes) -> bool:
        """A comment does not, nor what only names a role before the first token."""
        return event.startswith(_DATA) and (self.events > 0 or not _OPENING.match(event, event.find(_DELTA)))

    def _only_usage(self, event: bytes) -> bool:
        """Note the usage of an event; True if it says nothing else."""
        try:
            chunk = _chunks.decode(event.removeprefix(_DATA).strip())
        except msgspec.DecodeError:
            return False
        if chunk.usage is None:
            return False
        self._usages.append(chunk.usage)
        return not chunk.choices
