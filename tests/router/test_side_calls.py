"""What front ends ask for themselves is known by what they send; what a user asks is never taken for it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.dialects import DIALECTS
from router.request import Parsed
from router.side_calls import TASKS
from support.front_ends import CLAUDE_TITLES, CONTINUE, OPEN_WEBUI, OPENCODE, TEXTS, VSCODE, front_end_calls

BY_PATH = {dialect.path: dialect for dialect in DIALECTS.values()}
WORDS = st.text(st.characters(codec="utf-8"), max_size=300)
TEMPLATES = st.sampled_from((*OPEN_WEBUI.values(),))
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def parse(path: str, body: dict[str, Any]) -> Parsed:
    return BY_PATH[path.partition("?")[0]].parse(msgspec.json.encode(body))


def chat(*messages: tuple[str, Any], **more: object) -> Parsed:
    said = [{"role": role, "content": content} for role, content in messages]
    return parse("/v1/chat/completions", {"model": "toy", "messages": said, **more})


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(WORDS, st.sampled_from(TEXTS)), min_size=1, max_size=6))
def test_whatever_a_conversation_is_about_its_front_ends_calls_are_known_with_their_kind(texts: list[str]) -> None:
    for one in front_end_calls("toy", [text or "hi" for text in texts]):
        side = parse(one.path, one.body).side
        assert side is not None, one
        assert (side.kind, side.why.startswith(one.name.split(" ")[0])) == (one.kind, True), one


@settings(deadline=None, max_examples=60)
@given(WORDS, TEMPLATES, st.lists(WORDS, max_size=3))
def test_the_same_words_with_tools_or_in_a_conversation_are_a_users(text: str, template: Any, turns: list[str]) -> None:
    prompt = template([text])
    answered = [("user", text), ("assistant", "Gladly."), *(("user", turn) for turn in turns), ("user", prompt)]

    assert chat(("user", prompt)).side is not None
    assert chat(("user", prompt), tools=[TOOL]).side is None
    assert chat(*answered).side is None
    assert chat(("system", OPENCODE), *answered).side is None
    assert chat(("system", OPENCODE), *[("user", text)] * 20).side is None


@settings(deadline=None, max_examples=100)
@given(WORDS, WORDS)
def test_no_prompt_that_a_front_end_did_not_write_is_taken(system: str, text: str) -> None:
    assert chat(("system", system), ("user", text)).side is None


@pytest.mark.parametrize(
    "text",
    [
        "Generate a title for my essay about the French Revolution.",
        "Generate a concise, 3-5 word title with an emoji summarizing this text: …",
        '### Task:\nGenerate a title for my essay, as JSON with the key "title".',
        "### Task:\nSummarise <chat_history> tags in the HTML standard.",
        "Please write a 5-10 word title for my talk about bees.",
        "You are a title generator. You output ONLY a thread title.",
        "Suggest 3-5 relevant follow-up questions for my interview.",
        "Given the following text, please reply with a title for the chat",
        "Provide a concise, 5-word-or-less title for the conversation between Romeo and Juliet.",
        "quota",
        "Explain this prompt: ### Task: … <chat_history>…</chat_history>",
        f"Why does this prompt not work?\n{CONTINUE}",
        f"Translate: {CLAUDE_TITLES[0]}",
        "",
    ],
)
def test_what_merely_looks_like_one_is_a_users(text: str) -> None:
    for limit in (None, 16, 1000):
        assert chat(("user", text), max_tokens=limit).side is None
        assert chat(("system", "You are a helpful assistant."), ("user", text), max_tokens=limit).side is None


def test_a_long_system_prompt_that_speaks_of_titles_is_a_users() -> None:
    for words in (OPENCODE, VSCODE, *CLAUDE_TITLES):
        assert chat(("system", f"You help people. When they ask you to: {words}"), ("user", "hello")).side is None
        assert chat(("system", f"{'You help people. ' * 30}\n\n{words}"), ("user", "hello")).side is None


def test_a_picture_is_a_users() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    written = {"type": "text", "text": OPEN_WEBUI["title"](["hi"])}

    assert chat(("user", [written])).side is not None
    assert chat(("user", [written, picture])).side is None


@pytest.mark.parametrize(
    ("task", "kind"), [*TASKS.items(), ("function_calling", None), ("moa_response_generation", None)]
)
def test_a_front_end_may_say_so_in_the_metadata(task: str, kind: str | None) -> None:
    side = chat(("user", "Wie heißt das?"), metadata={"task": task}).side

    assert (side.kind if side else None) == kind
    assert chat(("user", "Wie heißt das?"), metadata={"task": task}, tools=[TOOL]).side is None
