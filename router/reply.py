"""The client's side of a call: an answer in its own dialect, whole or as a stream, or the proper end of one."""

import re
from collections.abc import Callable

import msgspec

from nodes.relay.contract import Writer
from router.dialects import DIALECTS
from router.dialects.as_it_is import AS_IT_IS
from router.dialects.error_shapes import ErrorShape
from router.errors import ApiError
from router.request import Arrival, InferenceRequest, Parsed, Voice
from router.slow_reader import SlowReader

_JSON = b"content-type: application/json\r\n"
_STREAM = b"content-type: %b\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"

KEEPALIVE = b": keepalive\n\n"
# In an answer's JSON a quote inside a text is escaped, so these are keys.
_CACHED = re.compile(rb'("cached_tokens"\s*:\s*)\d+')
# llama.cpp's, which count what was not cached, and how fast that was.
_TIMINGS = re.compile(rb'("timings"\s*:\s*)(\{[^{}]*\})')
_CLOCKED = ("prompt_ms", "predicted_ms", "predicted_n", "predicted_per_token_ms", "predicted_per_second")


class Reply:
    """Written by one call, to one writer. `began`: a part of the answer is out, so no other engine can begin it."""

    __slots__ = ("_opened", "_reader", "_shape", "_told_s", "_voice", "_writer", "began", "discreet")

    def __init__(self, writer: Writer, voice: Voice, shape: ErrorShape) -> None:
        self._writer, self._voice, self._shape = writer, voice, shape
        self._reader: SlowReader | None = None  # while the client does not read
        self._told_s: float | None = None  # when it was last said, or looked for the first time, that it waits
        self.discreet = False  # nothing is told of what the engine had cached: it may have been for somebody else
        self._opened = self.began = False  # the head of a stream is out, maybe with comments only

    def goes_on(self, voice: Voice) -> "Reply":
        """The same client, answered by another voice, now that its request is whole."""
        self._voice = voice
        return self

    @property
    def paused(self) -> bool:
        return self._writer.paused

    def resumed(self) -> None:
        """The client reads again."""
        self._reader = None

    def stuck_s(self, now_s: float) -> float:
        """How long the client has taken nothing of what waits for it."""
        if self._reader is None:
            self._reader = SlowReader(now_s)
        return self._reader.stuck_s(self._writer.unsent_bytes(), now_s)

    def give_up(self) -> None:
        self._writer.abort()

    def whole(self, lines: bytes, body: bytes) -> None:
        """An engine's whole answer. Raises msgspec.DecodeError, with nothing written, where it is none."""
        told = self._voice.whole(without_cached(body) if self.discreet else body)
        self._writer.respond(200, lines + _JSON, told)

    def comment(self, lines: bytes, comment: bytes) -> None:
        """Keep the client waiting, in a dialect that has a way to say so."""
        if self._voice.comments:
            self._open(lines)
            if not self._writer.paused:
                self._writer.write(comment)

    def keep_waiting(self, lines: Callable[[], bytes], now_s: float, every_s: float) -> None:
        """Called now and then, of a stream: before it begins, its client hears every so often that it will."""
        if self.began:
            return
        if self._told_s is None:
            self._told_s = now_s
        elif now_s - self._told_s >= every_s:
            self._told_s = now_s
            self.comment(lines(), KEEPALIVE)

    def events(self, lines: bytes, events: bytes) -> None:
        """Whole events of an engine. Raises msgspec.DecodeError where they are not what its dialect promises."""
        said = self._voice.events(without_cached(events) if self.discreet else events)
        if not self.began:
            self.began = True
            self._open(lines)
        if said:
            self._writer.write(said)

    def end(self) -> None:
        """Of a stream whose last event was passed on."""
        self._writer.end()

    def fail(self, lines: bytes, error: ApiError, request_id: str) -> None:
        """An error event in a stream, or an error answer."""
        if self._opened:
            self._writer.write(self._voice.broken(error))
            self._writer.end()
        else:
            self._writer.respond(error.status, lines + error.header_lines(), self._shape(error, request_id))

    def _open(self, lines: bytes) -> None:
        if not self._opened:
            self._opened = True
            self._writer.begin_stream(200, lines + _STREAM % self._voice.content_type)


Client = Writer | Reply
"""Where an answer goes."""


def reply_to(request: InferenceRequest, client: Client) -> Reply:
    """In the dialect that its client speaks. Whoever was kept waiting before his request was whole has a reply, which
    may be open."""
    arrival = request.arrival
    voice = voice_of(request.parsed, arrival, request.prompt_tokens)
    if isinstance(client, Reply):
        return client.goes_on(voice)
    return Reply(client, voice, DIALECTS[arrival.api].error_body)


def voice_of(parsed: Parsed, arrival: Arrival, prompt_tokens: int) -> Voice:
    """What says the answer of this one call."""
    return parsed.voice(arrival, prompt_tokens) if parsed.voice is not None else AS_IT_IS


def without_cached(json: bytes) -> bytes:
    """An engine's answer or events, as if nothing had been cached. What a client can time by itself stays."""
    if json.find(b'"cached_tokens"') < 0 and json.find(b'"timings"') < 0:
        return json
    return _TIMINGS.sub(_clocked, _CACHED.sub(rb"\g<1>0", json))


def _clocked(timings: re.Match[bytes]) -> bytes:
    told: dict[str, object] = msgspec.json.decode(timings[2])
    return timings[1] + msgspec.json.encode({name: told[name] for name in _CLOCKED if name in told})
