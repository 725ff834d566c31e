"""OpenAI's own dialects: an answer goes to the client as its engine wrote it, but for what engines spell unlike."""

import re

from router.errors import ApiError

_KEY = b'"reasoning'
# In an answer's JSON a quote inside a text is escaped, so a key that begins an object or follows a comma is a key.
_THINKING = re.compile(rb'(?<=[{,])(\s*)"reasoning(_content)?"(\s*:\s*)("(?:[^"\\]|\\.)*")')


class AsItIs:
    """Implements router.request.Voice, for every call at once."""

    content_type = b"text/event-stream; charset=utf-8"
    comments = True

    def whole(self, body: bytes) -> bytes:
        return body

    def events(self, events: bytes) -> bytes:
        return events

    def broken(self, error: ApiError) -> bytes:
        return error.event()


class ChatAsItIs(AsItIs):
    """With what a model thought under both names that clients look for: vLLM and mlx-lm write one, llama.cpp the
    other."""

    def whole(self, body: bytes) -> bytes:
        return both_spellings(body)

    def events(self, events: bytes) -> bytes:
        return both_spellings(events)


def both_spellings(json: bytes) -> bytes:
    if json.find(_KEY) < 0 or (b'"reasoning"' in json and b'"reasoning_content"' in json):
        return json
    return _THINKING.sub(rb'\1"reasoning"\3\4,"reasoning_content"\3\4', json)


AS_IT_IS = AsItIs()
