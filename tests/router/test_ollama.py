"""What Ollama's requests become: the one internal request, or an error that names the field."""

import json
from typing import Any

import pytest

from router.dialects.ollama import RAW_TOKENS, parse_chat, parse_generate
from router.errors import ApiError
from router.request import Parsed

USER = {"role": "user", "content": "Hi"}
CALL = {"function": {"name": "clock", "arguments": {}}}


def chat(*messages: dict[str, Any], **more: Any) -> Parsed:
    return parse_chat(json.dumps({"model": "toy", "messages": messages or [USER], **more}).encode())


def generate(**more: Any) -> Parsed:
    return parse_generate(json.dumps({"model": "toy", "prompt": "Hi", **more}).encode())


def written(parsed: Parsed) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(parsed.prompt.encode("served", parsed.stream))
    return body


def test_a_stream_is_what_was_not_asked_otherwise_and_a_name_loses_its_latest() -> None:
    assert (chat().stream, chat(stream=True).stream, chat(stream=False).stream) == (True, True, False)
    assert [generate(model=name).model for name in ("toy", "toy:latest", "a/b:8b")] == ["toy", "toy", "a/b:8b"]


@pytest.mark.parametrize(("think", "told"), [(True, (True, None)), (False, (False, None)), ("low", (True, "low"))])
def test_thinking_is_a_switch_or_a_level(think: bool | str, told: tuple[bool, str | None]) -> None:
    body = written(chat(think=think))

    assert (body["chat_template_kwargs"]["enable_thinking"], body.get("reasoning_effort")) == told


def test_options_go_by_the_names_that_engines_know() -> None:
    options = {"repeat_penalty": 1.1, "min_p": 0.1, "top_k": 5, "stop": "END", "frequency_penalty": 0.5, "num_keep": 3}
    body = written(chat(options=options, logprobs=True, top_logprobs=2))

    assert body["repetition_penalty"] == 1.1
    assert (body["min_p"], body["top_k"], body["stop"], body["frequency_penalty"]) == (0.1, 5, "END", 0.5)
    assert (body["logprobs"], body["top_logprobs"], "num_keep" in body) == (True, 2, False)


@pytest.mark.parametrize(("asked", "limit"), [(-1, None), (-2, None), (0, None), (7, 7)])
def test_no_limit_is_said_by_numbers_that_are_none(asked: int, limit: int | None) -> None:
    assert chat(options={"num_predict": asked}).output_tokens_limit == limit
    assert generate(raw=True, options={"num_predict": asked}).output_tokens_limit == (limit or RAW_TOKENS)


def test_a_raw_prompt_is_asked_as_a_completion() -> None:
    parsed = generate(raw=True)

    assert (parsed.engine_api, written(parsed)["prompt"]) == ("completions", "Hi")
    assert generate().engine_api == "chat"


def test_a_result_finds_its_call_by_id_by_tool_or_by_place() -> None:
    calls = [{**CALL, "id": "mine"}, CALL, {"function": {"name": "weather"}}]
    results = [{"tool_name": "weather"}, {"tool_call_id": "mine"}, {"tool_name": "clock"}, {"tool_name": "none"}]
    history: list[dict[str, Any]] = [USER, {"role": "assistant", "tool_calls": calls}]
    body = written(chat(*history, *({"role": "tool", "content": "x", **result} for result in results)))

    mine, clock, weather = (call["id"] for call in body["messages"][1]["tool_calls"])
    answered = [message["tool_call_id"] for message in body["messages"][2:]]
    assert (mine, answered[:3]) == ("mine", [weather, mine, clock])
    assert answered[3] not in (mine, clock, weather)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "assistant", "content": "", "images": ["iVBORw0KGgo="]}, "messages[0].images"),
        ({"role": "user", "content": "", "images": ["data:image/png;base64,iVBORw0KGgo="]}, "messages[0].images[0]"),
        ({"role": "wizard", "content": "Hi"}, "messages[0].role"),
        ({"role": "user", "content": "Hi", "parts": []}, "messages[0].parts"),
    ],
)
def test_what_no_engine_can_be_told_is_refused_by_name(message: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        chat(message)

    assert (caught.value.status, caught.value.param) == (400, param)


def test_a_schema_has_the_bounds_of_every_dialect() -> None:
    with pytest.raises(ApiError, match="regular expression"):
        chat(format={"type": "string", "pattern": "(a+)+"})
