"""The beginning of a prompt as a request of its own: what two prompts share, and nothing of what only one has."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.dialects.beginning import LONGEST_ESCAPE, beginning_of
from router.dialects.chat import parse as parse_chat
from router.dialects.completions import parse as parse_completion
from router.request import Prompt, SizeOnly

TOOLS = [{"type": "function", "function": {"name": "look", "description": "x" * 50, "parameters": {"type": "object"}}}]


def chat(*messages: tuple[str, str], **fields: object) -> Prompt:
    said = [{"role": role, "content": content} for role, content in messages]
    return parse_chat(json.dumps({"model": "toy", "messages": said, **fields}).encode()).prompt


def written(prompt: Prompt | None) -> dict[str, object]:
    assert prompt is not None
    body = json.loads(prompt.encode("served", True))
    assert isinstance(body, dict)
    return body


FIRST = b'[{"role":"system","content":"'
NEXT = b'"},{"role":"user","content":"'
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)


@given(texts, texts, st.integers(0, 600))
def test_it_begins_as_the_prompt_does_and_goes_as_far_as_it_was_cut(system: str, user: str, size_bytes: int) -> None:
    prompt = chat(("system", system), ("user", user))
    begins, whole = beginning_of(prompt, size_bytes), prompt.read()
    if begins is None:
        assert size_bytes <= len(FIRST) + LONGEST_ESCAPE
        return
    same = next((at for at, (one, other) in enumerate(zip(begins.read(), whole, strict=False)) if one != other), 10**6)

    assert min(same, len(begins.read())) >= min(size_bytes - len(NEXT) - LONGEST_ESCAPE, len(whole) - 2)
    assert user.startswith(begins.said()) or begins.said() == "."


@given(texts, st.integers(2, 400))
def test_a_completion_is_cut_between_characters(text: str, size_bytes: int) -> None:
    prompt = parse_completion(json.dumps({"model": "toy", "prompt": text}).encode()).prompt
    begins = beginning_of(prompt, size_bytes)
    if begins is not None:
        said = begins.said()
        assert text.startswith(said)
        assert len(begins.read()) <= max(size_bytes, 1)
        assert said == text or len(begins.read()) > size_bytes - LONGEST_ESCAPE


def test_a_user_speaks_last_and_the_answer_is_one_token_and_free_of_form() -> None:
    prompt = chat(
        ("system", "s" * 100), ("user", "a question that is nobody else's"), tools=TOOLS, temperature=0.5,
        response_format={"type": "json_object"}, logprobs=True, n=2, max_tokens=500,
    )  # fmt: skip
    size_bytes = prompt.read().index(b"sss") + 60
    body = written(beginning_of(prompt, size_bytes))

    assert body["messages"] == [{"role": "system", "content": "s" * 60}, {"role": "user", "content": "."}]
    assert body["tools"] == TOOLS
    assert (body["max_tokens"], body["stream"], body["model"]) == (1, True, "served")
    assert body.keys().isdisjoint({"response_format", "logprobs", "n"})


def test_the_request_that_it_was_cut_from_is_as_it_was() -> None:
    prompt = chat(("user", "u" * 500))
    before = prompt.encode("served", True)
    beginning_of(prompt, 300)

    assert prompt.encode("served", True) == before


@pytest.mark.parametrize("size_bytes", [0, 10, 30])
def test_less_than_the_first_message_is_no_request(size_bytes: int) -> None:
    assert beginning_of(chat(("user", "u" * 500), tools=TOOLS), size_bytes) is None


def test_token_ids_and_lengths_have_no_beginning() -> None:
    ids = parse_completion(b'{"model": "toy", "prompt": [1, 2, 3]}').prompt

    assert beginning_of(ids, 100) is None
    assert beginning_of(SizeOnly(), 100) is None
