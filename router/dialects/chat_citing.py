"""A chat's answer with its sources: an engine's own words as they are, and annotations where it has said them all."""

from collections import defaultdict

import msgspec

from router.citations import citations, url_citation
from router.dialects.as_it_is import ChatAsItIs
from router.dialects.heard import Chunk, answer_in, chunks_in
from router.file_search import Searched

_BETWEEN = b"\n\n"
_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_choices = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class Chat(ChatAsItIs):
    """For every call at once, as nothing of it is kept."""

    def citing(self, searched: Searched) -> "ChatCiting":
        return ChatCiting(searched)


class ChatCiting(ChatAsItIs):
    """Implements router.request.Voice, for one call. A stream has them in a chunk of their own before the one that says
    why it ended, as Open WebUI reads them."""

    def __init__(self, searched: Searched) -> None:
        self._searched = searched
        self._pieces: defaultdict[int, list[str]] = defaultdict(list)  # of each choice that has not ended

    def whole(self, body: bytes) -> bytes:
        body = super().whole(body)
        texts = [choice.message.content or "" for choice in answer_in(body).choices]
        fields: dict[str, object] = dict(_fields.decode(body))
        told = []
        for text, choice in zip(texts, _choices.decode(msgspec.Raw(_encode(fields["choices"]))), strict=True):
            message: dict[str, object] = dict(_fields.decode(choice["message"]))
            if found := self._annotations(text):
                message["annotations"] = found
            told.append(choice | {"message": msgspec.Raw(_encode(message))})
        return _encode(fields | {"choices": told})

    def events(self, events: bytes) -> bytes:
        events = super().events(events)
        chunks = iter(chunks_in(events))
        told = []
        for event in events.removesuffix(_BETWEEN).split(_BETWEEN):
            for line in event.split(b"\n"):
                if line.startswith(b"data:"):
                    told += self._before(next(chunks), line)
            told.append(event + _BETWEEN)
        return b"".join(told)

    def _before(self, chunk: Chunk | None, data: bytes) -> list[bytes]:
        """What is told ahead of this chunk: of a choice that ends with it, its annotations."""
        ended: list[bytes] = []
        for choice in chunk.choices if chunk is not None else ():
            if choice.delta is not None and choice.delta.content:
                self._pieces[choice.index].append(choice.delta.content)
            if choice.finish_reason is not None:
                found = self._annotations("".join(self._pieces.pop(choice.index, ())))
                if found:
                    ended.append(_annotating(data, choice.index, found))
        return ended

    def _annotations(self, text: str) -> list[object]:
        return [url_citation(one, self._searched.origin) for one in citations(text, self._searched.passages)]


def _annotating(data: bytes, index: int, found: list[object]) -> bytes:
    """A chunk like this one, that says nothing else."""
    head: dict[str, object] = dict(_fields.decode(data.removeprefix(b"data:").strip()))
    for name in ("usage", "timings", "choices"):
        head.pop(name, None)
    choice = {"index": index, "delta": {"annotations": found}, "finish_reason": None}
    return b"data: %b%b" % (_encode(head | {"choices": [choice]}), _BETWEEN)


CHAT = Chat()
