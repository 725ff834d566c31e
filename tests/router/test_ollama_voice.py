"""Ollama's lines out of an engine's chunks: what the fault engine does not say."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.dialects.heard import answer_in
from router.dialects.ollama_voice import ChatLine, OllamaVoice
from router.errors import ApiError


def voice() -> OllamaVoice:
    return OllamaVoice(ChatLine, answer_in, "toy:latest", 1_700_000_000.5)


def event(chunk: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(chunk).encode()


def delta(said: dict[str, Any], **more: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": said, **more}]})


def call(arguments: str, index: int = 0) -> dict[str, Any]:
    return {"index": index, "id": f"c{index}", "function": {"name": "weather", "arguments": arguments}}


def lines(said: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


DONE = b"data: [DONE]\n\n"


def test_what_the_engine_took_is_told_in_nanoseconds_where_it_says_so() -> None:
    speaker = voice()
    speaker.events(delta({"content": "Hi"}))
    counted = {"usage": {"prompt_tokens": 7, "completion_tokens": 1}, "timings": {"prompt_ms": 2.5, "predicted_ms": 4}}
    (last,) = lines(speaker.events(event({"choices": [], **counted}) + DONE))

    assert last == {
        "model": "toy:latest", "created_at": "2023-11-14T22:13:20.500000Z", "done": True, "done_reason": "stop",
        "total_duration": 6_500_000, "prompt_eval_count": 7, "prompt_eval_duration": 2_500_000, "eval_count": 1,
        "eval_duration": 4_000_000, "message": {"role": "assistant", "content": ""},
    }  # fmt: skip


def test_what_an_engine_does_not_say_is_left_out() -> None:
    (last,) = lines(voice().events(DONE))

    assert last.keys() == {"model", "created_at", "message", "done", "done_reason"}


def test_a_call_that_was_cut_short_is_text_and_no_fault_of_the_engine() -> None:
    cut, good = call('{"town": "Os'), call('{"town": "Rome"}', index=1)
    speaker = voice()
    speaker.events(delta({"tool_calls": [good]}) + delta({"tool_calls": [cut]}, finish_reason="length"))
    told, last = lines(speaker.events(DONE))
    message = {"choices": [{"message": {"tool_calls": [cut]}, "finish_reason": "length"}]}
    whole = json.loads(voice().whole(json.dumps(message).encode()))

    assert told["message"]["content"] == 'weather({"town": "Os)'
    assert [made["function"]["arguments"] for made in told["message"]["tool_calls"]] == [{"town": "Rome"}]
    assert (last["done_reason"], whole["done_reason"]) == ("length", "length")
    assert (whole["message"]["content"], "tool_calls" in whole["message"]) == ('weather({"town": "Os)', False)


def test_logprobs_go_with_the_words_that_they_are_of() -> None:
    tokens = {"content": [{"token": "Hi", "logprob": -0.5, "top_logprobs": []}]}
    (line,) = lines(voice().events(delta({"content": "Hi"}, logprobs=tokens)))

    assert (line["message"]["content"], line["logprobs"]) == ("Hi", tokens["content"])


def test_a_stream_that_cannot_go_on_ends_with_the_error_on_a_line() -> None:
    assert voice().broken(ApiError(502, "node_lost", "its machine is lost")) == b'{"error":"its machine is lost"}\n'


def test_comments_of_an_engine_say_nothing() -> None:
    assert voice().events(b": keepalive 1/2\n\n") == b""


def test_what_cannot_be_read_leaves_nothing_behind() -> None:
    """Another engine begins anew, with the same voice."""
    speaker = voice()
    with pytest.raises(msgspec.DecodeError):
        speaker.events(delta({"tool_calls": [call('{"town": "Os')]}) + b'data: {"choices":[{"del\n\n')
    speaker.events(delta({"tool_calls": [call('{"town": "Rome"}')]}))
    told, _ = lines(speaker.events(DONE))

    assert [made["function"]["arguments"] for made in told["message"]["tool_calls"]] == [{"town": "Rome"}]


@given(st.lists(st.text(max_size=4), max_size=6), st.dictionaries(st.text(max_size=3), st.integers()), st.data())
def test_however_an_answer_is_cut_it_says_the_same(
    words: list[str], arguments: dict[str, int], data: st.DataObject
) -> None:
    text = json.dumps(arguments)
    cut = data.draw(st.integers(0, len(text)))
    pieces = [delta({"content": word}) for word in words]
    pieces += [delta({"tool_calls": [call(text[:cut])]})]
    pieces += [delta({"tool_calls": [{"index": 0, "function": {"arguments": text[cut:]}}]}), DONE]
    speaker, said = voice(), b""
    while pieces:
        together = data.draw(st.integers(1, len(pieces)))
        said += speaker.events(b"".join(pieces[:together]))
        pieces = pieces[together:]

    *told, last = lines(said)
    assert "".join(line["message"]["content"] for line in told) == "".join(words)
    assert [made["function"]["arguments"] for made in told[-1]["message"]["tool_calls"]] == [arguments]
    assert [line["done"] for line in told] == [False] * len(told) and last["done"]
