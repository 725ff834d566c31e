"""A voice around a voice: what an engine says, with the values that its prompt's pseudonyms stand for, and without
those that it must not say.

It stands before the dialect's own voice, so that places in the answer, as citations count them, are of what the client
reads. Probabilities of single tokens would tell what a blank hides, so they are left out.
"""

from collections.abc import Callable

import msgspec

from cluster.pii.streams import Blanking, Restoring
from router.errors import ApiError
from router.file_search import Searched
from router.pii_guard import Guard
from router.request import Citing, Voice

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, object]).decode
_DATA, _DONE, _BETWEEN = b"data:", b"[DONE]", b"\n\n"
_SAID = ("content", "reasoning", "reasoning_content", "refusal")
Part = tuple[object, ...]
"""Of an answer: which choice, which field, and of a tool's call its number."""


def guarded_voice(inner: Voice, guard: Guard) -> Voice:
    return CitingGuard(inner, guard) if isinstance(inner, Citing) else GuardedVoice(inner, guard)


class GuardedVoice:
    """Implements router.request.Voice, for one call."""

    def __init__(self, inner: Voice, guard: Guard) -> None:
        self._inner, self._guard = inner, guard
        self._texts: dict[Part, _Text] = {}  # of a stream, that have not ended
        self.content_type, self.comments = inner.content_type, inner.comments

    def whole(self, body: bytes) -> bytes:
        if self._idle:
            return self._inner.whole(body)
        answer = _decode(body)
        for number, choice in enumerate(_dicts(answer.get("choices"))):
            self._choice(choice, "message", ("whole", number))
            self._end(choice, "message", ("whole", number))
        return self._inner.whole(_encode(answer))

    def events(self, events: bytes) -> bytes:
        if self._idle:
            return self._inner.events(events)
        told = []
        for event in events.removesuffix(_BETWEEN).split(_BETWEEN):
            lines = [self._line(line) if line.startswith(_DATA) else line for line in event.split(b"\n")]
            told.append(b"\n".join(lines) + _BETWEEN)
        return self._inner.events(b"".join(told))

    def broken(self, error: ApiError) -> bytes:
        return self._inner.broken(error)

    @property
    def _idle(self) -> bool:
        """Nothing to put back, and nothing to look for."""
        return not self._guard.values and not self._guard.blanks

    def _line(self, line: bytes) -> bytes:
        data = line[len(_DATA) :].strip()
        if data == _DONE:
            return line
        chunk = _decode(data)
        for choice in _dicts(chunk.get("choices")):
            number = choice.get("index", 0)
            self._choice(choice, "delta", (number,))
            if choice.get("finish_reason") is not None:
                self._end(choice, "delta", (number,))
        return b"data: %b" % _encode(chunk)

    def _choice(self, choice: dict[str, object], holder: str, of: Part) -> None:
        """Every text that it says."""
        if choice.get("logprobs") is not None:
            choice["logprobs"] = None
        if isinstance(choice.get("text"), str):
            choice["text"] = self._push((*of, "text"), choice["text"])
        message = choice.get(holder)
        if not isinstance(message, dict):
            return
        for name in _SAID:
            if isinstance(message.get(name), str):
                message[name] = self._push((*of, name), message[name])
        for at, call in enumerate(_dicts(message.get("tool_calls"))):
            function = call.get("function")
            if isinstance(function, dict) and isinstance(function.get("arguments"), str):
                part = (*of, "tool_calls", call.get("index", at))
                function["arguments"] = self._push(part, function["arguments"], within_json)

    def _push(self, part: Part, piece: object, quoted: Callable[[str], str] = str) -> str:
        text = self._texts.get(part)
        if text is None:
            text = self._texts[part] = _Text(self._guard, quoted)
        return text.push(str(piece))

    def _end(self, choice: dict[str, object], holder: str, of: Part) -> None:
        """What was held back of this choice, at the end of what it says."""
        for part in [part for part in self._texts if part[: len(of)] == of]:
            rest = self._texts.pop(part).flush()
            if rest:
                _append(choice, holder, part[len(of) :], rest)


class CitingGuard(GuardedVoice):
    """One whose dialect has a place for sources. Implements router.request.Citing."""

    def citing(self, searched: Searched) -> Voice:
        assert isinstance(self._inner, Citing)
        return guarded_voice(self._inner.citing(searched), self._guard)


class _Text:
    """One text of an answer, as it comes. What an engine says itself is blanked before values are put back: those are
    the caller's own."""

    def __init__(self, guard: Guard, quoted: Callable[[str], str]) -> None:
        self._blanking = Blanking(guard.plan) if guard.blanks else None
        self._restoring = Restoring(guard.values, quoted)

    def push(self, piece: str) -> str:
        return self._restoring.push(piece if self._blanking is None else self._blanking.push(piece))

    def flush(self) -> str:
        held = "" if self._blanking is None else self._blanking.flush()
        return self._restoring.push(held) + self._restoring.flush()


def within_json(value: str) -> str:
    """As it is written between the quotes of a JSON string."""
    return _encode(value)[1:-1].decode()


def _append(choice: dict[str, object], holder: str, part: Part, rest: str) -> None:
    if part[0] == "text":
        choice["text"] = f"{choice.get('text') or ''}{rest}"
        return
    message = choice.get(holder)
    if not isinstance(message, dict):
        message = choice[holder] = {}
    if part[0] != "tool_calls":
        message[part[0]] = f"{message.get(part[0]) or ''}{rest}"
        return
    calls = _dicts(message.get("tool_calls"))
    for at, call in enumerate(calls):
        function = call.get("function")
        if call.get("index", at) == part[1] and isinstance(function, dict):
            function["arguments"] = f"{function.get('arguments') or ''}{rest}"
            return
    message["tool_calls"] = [*calls, {"index": part[1], "function": {"arguments": rest}}]


def _dicts(value: object) -> list[dict[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
