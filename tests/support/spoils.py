"""What a server can do wrong, one thing at a time, by the name of the check that has to see it."""

import base64
import re
import struct
from collections.abc import Callable, Mapping
from random import random

from support.spoiling_proxy import Passing, Spoil

Change = Callable[[Passing], None]


def asked(change: Change) -> Spoil:
    """Of the question, on its way in."""
    return lambda passing: None if passing.status else change(passing)


def answered(change: Change, status: int | None = None, path: str = "") -> Spoil:
    """Of an answer, on its way out: of all, or of those with this status or from this route."""

    def spoil(passing: Passing) -> None:
        if passing.status and status in (None, passing.status) and path in passing.path:
            change(passing)

    return spoil


def becomes(status: int) -> Change:
    def change(passing: Passing) -> None:
        passing.status = status

    return change


def header(name: str, value: str | None) -> Change:
    def change(passing: Passing) -> None:
        passing.headers.pop(name, None)
        if value is not None:
            passing.headers[name] = value

    return change


def replaced(old: str, new: str) -> Change:
    """In the bytes of an answer; `old` is a regular expression."""

    def change(passing: Passing) -> None:
        passing.content = re.sub(old.encode(), new.encode(), passing.content)

    return change


def without(name: str) -> Change:
    """A key that no JSON of the answer has any more."""
    return replaced(f'"{name}":', f'"not_{name}":')


def field(name: str, value: object = None) -> Change:
    return lambda passing: passing.ask(**{name: value}) if name in passing.asked else None


def streamed(change: Change) -> Change:
    return lambda passing: change(passing) if passing.asked.get("stream") else None


def repeat_key(passing: Passing) -> None:
    passing.content += str(passing.fields).encode()


def another_id(passing: Passing) -> None:
    """In each event."""
    parts = passing.content.split(b'"engine-')
    passing.content = b"".join(part + b'"%d-' % at for at, part in enumerate(parts[:-1])) + parts[-1]


def another_seed(passing: Passing) -> None:
    if "seed" in passing.asked:
        passing.ask(seed=int(random() * 1e9))


def cut_limits(passing: Passing) -> None:
    if "max_tokens" in passing.asked:
        passing.ask(max_tokens=30)


def break_emoji(passing: Passing) -> None:
    passing.content = passing.content.replace("🎉".encode(), "🎉".encode()[:2], 1)


def half_stream(passing: Passing) -> None:
    passing.content = b"\n\n".join(passing.content.split(b"\n\n")[:6]) + b"\n\n"


def turn_away(passing: Passing) -> None:
    if b"Count from one" in passing.body:
        passing.status, passing.content = 429, b"{}"


def hang_up(passing: Passing) -> None:
    passing.hang_up = passing.status >= 400


def mirror(passing: Passing) -> None:
    if passing.method == "TRACE":
        passing.content = str(passing.fields).encode()


def vectors(*, spoil: str = "") -> Spoil:
    """A server that embeds and ranks, where there is none: each text by its first letter."""

    def change(passing: Passing) -> None:
        if passing.path == "/v1/embeddings":
            texts = passing.asked["input"]
            texts = [texts] if isinstance(texts, str) else list(texts)
            plain = spoil == "base64" or passing.asked.get("encoding_format") == "float"
            order = list(reversed(texts)) if spoil == "order" else texts
            data = [{"index": at, "embedding": _vector(text, plain)} for at, text in enumerate(order)]
            usage = {} if spoil == "usage" else {"prompt_tokens": 9, "total_tokens": 9}
            passing.status = 200
            passing.say({"data": data, "usage": usage})
        elif passing.path == "/v1/rerank":
            scores = [0.1, 0.5, 0.9] if spoil == "rank" else [0.9, 0.5, 0.1]
            results = [{"index": at, "relevance_score": score} for at, score in enumerate(scores)]
            passing.status = 200
            passing.say({"results": results})

    return answered(change)


def _vector(text: str, plain: bool) -> object:
    numbers = [float(ord(text[0])), 0.5]
    return numbers if plain else base64.b64encode(struct.pack("<2f", *numbers)).decode()


NOTHING: Spoil = lambda _: None  # noqa: E731  the proxy as it is
LENIENT = (
    "body-too-large", "strange-host", "stream-as-made", "no-host", "two-hosts", "length-and-chunked", "bare-lf",
    "large-header", "half-head", "half-body", "slow-reader", "leave-stream", "leave-whole",
)  # fmt: skip
SPOILS: Mapping[str, Spoil] = {
    **dict.fromkeys(LENIENT, NOTHING),
    "models-list": answered(without("owned_by")),
    "models-anthropic": answered(without("display_name")),
    "models-one": answered(becomes(404), path="/v1/models/"),
    "models-context": answered(replaced("context_length|max_model_len", "length")),
    "key-filter": NOTHING,
    "unknown-model": answered(becomes(400), status=404),
    "bad-json": answered(becomes(500), status=400),
    "wrong-type": answered(replaced("temperature", "something"), status=400),
    "unknown-field": asked(field("conformance_no_such_field")),
    "missing-key": answered(without("message"), status=401),
    "wrong-key": answered(becomes(403), status=401),
    "either-key-header": asked(lambda passing: passing.fields.remove(("x-api-key", passing.fields[-1][1]))
                               if passing.fields[-1][0] == "x-api-key" else None),
    "key-leak": answered(repeat_key, status=404),
    "context-overflow": answered(replaced("context_length_exceeded", "too_long"), status=400),
    "unknown-path": answered(lambda passing: passing.say({"detail": "Not Found"}), status=404),
    "request-id": answered(header("x-request-id", None)),
    "request-id-echo": answered(header("x-client-request-id", None)),
    "content-type": answered(header("content-type", "text/plain")),
    "server-names": answered(header("server", "uvicorn")),
    "cors": answered(header("access-control-allow-origin", "*")),
    "stream-end": answered(replaced(r"data: \[DONE\]\n\n", "")),
    "stream-framing": answered(streamed(replaced(r"\n$", ""))),
    "stream-chunks": answered(another_id),
    "stream-usage": asked(field("stream_options")),
    "stream-utf8": answered(break_emoji),
    "stream-refused": answered(becomes(200), status=404),
    "usage-whole": answered(replaced('"total_tokens":', '"total_tokens":1')),
    "usage-streamed": answered(streamed(replaced("prompt_tokens|input_tokens|prompt_eval_count", "no"))),
    "count-tokens": answered(replaced('"input_tokens":', '"input_tokens":1'), path="count_tokens"),
    "count-tokens-error": answered(without("type"), path="count_tokens"),
    "tokenize": answered(without("tokens"), path="/tokenize"),
    "max-tokens": asked(cut_limits),
    "stop": asked(field("stop")),
    "stop-inside-tokens": asked(field("stop")),
    "seed": asked(another_seed),
    "choices": asked(field("n")),
    "logprobs": asked(lambda passing: passing.ask(logprobs=None, top_logprobs=None) if passing.asked else None),
    "tool-results": answered(replaced('"content":"[^"]*"', '"content":""')),
    "forced-tool": asked(field("tool_choice")),
    "json-schema": asked(field("response_format")),
    "embeddings-base64": vectors(spoil="base64"),
    "embeddings-order": vectors(spoil="order"),
    "embeddings-usage": vectors(spoil="usage"),
    "rerank-order": vectors(spoil="rank"),
    "after-an-error": answered(hang_up),
    "pipelining": answered(becomes(200), status=404),
    "head": answered(lambda passing: passing.say("a body") if passing.method == "HEAD" else None),
    "trace": answered(mirror),
    "streams-apart": answered(replaced('"engine-[^"]*"', '"one"')),
    "retry-after": answered(turn_away),
    "engine-lost": answered(streamed(half_stream)),
}  # fmt: skip
