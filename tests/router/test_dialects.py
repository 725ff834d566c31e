import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.dialects import chat, completions
from router.errors import ApiError

USER = {"role": "user", "content": "hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
FUNCTION = {"name": "f", "parameters": {"type": "object"}}


def chat_body(**fields: Any) -> bytes:
    return json.dumps({"model": "toy", "messages": [USER], **fields}).encode()


def sent(**fields: Any) -> dict[str, Any]:
    parsed = chat.parse(chat_body(**fields))
    document: dict[str, Any] = json.loads(parsed.prompt.encode("served", parsed.stream))
    return document


def refused(**fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        chat.parse(chat_body(**fields))
    assert caught.value.status == 400
    return caught.value


def test_an_engine_gets_its_own_model_name_and_always_counts_usage() -> None:
    assert sent() == {"model": "served", "messages": [USER], "stream": False}
    assert sent(stream=True)["stream_options"] == {"include_usage": True}
    assert not chat.parse(chat_body(stream=True)).usage_wanted
    assert chat.parse(chat_body(stream=True, stream_options={"include_usage": True})).usage_wanted


def test_fields_that_only_matter_to_openai_are_accepted_and_dropped() -> None:
    assert sent(user="u", store=False, metadata={"a": "b"}, service_tier="auto", prompt_cache_key="k") == sent()


def test_both_names_of_the_output_limit_become_one() -> None:
    assert sent(max_completion_tokens=5) == sent(max_tokens=5)
    assert chat.parse(chat_body(max_completion_tokens=5)).output_tokens_limit == 5


def test_an_assistant_turn_may_be_sent_back_as_it_was_received() -> None:
    turn = {
        "role": "assistant", "content": None, "refusal": None, "annotations": [], "audio": None, "function_call": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }  # fmt: skip
    result = {"role": "tool", "tool_call_id": "1", "content": "4"}

    roles = [message["role"] for message in sent(messages=[USER, turn, result])["messages"]]
    assert roles == ["user", "assistant", "tool"]


def test_a_developer_message_reaches_open_models_as_system() -> None:
    assert sent(messages=[{"role": "developer", "content": "x"}, USER])["messages"][0]["role"] == "system"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"chat_template": "{{ x }}"}, "chat_template"),
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"guided_json": {}}, "guided_json"),
        ({"chat_template_kwargs": {"x": 1}}, "chat_template_kwargs.x"),
        ({"n": 5}, "n"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": {str(n): 1 for n in range(301)}}, "logit_bias"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ["x" * 65]}, "stop[...]"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "extra": 1}]}, "messages[0].extra"),
        ({"tools": [{"type": "function", "function": FUNCTION}] * 129}, "tools"),
        ({"tools": [{"type": "function", "function": {**FUNCTION, "description": "x" * 70_000}}]}, "tools"),
        ({"tools": [{"type": "code", "function": FUNCTION}]}, "tools[0].type"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields).param is not None
    assert str(refused(**fields).param).split("[...]")[0].startswith(param.split("[...]")[0])


@pytest.mark.parametrize(
    "url", ["http://x/a.png", "https://169.254.169.254/", "file:///etc/passwd", "data:text/html,x"]
)
def test_nothing_but_image_data_is_taken_as_an_image(url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}

    assert refused(messages=[{"role": "user", "content": [part]}]).param == "messages[0].content[0].image_url.url"
    assert sent(messages=[{"role": "user", "content": [IMAGE, {"type": "text", "text": "?"}]}])


def test_how_many_answers_and_prompts_one_body_asks_for_is_known() -> None:
    def asked(**fields: object) -> tuple[int, int]:
        parsed = completions.parse(json.dumps({"model": "toy", "prompt": "x", **fields}).encode())
        return parsed.prompts, parsed.choices

    assert asked() == (1, 1)
    assert asked(prompt=["a", "b"], n=2) == (2, 2)
    assert asked(prompt=[1, 2, 3]) == (1, 1)
    assert asked(prompt=[[1, 2], [3]]) == (2, 1)
    assert (chat.parse(chat_body(n=3)).prompts, chat.parse(chat_body(n=3)).choices) == (1, 3)


def test_a_json_schema_is_small_shallow_and_without_regular_expressions() -> None:
    def with_schema(schema: object) -> dict[str, Any]:
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}

    deep: dict[str, Any] = {}
    for _ in range(20):
        deep = {"items": deep}
    assert sent(**with_schema({"properties": {"pattern": {"type": "string"}}}))
    patterns: dict[str, Any] = {"items": [{"patternProperties": {}}]}
    for schema in (deep, {"title": "x" * 20_000}, {"pattern": "(a+)+$"}, patterns):
        assert refused(**with_schema(schema)).param == "response_format.json_schema.schema"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'{"model": NaN}', b"\xff", b'{"a":' * 100_000])
def test_a_body_that_is_not_an_object_of_ours_is_a_400(raw: bytes) -> None:
    for parse in (chat.parse, completions.parse):
        with pytest.raises(ApiError) as caught:
            parse(raw)
        assert caught.value.status == 400


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_body_makes_the_parser_fail_otherwise(raw: bytes) -> None:
    for parse in (chat.parse, completions.parse):
        with pytest.raises(ApiError):
            parse(raw)


@pytest.mark.parametrize("prompt", ["x", ["x", "y"], [1, 2], [[1, 2], [3]]])
def test_a_completion_takes_every_form_of_prompt(prompt: object) -> None:
    parsed = completions.parse(json.dumps({"model": "toy", "prompt": prompt, "best_of": 1, "user": "u"}).encode())

    assert json.loads(parsed.prompt.encode("served", stream=False)) == {
        "model": "served",
        "prompt": prompt,
        "stream": False,
    }


@pytest.mark.parametrize(
    "fields", [{"prompt": []}, {"prompt": ["x", 1]}, {"prompt": ["x"] * 33}, {"best_of": 2}, {"suffix": "x"}]
)
def test_a_completion_out_of_bounds_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ApiError):
        completions.parse(json.dumps({"model": "toy", "prompt": "x", **fields}).encode())
