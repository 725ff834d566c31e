"""An engine's whole answer, given a second time: when two requests are the same, and how a stream tells it. Pure."""

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from inventory.catalog import ModelRef
from router.errors import STREAM_DONE
from router.request import EngineApi, Parsed

_encode = msgspec.json.Encoder().encode


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None
    logprobs: msgspec.Raw = msgspec.Raw()
    message: dict[str, msgspec.Raw] | None = None
    text: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str = ""
    usage: msgspec.Raw = msgspec.Raw()


_answers = msgspec.json.Decoder(_Answer)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_tools = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_ABSENT = (b"", b"null")
_PREFIXES: dict[EngineApi, str] = {"chat": "chatcmpl-", "completions": "cmpl-"}
_CHUNKS: dict[EngineApi, str] = {"chat": "chat.completion.chunk", "completions": "text_completion"}


def key_of(scope: str, ref: ModelRef, parsed: Parsed) -> bytes:
    """32 bytes over all that an answer depends on: whose it is and of which privacy classes, which weights and
    template, and what is asked. How the
    answer is to be told, in which dialect, as a stream or whole, is not among it."""
    return digest_of((*weights_of(scope, ref), parsed.engine_api), parsed.prompt.encode("", stream=False))


def weights_of(scope: str, ref: ModelRef) -> tuple[str, ...]:
    """Whose answer it is, of which classes, and what gives it."""
    hashes = (ref.tokenizer_hash or "", ref.template_hash or "", ref.adapter or "")
    return (scope, ref.name, ref.revision, ref.artifact_id, *hashes)


def digest_of(parts: Iterable[str], body: bytes = b"") -> bytes:
    digest = hashlib.sha256()
    for part in (*(part.encode() for part in parts), body):
        digest.update(len(part).to_bytes(8, "big") + part)  # so that no two lists of parts run into the same bytes
    return digest.digest()


def whole_again(body: bytes, api: EngineApi, request_id: str, now_s: float) -> bytes:
    """The answer under an id of its own, as clients take messages of one id for one message."""
    fields: dict[str, object] = dict(_fields.decode(body))
    return _encode(fields | _identity(api, request_id, now_s))


def events_again(body: bytes, api: EngineApi, request_id: str, now_s: float, usage_wanted: bool) -> bytes:
    """The answer as the events of a stream, its end among them. Raises msgspec.DecodeError where it is none."""
    answer = _answers.decode(body)
    head = _identity(api, request_id, now_s) | {"object": _CHUNKS[api], "model": answer.model}
    chunks = [head | {"choices": [piece]} for choice in answer.choices for piece in _pieces(choice)]
    if usage_wanted and bytes(answer.usage) not in _ABSENT:
        chunks.append(head | {"choices": [], "usage": answer.usage})
    return b"".join(b"data: %b\n\n" % _encode(chunk) for chunk in chunks) + STREAM_DONE


def _identity(api: EngineApi, request_id: str, now_s: float) -> dict[str, object]:
    return {"id": _PREFIXES[api] + request_id, "created": int(now_s)}


def _pieces(choice: _Choice) -> Iterator[dict[str, object]]:
    """All it says, then why it ended."""
    said: dict[str, object] = {"index": choice.index, "finish_reason": None}
    if bytes(choice.logprobs) not in _ABSENT:
        said["logprobs"] = choice.logprobs
    ended: dict[str, object] = {"index": choice.index, "finish_reason": choice.finish_reason}
    if choice.message is None:
        yield said | {"text": choice.text or ""}
        yield ended | {"text": ""}
        return
    delta: dict[str, object] = dict(choice.message)
    if bytes(choice.message.get("tool_calls", b"")) not in _ABSENT:
        delta["tool_calls"] = [
            {"index": number, **tool} for number, tool in enumerate(_tools.decode(choice.message["tool_calls"]))
        ]
    yield said | {"delta": delta}
    yield ended | {"delta": {}}
