"""The tool `file_search`: what clients say of it, what is asked of documents, and where what was found stands."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.citations import citations, url_of
from router.dialects import chat, completions, messages, ollama, responses
from router.dialects.with_documents import question_of, with_context
from router.errors import ApiError
from router.file_search import (
    LEFT_ALONE,
    MOST_TOKENS,
    NOTHING,
    QUESTION_CHARACTERS,
    SOURCES_BYTES,
    FileSearch,
    Searched,
    room_for,
    shortened,
    told,
)
from router.request import Parsed
from support.passages import STORE, found, passage

TOOL = {"type": "file_search", "vector_store_ids": [STORE]}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
FLAT = {"type": "function", "name": "f", "parameters": {"type": "object"}}
USER = {"role": "user", "content": "When do bins go out?"}
CONTEXT = "[1] handbook"


def chatted(**fields: Any) -> Parsed:
    return chat.parse(json.dumps({"model": "toy", "messages": [USER], **fields}).encode())


def responded(**fields: Any) -> Parsed:
    return responses.parse(json.dumps({"model": "toy", "input": "When do bins go out?", **fields}).encode())


def sent(parsed: Parsed) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(parsed.prompt.encode("served", stream=False))
    return document


def refused_in_chat(**fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        chatted(**fields)
    assert caught.value.status == 400
    return caught.value


def refused_in_responses(**fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        responded(**fields)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize("parse", [chatted, responded])
def test_what_a_client_says_of_the_tool_is_asked_of_documents(parse: Any) -> None:
    wanted = {
        "max_num_results": 5, "filters": {"type": "eq", "key": "year", "value": 2026},
        "ranking_options": {
            "ranker": "auto", "score_threshold": 0.4, "hybrid_search": {"embedding_weight": 3, "text_weight": 1}
        },
    }  # fmt: skip
    search = parse(tools=[{**TOOL, "vector_store_ids": [STORE, "vs_b", STORE], **wanted}]).search
    ask = search.ask("When?", 700, 0.0)

    assert (ask.text, ask.store_ids, ask.limit, ask.budget_tokens) == ("When?", (STORE, "vs_b"), 5, 700)
    assert (ask.filter, ask.least_score, ask.alpha) == (wanted["filters"], 0.4, 0.75)
    assert not search.results
    assert search.field == "tools[0].vector_store_ids"


def test_a_chat_may_write_it_below_the_tools_name_as_well() -> None:
    inner = {"vector_store_ids": [STORE], "max_num_results": 3}
    assert chatted(tools=[{"type": "file_search", "file_search": inner}]).search == FileSearch(
        (STORE,), 3, field="tools[0].vector_store_ids"
    )


@pytest.mark.parametrize(("parse", "function"), [(chatted, FUNCTION), (responded, FLAT)])
def test_engines_are_offered_the_functions_only(parse: Any, function: dict[str, Any]) -> None:
    alone, both = sent(parse(tools=[TOOL])), sent(parse(tools=[TOOL, function]))

    assert "tools" not in alone
    assert "tool_choice" not in alone
    assert [tool["type"] for tool in both["tools"]] == ["function"]
    assert parse(tools=[TOOL]).needs == frozenset()


@pytest.mark.parametrize(("parse", "function"), [(chatted, FUNCTION), (responded, FLAT)])
@pytest.mark.parametrize("choice", ["required", {"type": "file_search"}])
def test_a_search_is_what_such_a_choice_requires(parse: Any, function: dict[str, Any], choice: object) -> None:
    parsed = parse(tools=[TOOL, function], tool_choice=choice)

    assert parsed.search.store_ids == (STORE,)
    assert "tool_choice" not in sent(parsed)


@pytest.mark.parametrize("parse", [chatted, responded])
def test_whoever_chooses_no_tool_has_nothing_searched(parse: Any) -> None:
    assert parse(tools=[TOOL], tool_choice="none").search == LEFT_ALONE
    assert parse().search is None


def test_of_allowed_tools_it_may_be_one_or_not() -> None:
    def allowed(*tools: dict[str, str]) -> dict[str, Any]:
        return {"type": "allowed_tools", "mode": "required", "tools": list(tools)}

    both = responded(
        tools=[TOOL, FLAT], tool_choice=allowed({"type": "file_search"}, {"type": "function", "name": "f"})
    )
    without = responded(tools=[TOOL, FLAT], tool_choice=allowed({"type": "function", "name": "f"}))

    assert both.search is not None
    assert both.search.store_ids == (STORE,)
    assert "tool_choice" not in sent(both)
    assert without.search == LEFT_ALONE
    assert sent(without)["tool_choice"] == "required"


@pytest.mark.parametrize("refused", [refused_in_chat, refused_in_responses])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "file_search"}]}, "tools[0].vector_store_ids"),
        ({"tools": [{**TOOL, "vector_store_ids": []}]}, "tools[0].vector_store_ids"),
        ({"tools": [{**TOOL, "max_num_results": 51}]}, "tools[0].max_num_results"),
        ({"tools": [{**TOOL, "max_num_results": 0}]}, "tools[0].max_num_results"),
        ({"tools": [{**TOOL, "colour": "red"}]}, "tools[0].colour"),
        ({"tools": [{**TOOL, "filters": {"key": "x" * 20_000}}]}, "tools[0].filters"),
        ({"tools": [{**TOOL, "ranking_options": {"score_threshold": 2}}]}, "tools[0].ranking_options.score_threshold"),
        (
            {"tools": [{**TOOL, "ranking_options": {"hybrid_search": {"embedding_weight": 0, "text_weight": 0}}}]},
            "tools[0].ranking_options.hybrid_search",
        ),
        ({"tools": [TOOL, TOOL]}, "tools"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(refused: Any, fields: dict[str, Any], param: str) -> None:
    assert refused(**fields).param == param


def test_a_response_says_the_tool_again_and_gives_results_only_where_they_are_wanted() -> None:
    wanted = responded(tools=[TOOL], include=["file_search_call.results"])
    assert wanted.search is not None
    assert wanted.search.results


def test_a_search_that_came_back_may_be_sent_again() -> None:
    item = {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["x"], "results": None}
    items = [
        {"role": "user", "content": "hi"},
        item,
        {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "?"},
    ]
    assert [message["role"] for message in sent(responded(input=items))["messages"]] == ["user", "assistant", "user"]


# What is asked


def test_the_question_is_what_the_user_said_last() -> None:
    turns = [USER, {"role": "assistant", "content": "On Tuesday."}, {"role": "user", "content": [
        {"type": "text", "text": "And glass?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    ]}, {"role": "tool", "tool_call_id": "1", "content": "…"}]  # fmt: skip

    assert question_of(chatted(messages=turns).prompt) == "And glass?"
    assert question_of(responded().prompt) == "When do bins go out?"
    assert question_of(completions.parse(b'{"model":"toy","prompt":"Bins go out on"}').prompt) == "Bins go out on"


@pytest.mark.parametrize("prompt", [["one", "two"], [1, 2, 3], [[1], [2]]])
def test_prompts_that_are_no_one_text_ask_nothing(prompt: object) -> None:
    body = json.dumps({"model": "toy", "prompt": prompt}).encode()
    assert question_of(completions.parse(body).prompt) == ""


def test_of_a_long_question_its_beginning_and_its_end_are_looked_for() -> None:
    asked = shortened("Summarise: " + "word " * 5_000 + "in Spanish, please")

    assert len(asked) == QUESTION_CHARACTERS + 1
    assert asked.startswith("Summarise: ")
    assert asked.endswith("in Spanish, please")
    assert shortened("  short ") == "short"


@given(st.integers(1, 300_000), st.integers(0, 300_000), st.none() | st.integers(1, 100_000))
def test_passages_leave_room_for_prompt_and_answer(context: int, prompt: int, answer: int | None) -> None:
    room = room_for(context, prompt, answer)

    assert 0 <= room <= MOST_TOKENS
    assert room <= context / 4
    assert not room or prompt + room < context


def test_the_room_is_a_quarter_of_a_short_context() -> None:
    assert room_for(4096, 100, None) == 1024
    assert room_for(131_072, 100, None) == MOST_TOKENS
    assert room_for(2048, 1700, 100) == 248
    assert room_for(None, 100, None) == MOST_TOKENS


# Where it stands


def test_passages_follow_what_the_client_says_as_the_system() -> None:
    system = {"role": "system", "content": "Be kind."}
    prompt = sent(with_context(chatted(messages=[system, USER]), CONTEXT))

    assert prompt["messages"] == [{"role": "system", "content": f"Be kind.\n\n{CONTEXT}"}, USER]


def test_without_a_system_message_they_are_the_first() -> None:
    assert sent(with_context(chatted(), CONTEXT))["messages"] == [{"role": "system", "content": CONTEXT}, USER]


def test_of_several_they_join_the_last_that_opens_and_none_that_comes_later() -> None:
    parts = {"role": "system", "content": [{"type": "text", "text": "Two."}]}
    late = {"role": "system", "content": "Late."}
    told_to_engine = sent(
        with_context(chatted(messages=[{"role": "system", "content": "One."}, parts, USER, late]), CONTEXT)
    )

    assert told_to_engine["messages"][1]["content"] == [
        {"type": "text", "text": "Two."}, {"type": "text", "text": CONTEXT}
    ]  # fmt: skip
    assert [one["content"] for one in told_to_engine["messages"][2:]] == [USER["content"], "Late."]


@pytest.mark.parametrize(
    "parsed",
    [
        messages.parse(
            json.dumps({"model": "toy", "max_tokens": 9, "messages": [USER], "system": "Be kind."}).encode()
        ),
        ollama.parse_chat(json.dumps({"model": "toy", "messages": [USER]}).encode()),
        ollama.parse_generate(b'{"model":"toy","prompt":"When?","system":"Be kind."}'),
        completions.parse(b'{"model":"toy","prompt":"When?"}'),
        responded(instructions="Be kind."),
    ],
    ids=["messages", "ollama chat", "ollama generate", "completions", "responses"],
)
def test_every_dialect_has_them_before_the_question(parsed: Parsed) -> None:
    before = sent(parsed)
    longer = with_context(parsed, CONTEXT)
    body = sent(longer)

    first = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
    assert CONTEXT in first
    assert longer.prompt_characters >= parsed.prompt_characters + len(CONTEXT)
    assert sent(parsed) == before, "the prompt without them is as it was"


def test_a_model_is_told_that_nothing_was_found() -> None:
    assert told(found(passage(1))) == found(passage(1)).context
    assert told(found()) == NOTHING
    assert "\n" not in NOTHING


# What is said of it


def test_every_passage_is_named_where_it_is_cited_first_or_at_the_end() -> None:
    text = "On Tuesday [2]. See [2], [1; 3] and [9]."
    named = citations(text, [passage(number) for number in (1, 2, 3, 4)])

    assert [one.passage.number for one in named] == [1, 2, 3, 4]
    assert [text[one.start : one.end] for one in named] == ["[1; 3]", "[2]", "[1; 3]", ""]
    assert named[1].start == text.index("[2]")
    assert named[3].start == len(text)
    assert citations("", [passage(1)]) == []


@given(st.text(alphabet="ab[]12,; ", max_size=60), st.integers(0, 3))
def test_places_are_in_the_text_and_name_the_number(text: str, count: int) -> None:
    for one in citations(text, [passage(number + 1) for number in range(count)]):
        assert 0 <= one.start <= one.end <= len(text)
        assert one.start == one.end == len(text) or str(one.passage.number) in text[one.start : one.end]


def test_an_address_names_version_and_place() -> None:
    assert url_of(passage(1, name="a b.pdf"), "http://home:8000") == (
        f"http://home:8000/v1/vector_stores/{STORE}/files/file-a%20b.pdf/content?version=2#page=3"
    )


def test_what_was_added_is_counted_in_words_and_its_sources_fit_a_header() -> None:
    few = Searched("?", (passage(1), passage(2, page=4), passage(3, name="añejo\r\nx-evil: 1.md")))
    many = Searched("?", tuple(passage(number, name="n" * 90) for number in range(1, 40)))

    assert few.words == "3 passages of 2 files"
    assert few.sources == "[1] handbook.pdf, page 3; [2] handbook.pdf, page 4; [3] a?ejo x-evil: 1.md, page 3"
    assert len(many.sources) <= SOURCES_BYTES + len("; ...")
    assert many.sources.endswith("; ...")
    assert Searched("?", ()).words == "nothing relevant"
