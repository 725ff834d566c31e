"""What an engine says in chunks, retold as the events of a response: numbered, in order, and ended truly."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from router.dialects import responses
from router.errors import STREAM_DONE, ApiError, saturated
from router.request import Arrival, Identity, Voice
from support.upstream import DONE, chat_answer, token_event, usage_event

ARRIVAL = Arrival(
    "req_7", None, "responses", Identity("k", "home", "family", "user", "private", frozenset()), 0.0, 1_800_000_000.5
)
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "toy"}


def voice(**fields: object) -> Voice:
    make = responses.parse(json.dumps({"model": "toy", "input": "hi", **fields}).encode()).voice
    assert make is not None
    return make(ARRIVAL, 3)


def delta(finish: str | None = None, **fields: object) -> bytes:
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return b"data: " + json.dumps({**HEAD, "choices": [choice]}).encode() + b"\n\n"


def call(index: int, arguments: str, name: str | None = None) -> bytes:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return delta(tool_calls=[{"index": index, "function": function} | ({"id": f"call_{index}"} if name else {})])


def told(stream: bytes) -> list[dict[str, Any]]:
    """Events as a client reads them, each checked against the openai client's own types."""
    found = []
    for block in stream.removesuffix(STREAM_DONE).split(b"\n\n")[:-1]:
        kind, data = block.split(b"\n")
        event: dict[str, Any] = json.loads(data.removeprefix(b"data: "))
        assert kind == b"event: " + event["type"].encode()
        assert EVENTS.validate_python(event).type == event["type"]
        found.append(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_words_are_one_message_from_its_opening_to_its_end() -> None:
    stream = voice().events(token_event("Hel") + token_event("lo") + usage_event(3, 2) + DONE)

    events = told(stream)
    assert kinds(events) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert [event["delta"] for event in events if "delta" in event] == ["Hel", "lo"]
    response = events[-1]["response"]
    assert (response["id"], response["status"], response["created_at"]) == ("resp_7", "completed", 1_800_000_000)
    assert response["output"] == [events[-2]["item"]]
    assert response["output"][0]["content"][0]["text"] == "Hello"
    assert response["usage"] == {
        "input_tokens": 3, "output_tokens": 2, "total_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    assert stream.endswith(STREAM_DONE)


@pytest.mark.parametrize("thought", ["reasoning", "reasoning_content"])
def test_thoughts_words_and_calls_are_items_in_the_order_they_came(thought: str) -> None:
    events = told(
        voice().events(
            delta(role="assistant", content="")
            + delta(**{thought: "hm"})
            + delta(content="So")
            + call(0, "", "weather")
            + call(0, '{"town":')
            + call(1, "{}", "time")
            + call(0, '"Oslo"}')
            + delta("tool_calls")
            + DONE
        )
    )

    response = events[-1]["response"]
    assert [item["type"] for item in response["output"]] == ["reasoning", "message", "function_call", "function_call"]
    assert response["output"][0]["summary"] == [{"type": "summary_text", "text": "hm"}]
    weather, time = response["output"][2:]
    assert (weather["call_id"], weather["name"], weather["arguments"]) == ("call_0", "weather", '{"town":"Oslo"}')
    assert (time["call_id"], time["name"], time["arguments"]) == ("call_1", "time", "{}")
    assert kinds(events)[2:7] == [
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done",
    ]  # fmt: skip
    assert [event["output_index"] for event in events if event["type"].endswith("arguments.delta")] == [2, 3, 2]


def test_a_call_of_a_function_in_a_namespace_comes_back_with_it() -> None:
    space = {"type": "namespace", "name": "agents", "tools": [{"type": "function", "name": "spawn"}]}

    events = told(voice(tools=[space]).events(call(0, "{}", "agents__spawn") + delta("tool_calls") + DONE))
    (item,) = events[-1]["response"]["output"]
    assert (item["namespace"], item["name"]) == ("agents", "spawn")


@pytest.mark.parametrize(("finish", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_ends_early_is_incomplete_and_says_why(finish: str, why: str) -> None:
    response = told(voice().events(token_event("a") + delta(finish) + DONE))[-1]["response"]

    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": why})
    assert (response["output"][0]["status"], response["completed_at"], response["usage"]) == ("incomplete", None, None)


def test_an_answer_without_a_word_is_an_empty_message() -> None:
    for ending in (delta("stop"), b""):
        (item,) = told(voice().events(ending + DONE))[-1]["response"]["output"]
        assert item["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]


def test_a_stream_that_breaks_has_failed_and_nothing_in_it_is_complete() -> None:
    speaking = voice()
    said = speaking.events(delta(reasoning="hm") + token_event("a"))

    events = told(said + speaking.broken(ApiError(502, "upstream_failure", "it died; try again")))
    assert kinds(events)[-1] == "failed"
    assert not {"completed", "output_text.done", "incomplete"} & set(kinds(events))
    response = events[-1]["response"]
    assert (response["status"], response["completed_at"], response["usage"]) == ("failed", None, None)
    assert response["error"] == {
        "code": "server_error", "message": "it died; try again", "type": "upstream_failure", "param": None,
    }  # fmt: skip
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert speaking.broken(ApiError(502, "x", "y")).endswith(STREAM_DONE)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (saturated("full"), "rate_limit_exceeded"),
        (ApiError(503, "model_not_ready", "x"), "server_error"),
        (ApiError(400, "refused_by_engine", "x"), "invalid_prompt"),
    ],
)
def test_a_stream_that_never_began_fails_with_a_code_that_clients_know(error: ApiError, code: str) -> None:
    events = told(voice().broken(error))

    assert kinds(events) == ["created", "in_progress", "failed"]
    assert events[-1]["response"]["error"]["code"] == code


def test_an_over_long_prompt_is_told_by_the_code_that_makes_codex_cut_it() -> None:
    failed = voice().broken(ApiError(400, "context_length_exceeded", "x", "input"))

    assert b'"code":"context_length_exceeded"' in failed


def test_a_whole_answer_is_the_response_that_its_stream_ends_with() -> None:
    answer = json.loads(voice().whole(chat_answer("Hello")))

    assert Response.model_validate(answer).output_text == "Hello"
    streamed = told(voice().events(token_event("Hel") + token_event("lo") + usage_event(3, 2) + DONE))[-1]["response"]
    assert {**answer, "completed_at": 0} == {**streamed, "completed_at": 0}


def test_calls_of_a_whole_answer_are_told_apart_though_nothing_numbers_them() -> None:
    calls = [{"id": f"c{at}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for at in range(3)]
    message = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": calls}
    answer = json.dumps({**HEAD, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})

    output = json.loads(voice().whole(answer.encode()))["output"]
    assert [item["type"] for item in output] == ["reasoning"] + ["function_call"] * 3
    assert [item["call_id"] for item in output[1:]] == ["c0", "c1", "c2"]
    assert len({item["id"] for item in output}) == 4


def test_probabilities_are_told_to_those_who_asked() -> None:
    choice = {
        "index": 0, "delta": {"content": "ä"}, "finish_reason": None,
        "logprobs": {"content": [{"token": "ä", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1}]}]},
    }  # fmt: skip
    chunk = b"data: " + json.dumps({**HEAD, "choices": [choice]}).encode() + b"\n\n" + DONE
    said = {"token": "ä", "logprob": -0.5, "bytes": [195, 164]}
    top = [{"token": "b", "logprob": -1.0, "bytes": [98]}]

    (part,) = told(voice(top_logprobs=1).events(chunk))[-1]["response"]["output"][0]["content"]
    assert part["logprobs"] == [{**said, "top_logprobs": top}]
    (part,) = told(voice().events(chunk))[-1]["response"]["output"][0]["content"]
    assert part["logprobs"] == []


def test_what_was_asked_for_is_said_again() -> None:
    function: dict[str, Any] = {"type": "function", "name": "f", "description": None, "parameters": {}, "strict": None}
    space = {"type": "namespace", "name": "s", "description": "d", "tools": [function]}
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    asked = {
        "instructions": "Be brief.", "metadata": {"a": "b"}, "temperature": 0.5, "max_output_tokens": 9,
        "tools": [function, space, {"type": "web_search"}], "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": form, "verbosity": "low"}, "reasoning": {"effort": "low", "summary": "auto"},
        "prompt_cache_key": "k", "parallel_tool_calls": False, "store": True,
    }  # fmt: skip

    answer = json.loads(voice(**asked).whole(chat_answer("x")))
    assert Response.model_validate(answer)
    said = {**asked, "tools": [function, space], "store": False}
    assert {field: answer[field] for field in asked} == said


def test_comments_of_an_engine_pass_and_what_is_no_chunk_does_not() -> None:
    assert voice().events(b": 5 of 9\n\n") == b": 5 of 9\n\n"
    for bad in (b"data: {\n\n", b'data: {"choices": 5}\n\n'):
        with pytest.raises(msgspec.DecodeError):
            voice().events(bad)
    for answer in (b"{}", b'{"choices": []}', b"nothing"):
        with pytest.raises(msgspec.DecodeError):
            voice().whole(answer)


PIECES = st.lists(
    st.one_of(
        st.text(max_size=5).map(lambda text: delta(content=text)),
        st.text(max_size=5).map(lambda text: delta(reasoning=text)),
        st.tuples(st.integers(0, 2), st.text(max_size=5)).map(lambda piece: call(*piece)),
        st.just(b": waiting\n\n"),
    ),
    max_size=20,
)


@given(pieces=PIECES, cuts=st.sets(st.integers(1, 20)), finish=st.sampled_from(["stop", "length", "tool_calls"]))
def test_however_the_stream_is_cut_the_same_is_said(pieces: list[bytes], cuts: set[int], finish: str) -> None:
    pieces = [*pieces, delta(finish), usage_event(3, 2) + DONE]
    speaking, bounds = voice(), [0, *sorted(cuts), len(pieces)]
    reads = [b"".join(pieces[begin:end]) for begin, end in pairwise(bounds)]

    events = told(b"".join(part for read in reads if (part := speaking.events(read)) and not part.startswith(b":")))
    at_once = told(voice().events(b"".join(pieces)))
    for ended in (events[-1], at_once[-1]):
        ended["response"]["completed_at"] = 0
    assert events == at_once
    _check_that_deltas_make_up_the_output(events)


def _check_that_deltas_make_up_the_output(events: list[dict[str, Any]]) -> None:
    output = events[-1]["response"]["output"]
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["output_index"] for event in events if event["type"] == "response.output_item.done"]
    assert added == sorted(done) == list(range(len(output)))
    for index, item in enumerate(output):
        pieces = [event["delta"] for event in events if "delta" in event and event["output_index"] == index]
        parts = item.get("content") or item.get("summary")
        assert (parts[0]["text"] if parts else item["arguments"]) == "".join(pieces)
