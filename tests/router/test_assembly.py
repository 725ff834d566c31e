"""What a client gets of a streamed answer that it asked for whole."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.assembly import Assembly

HEAD = {"id": "c1", "created": 7, "model": "small", "object": "chat.completion.chunk"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def events(*chunks: object) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def delta(finish: str | None = None, index: int = 0, **fields: object) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def whole(stream: bytes, api: str = "chat") -> dict[str, Any]:
    assembly = Assembly(api)  # type: ignore[arg-type]  # a test's table of plain strings
    assembly.push(stream)
    answer: dict[str, Any] = json.loads(assembly.body())
    return answer


@given(pieces=st.lists(st.text()), cut=st.integers(0, 100))
def test_text_arrives_as_it_was_generated(pieces: list[str], cut: int) -> None:
    chunks = [delta(content=piece) for piece in pieces]
    assembly = Assembly("chat")
    for part in (chunks[:cut], chunks[cut:], [delta(finish="stop"), {**HEAD, "choices": [], "usage": USAGE}]):
        assembly.push(b": a comment\n\n" + events(*part))
    answer = json.loads(assembly.body())

    (choice,) = answer["choices"]
    assert (choice["message"]["content"] or "") == "".join(pieces)
    assert choice["finish_reason"] == "stop"
    assert answer["object"] == "chat.completion"
    assert (answer["id"], answer["model"], answer["usage"]) == ("c1", "small", USAGE)


def test_tool_calls_are_put_together_by_their_index() -> None:
    def piece(index: int, **function: str) -> dict[str, Any]:
        return {"index": index, "function": function} | ({"id": f"call_{index}"} if "name" in function else {})

    answer = whole(
        events(
            delta(role="assistant", content=None, tool_calls=[piece(0, name="weather", arguments="")]),
            delta(tool_calls=[piece(0, arguments='{"city":')]),
            delta(tool_calls=[piece(1, name="time", arguments="{}")]),
            delta(tool_calls=[piece(0, arguments='"Paris"}')]),
            delta(finish="tool_calls"),
        )
    )

    (choice,) = answer["choices"]
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_0", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}},
        {"id": "call_1", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]
    assert choice["finish_reason"] == "tool_calls"


def test_choices_reasoning_and_logprobs_keep_apart() -> None:
    first = delta(index=1, reasoning_content="hm", content="b")
    first["choices"][0]["logprobs"] = {"content": [{"token": "b", "logprob": -0.5}]}
    answer = whole(events(first, delta(index=0, content="a"), delta("length", index=1), delta("stop", index=0)))

    zero, one = answer["choices"]
    assert (zero["message"]["content"], zero["logprobs"]) == ("a", None)
    assert (one["message"]["content"], one["message"]["reasoning_content"]) == ("b", "hm")
    assert one["logprobs"] == {"content": [{"token": "b", "logprob": -0.5}]}
    assert (zero["finish_reason"], one["finish_reason"]) == ("stop", "length")


def test_a_plain_completion_is_a_text() -> None:
    pieces = [{**HEAD, "choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in ("Once ", "upon")]
    last = {**HEAD, "choices": [{"index": 0, "text": "", "finish_reason": "length"}], "usage": USAGE}
    answer = whole(events(*pieces, last), "completions")

    assert answer["object"] == "text_completion"
    assert answer["choices"] == [{"index": 0, "finish_reason": "length", "logprobs": None, "text": "Once upon"}]
    assert answer["usage"] == USAGE


def test_an_event_that_is_no_chunk_is_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        Assembly("chat").push(b'data: {"choices": 3}\n\n')
