"""Answers that were written from documents name them, in chats and in responses, whole and as streams."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from cluster.knowledge import FoundPassage
from router.dialects import chat, responses
from router.errors import STREAM_DONE, saturated
from router.file_search import FileSearch, Searched
from router.request import Arrival, Citing, Identity, Voice
from support.passages import STORE, passage
from support.upstream import DONE, chat_answer, usage_event

ARRIVAL = Arrival(
    "req_7", None, "chat", Identity("k", "home", "family", "user", "private", frozenset()), 0.0, 1_800_000_000.5
)
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "toy", "system_fingerprint": "f"}
TEXT = "On Tuesday [2], as [1] says."
TWO = (passage(1, name="a.pdf"), passage(2, name="b.pdf", page=7))
BY_TOOL = FileSearch((STORE,), results=True)


def citing(body: dict[str, Any], passages: Sequence[FoundPassage] = TWO, by_tool: FileSearch | None = None) -> Voice:
    parse = responses.parse if "input" in body else chat.parse
    make = parse(json.dumps({"model": "toy", **body}).encode()).voice
    assert make is not None
    plain = make(ARRIVAL, 3)
    assert isinstance(plain, Citing)
    return plain.citing(Searched("When?", tuple(passages), "http://home", by_tool))


def chatting(passages: Sequence[FoundPassage] = TWO) -> Voice:
    return citing({"messages": [{"role": "user", "content": "When?"}]}, passages)


def responding(passages: Sequence[FoundPassage] = TWO, by_tool: FileSearch | None = BY_TOOL) -> Voice:
    return citing({"input": "When?"}, passages, by_tool)


def delta(content: str | None = None, finish: str | None = None, index: int = 0, **fields: object) -> bytes:
    said = {"content": content, **fields} if content is not None else fields
    choice = {"index": index, "delta": said, "finish_reason": finish}
    return b"data: " + json.dumps({**HEAD, "choices": [choice]}).encode() + b"\n\n"


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """Each checked against the openai client's own type."""
    found = []
    for event in stream.split(b"\n\n")[:-1]:
        data = event.removeprefix(b"data: ")
        if data != b"[DONE]" and not event.startswith(b":"):
            found.append(json.loads(data))
            ChatCompletionChunk.model_validate(found[-1], strict=True)
    return found


def events(stream: bytes) -> list[dict[str, Any]]:
    found = []
    for block in stream.removesuffix(STREAM_DONE).split(b"\n\n")[:-1]:
        event = json.loads(block.split(b"\n")[1].removeprefix(b"data: "))
        assert EVENTS.validate_python(event).type == event["type"]
        found.append(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def places(annotations: Sequence[dict[str, Any]], text: str = TEXT) -> list[tuple[str, str]]:
    cited = [one["url_citation"] for one in annotations]
    return [(one["title"], text[one["start_index"] : one["end_index"]]) for one in cited]


# Chats


def test_a_whole_chat_has_annotations_and_is_else_as_its_engine_wrote_it() -> None:
    body = chat_answer(TEXT)
    told = json.loads(chatting().whole(body))
    annotations = told["choices"][0]["message"].pop("annotations")

    assert told == json.loads(body)
    assert places(annotations) == [("a.pdf, page 3", "[1]"), ("b.pdf, page 7", "[2]")]
    assert annotations[1]["url_citation"]["url"] == (
        f"http://home/v1/vector_stores/{STORE}/files/file-b.pdf/content?version=2#page=7"
    )
    told["choices"][0]["message"]["annotations"] = annotations
    message = ChatCompletion.model_validate(told, strict=True).choices[0].message
    assert message.annotations is not None
    assert [one.type for one in message.annotations] == ["url_citation"] * 2


def test_a_chat_with_thoughts_has_them_under_both_names_still() -> None:
    body = json.loads(chat_answer(TEXT))
    body["choices"][0]["message"]["reasoning"] = "so"
    message = json.loads(chatting().whole(json.dumps(body).encode()))["choices"][0]["message"]
    assert (message["reasoning"], message["reasoning_content"], len(message["annotations"])) == ("so", "so", 2)


def test_a_streamed_chat_has_them_in_a_chunk_before_its_end() -> None:
    stream = [delta("", role="assistant"), delta("On Tuesday [2"), delta("], as [1] says."), delta(finish="stop")]
    voice = chatting()
    told = b"".join(voice.events(piece) for piece in [*stream, usage_event(1, 2), DONE])
    said = chunks(told)

    assert told.replace(b"data: " + json.dumps(said[3], separators=(",", ":")).encode() + b"\n\n", b"") == b"".join(
        [*stream, usage_event(1, 2), DONE]
    ), "all else is as its engine wrote it"
    assert said[3]["choices"][0]["finish_reason"] is None
    assert places(said[3]["choices"][0]["delta"]["annotations"]) == [("a.pdf, page 3", "[1]"), ("b.pdf, page 7", "[2]")]
    assert {key: said[3][key] for key in HEAD} == HEAD
    assert said[4]["choices"][0]["finish_reason"] == "stop"


def test_each_of_several_answers_has_its_own() -> None:
    voice = chatting(TWO[:1])
    told = chunks(
        voice.events(
            delta("see [1]", index=1) + delta("nothing") + delta("!", finish="stop") + delta(finish="length", index=1)
        )
    )
    found = {
        chunk["choices"][0]["index"]: chunk["choices"][0]["delta"]["annotations"][0]["url_citation"]
        for chunk in told
        if "annotations" in chunk["choices"][0]["delta"]
    }
    assert [(found[at]["start_index"], found[at]["end_index"]) for at in (0, 1)] == [(8, 8), (4, 7)]


def test_calls_of_functions_and_answers_without_passages_have_none() -> None:
    call = [{"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    stream = delta(tool_calls=call) + delta(finish="tool_calls") + DONE
    spoken = delta("On Tuesday [1].") + delta(finish="stop") + b": still here\n\n" + DONE

    assert chatting().events(stream) == stream
    assert chatting(()).events(spoken) == spoken
    assert json.loads(chatting(()).whole(chat_answer(TEXT))) == json.loads(chat_answer(TEXT))


def test_a_chat_that_breaks_off_ends_as_any() -> None:
    voice = chatting()
    assert voice.events(delta("On ")) == delta("On ")
    assert voice.broken(saturated("full")).endswith(STREAM_DONE)


# Responses


def test_a_whole_response_begins_with_the_search_and_cites_in_its_text() -> None:
    told = json.loads(responding().whole(chat_answer(TEXT)))
    search, message = told["output"]

    assert (search["type"], search["status"], search["queries"]) == ("file_search_call", "completed", ["When?"])
    assert [(one["file_id"], one["text"], one["score"]) for one in search["results"]] == [
        ("file-a.pdf", "Bins go out on Tuesday.", 0.9), ("file-b.pdf", "Bins go out on Tuesday.", 0.9)
    ]  # fmt: skip
    cited = message["content"][0]["annotations"]
    assert [(one["type"], one["file_id"], one["filename"], one["index"]) for one in cited] == [
        ("file_citation", "file-a.pdf", "a.pdf", TEXT.index("[1]")),
        ("file_citation", "file-b.pdf", "b.pdf", TEXT.index("[2]")),
    ]
    assert [(one["store_id"], one["version"], one["locator"]) for one in cited] == [
        (STORE, 2, "page 3"), (STORE, 2, "page 7")
    ]  # fmt: skip
    output = Response.model_validate(told).output
    assert [item.type for item in output] == ["file_search_call", "message"]


def test_results_are_kept_back_unless_they_are_asked_for() -> None:
    told = json.loads(responding(by_tool=FileSearch((STORE,))).whole(chat_answer(TEXT)))
    assert told["output"][0]["results"] is None


def test_what_usual_stores_added_is_cited_and_is_no_call_of_a_tool() -> None:
    told = json.loads(responding(by_tool=None).whole(chat_answer(TEXT)))
    assert [item["type"] for item in told["output"]] == ["message"]
    assert len(told["output"][0]["content"][0]["annotations"]) == 2


def test_a_streamed_response_tells_the_search_first_and_each_citation_before_its_text_ends() -> None:
    voice = responding()
    stream = [delta("", role="assistant"), delta("On Tuesday [2"), delta("], as [1] says."), delta(finish="stop")]
    said = events(b"".join(voice.events(piece) for piece in [*stream, usage_event(1, 2), DONE]))
    kinds = [event["type"].removeprefix("response.") for event in said]

    assert kinds == [
        "created", "in_progress",
        "output_item.added", "file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed",
        "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.annotation.added", "output_text.annotation.added", "output_text.done", "content_part.done",
        "output_item.done", "completed",
    ]  # fmt: skip
    assert [event["output_index"] for event in said[2:16]] == [0] * 5 + [1] * 9
    assert said[2]["item"]["status"] == "in_progress"
    search, message = said[-1]["response"]["output"]
    assert (search, message) == (said[6]["item"], said[15]["item"])
    added = [event for event in said if event["type"].endswith("annotation.added")]
    assert [event["annotation_index"] for event in added] == [0, 1]
    assert [event["annotation"] for event in added] == message["content"][0]["annotations"]
    assert {event["item_id"] for event in added} == {message["id"]}


def test_a_response_with_nothing_found_says_that_it_looked() -> None:
    told = json.loads(responding(()).whole(chat_answer("I cannot tell.")))
    assert told["output"][0]["results"] == []
    assert told["output"][1]["content"][0]["annotations"] == []


def test_an_empty_answer_after_a_search_is_an_empty_message() -> None:
    told = json.loads(responding().whole(chat_answer("")))
    assert [item["type"] for item in told["output"]] == ["file_search_call", "message"]
    assert told["output"][1]["content"][0]["annotations"] == []


def test_a_stream_that_breaks_off_keeps_the_search_that_was_told() -> None:
    voice = responding()
    said = events(voice.events(delta("On ")) + voice.broken(saturated("full")))
    assert [item["type"] for item in said[-1]["response"]["output"]] == ["file_search_call", "message"]
    assert said[-1]["response"]["output"][0]["status"] == "completed"


@pytest.mark.parametrize("make", [chatting, responding])
@given(st.lists(st.text(alphabet="ab [12]é", max_size=6), max_size=8))
def test_a_stream_cites_as_the_whole_answer_does(make: Any, pieces: list[str]) -> None:
    voice = make()
    streamed = b"".join(voice.events(delta(piece)) for piece in pieces) + voice.events(delta(finish="stop") + DONE)
    whole = json.loads(make().whole(chat_answer("".join(pieces))))
    if make is chatting:
        found = [one["choices"][0]["delta"].get("annotations") for one in chunks(streamed)]
        expected = whole["choices"][0]["message"].get("annotations")
        assert [one for one in found if one] == ([expected] if expected else [])
    else:
        last = events(streamed)[-1]["response"]["output"][-1]["content"][0]
        assert last["annotations"] == whole["output"][-1]["content"][0]["annotations"]
