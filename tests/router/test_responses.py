"""What a Responses request becomes: one chat request, or a refusal that names the field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.dialects import responses
from router.errors import ApiError

USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "4"}
FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}
PNG = "data:image/png;base64,AAAA"
SAID = {"role": "user", "content": "hi"}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "toy", "input": "hi", **fields}).encode()


def sent(**fields: Any) -> dict[str, Any]:
    parsed = responses.parse(body(**fields))
    document: dict[str, Any] = json.loads(parsed.prompt.encode("served", parsed.stream))
    return document


def messages(*items: object, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sent(input=items, **fields)["messages"]
    return found


def refused(**fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        responses.parse(body(**fields))
    assert caught.value.status == 400
    return caught.value


def test_a_text_is_what_the_user_says() -> None:
    assert sent() == {"model": "served", "messages": [SAID], "stream": False}
    assert sent(stream=True)["stream_options"] == {"include_usage": True}
    assert responses.parse(body()).usage_wanted


@pytest.mark.parametrize("item", [USER, {"role": "user", "content": "hi"}, {**USER, "id": "msg_1", "status": "done"}])
def test_a_message_need_not_say_that_it_is_one(item: object) -> None:
    assert messages(item) == [SAID]


def test_instructions_and_what_is_said_before_anybody_else_are_one_system_message() -> None:
    first = {"role": "developer", "content": "Be brief."}
    second = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be kind."}]}

    assert messages(first, second, USER, instructions="You help.") == [
        {"role": "system", "content": "You help.\n\nBe brief.\n\nBe kind."},
        SAID,
    ]


def test_a_developer_who_speaks_later_is_marked_as_templates_know_one_system_message() -> None:
    later = {"role": "developer", "content": "Stop."}

    assert [message["role"] for message in messages(USER, later)] == ["user", "user"]
    assert "Stop." in messages(USER, later)[1]["content"]
    assert messages(USER, later)[1]["content"] != "Stop."


def test_all_that_the_assistant_thought_said_and_called_is_one_turn() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
    words = {"role": "assistant", "content": [{"type": "output_text", "text": "Wait.", "annotations": []}]}
    second = {**CALL, "call_id": "c2", "name": "g"}

    assert messages(USER, thought, words, CALL, second, OUTPUT, {**OUTPUT, "call_id": "c2"}, USER) == [
        SAID,
        {
            "role": "assistant",
            "content": "Wait.",
            "reasoning_content": "hm",
            "tool_calls": [
                {"type": "function", "id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}},
                {"type": "function", "id": "c2", "function": {"name": "g", "arguments": '{"a": 1}'}},
            ],
        },
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
        {"role": "tool", "content": "4", "tool_call_id": "c2"},
        SAID,
    ]


def test_calls_after_a_result_are_another_turn() -> None:
    roles = [message["role"] for message in messages(USER, CALL, OUTPUT, CALL, OUTPUT)]

    assert roles == ["user", "assistant", "tool", "assistant", "tool"]


def test_a_call_of_what_nobody_offered_does_not_end_the_conversation() -> None:
    assert messages({**CALL, "name": "no such/function"}, OUTPUT)[0]["tool_calls"][0]["function"]["name"]


def test_thoughts_that_came_to_nothing_are_dropped() -> None:
    thought: dict[str, Any] = {"type": "reasoning", "summary": [], "encrypted_content": "xxxx", "content": None}

    assert messages(thought, USER, thought, USER) == [SAID, SAID]


def test_phases_and_refusals_of_the_assistant_may_be_sent_back() -> None:
    first = {"role": "assistant", "phase": "commentary", "content": "Looking."}
    second = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}

    assert messages(first, second, USER)[0] == {"role": "assistant", "content": "Looking.\nNo."}


def test_images_of_the_user_are_parts_and_those_of_tools_follow_the_results() -> None:
    image = {"type": "input_image", "image_url": PNG, "detail": "original"}
    part = {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}
    text = {"type": "input_text", "text": "see"}
    shown = {**OUTPUT, "output": [text, image]}

    assert messages({"role": "user", "content": [text, image]})[0]["content"] == [{"type": "text", "text": "see"}, part]
    told = messages(USER, CALL, shown, OUTPUT)
    assert [message["content"] for message in told[2:]] == ["see", "4", [part]]
    assert responses.parse(body(input=[{"role": "user", "content": [image]}])).needs == {"media"}


def test_functions_are_offered_as_a_chat_offers_them() -> None:
    inner = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}

    asked = sent(tools=[FUNCTION], tool_choice="auto", parallel_tool_calls=False)
    assert asked["tools"] == [{"type": "function", "function": inner}]
    assert ("tool_choice" in asked, asked["parallel_tool_calls"]) == (False, False)
    assert sent(tools=[FUNCTION], tool_choice="required")["tool_choice"] == "required"
    named = sent(tools=[FUNCTION], tool_choice={"type": "function", "name": "f"})
    assert named["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert "tools" not in sent(tools=[FUNCTION], tool_choice="none")
    assert "parallel_tool_calls" not in sent(parallel_tool_calls=True)


def test_of_all_tools_only_the_allowed_ones_are_offered() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}

    asked = sent(tools=[FUNCTION, {**FUNCTION, "name": "g"}], tool_choice=allowed)
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["g"]
    assert asked["tool_choice"] == "required"


def test_functions_in_a_namespace_are_told_by_one_name() -> None:
    space = {"type": "namespace", "name": "agents", "description": "d", "tools": [FUNCTION]}
    plugin = {"type": "namespace", "name": "mcp__files__", "description": "d", "tools": [FUNCTION]}

    asked = sent(tools=[space, plugin], input=[USER, {**CALL, "namespace": "agents"}, OUTPUT])
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["agents__f", "mcp__files__f"]
    assert asked["messages"][1]["tool_calls"][0]["function"]["name"] == "agents__f"


def test_a_web_search_is_dropped_and_every_other_tool_refused() -> None:
    assert "tools" not in sent(tools=[{"type": "web_search", "external_web_access": False}])
    for kind in ("local_shell", "custom", "code_interpreter", "mcp"):
        assert refused(tools=[{"type": kind}]).param == "tools[0].type"
        assert kind in refused(tools=[{"type": kind}]).message


def test_a_schema_is_told_as_a_chat_tells_it() -> None:
    schema = {"type": "object", "properties": {}}
    form = {"type": "json_schema", "name": "s", "schema": schema, "strict": True}

    assert sent(text={"format": form, "verbosity": "low"})["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "s", "schema": schema, "strict": True},
    }
    assert sent(text={"format": {"type": "json_object"}})["response_format"] == {"type": "json_object"}
    assert sent(text={"format": {"type": "text"}}) == sent()


def test_limits_and_sampling_are_told() -> None:
    asked = sent(max_output_tokens=5, temperature=0, top_p=0.5, reasoning={"effort": "low", "summary": "auto"})

    assert (asked["max_tokens"], asked["temperature"], asked["top_p"], asked["reasoning_effort"]) == (5, 0, 0.5, "low")
    assert responses.parse(body(max_output_tokens=5)).output_tokens_limit == 5
    assert sent(include=["message.output_text.logprobs"], top_logprobs=2)["top_logprobs"] == 2
    assert sent(include=["message.output_text.logprobs"])["logprobs"] is True


def test_what_no_engine_has_is_accepted_and_dropped() -> None:
    dropped = {
        "store": True, "user": "u", "metadata": {"a": "b"}, "service_tier": "auto", "safety_identifier": "s",
        "client_metadata": {"x": {"y": 1}}, "include": ["reasoning.encrypted_content"], "background": False,
        "stream_options": {"include_obfuscation": False}, "truncation": "disabled", "max_tool_calls": 3,
        "previous_response_id": None, "conversation": None,
    }  # fmt: skip

    assert sent(**dropped) == sent()
    assert responses.parse(body(prompt_cache_key="k")).session == "k"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"messages": []}, "messages"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0].type"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [USER, {"role": "user"}]}, "input[1].content"),
        ({"input": [{**USER, "arguments": "x"}]}, "input[0].arguments"),
        ({"input": [{**CALL, "arguments": None}]}, "input[0].arguments"),
        ({"input": [{**CALL, "output": "x"}]}, "input[0].output"),
        ({"input": [{**OUTPUT, "output": None}]}, "input[0].output"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "x"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "assistant", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"tools": [FUNCTION] * 129}, "tools"),
        ({"tools": [{**FUNCTION, "description": "x" * 70_000}]}, "tools"),
        ({"tools": [{"type": "namespace", "name": "s", "tools": [FUNCTION] * 65}] * 2}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
        ({"text": {"format": {"type": "json_schema", "name": "s", "schema": {"pattern": "a"}}}}, "text.format.schema"),
        ({"include": ["web_search_call.results"]}, "include[0]"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"temperature": 3}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields).param == param


@pytest.mark.parametrize("url", [None, "http://x/a.png", "file:///etc/passwd", "data:text/html,x"])
def test_nothing_but_image_data_is_taken_as_an_image(url: str | None) -> None:
    part = {"type": "input_image", "image_url": url}

    assert refused(input=[{"role": "user", "content": [part]}]).param == "input[0].content[0].image_url"
    assert refused(input=[{**OUTPUT, "output": [part]}]).param == "input[0].output[0].image_url"


ITEMS = st.sampled_from(
    [USER, CALL, OUTPUT, {"role": "assistant", "content": "a"}, {"role": "developer", "content": ""}]
)


@given(st.lists(ITEMS, min_size=1, max_size=12))
def test_no_call_and_no_result_is_lost_and_none_is_out_of_order(items: list[dict[str, Any]]) -> None:
    told = messages(*items)

    results = [message["tool_call_id"] for message in told if message["role"] == "tool"]
    calls = [call["id"] for message in told for call in message.get("tool_calls", ())]
    assert (len(results), len(calls)) == (items.count(OUTPUT), items.count(CALL))
    assert [message["role"] for message in told].count("system") <= 1
    assert "system" not in [message["role"] for message in told[1:]]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_body_makes_the_parser_fail_otherwise(raw: bytes) -> None:
    with pytest.raises(ApiError):
        responses.parse(raw)
