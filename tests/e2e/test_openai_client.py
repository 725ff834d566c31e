"""The real openai client, with strict response validation, against the real engine."""

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from support.leaks import CANARY
from support.machine import Running

pytestmark = pytest.mark.e2e

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": f"Say hello to {CANARY}."}]


def test_models_are_listed_with_their_context(client: OpenAI) -> None:
    (model,) = client.models.list().data

    assert model.id == "smollm2"
    assert model.to_dict()["context_length"] == 2048
    assert client.models.retrieve("smollm2").id == "smollm2"


def test_a_chat_gets_a_real_answer_with_usage(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="smollm2", messages=QUESTION, max_tokens=16, temperature=0)

    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 16
    assert answer.usage.prompt_tokens > 5
    assert answer.model == "smollm2"


def test_a_stream_gives_pieces_then_usage(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="smollm2",
        messages=QUESTION,
        max_tokens=16,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert {chunk.model for chunk in chunks} == {"smollm2"}


def test_a_stream_without_include_usage_has_no_usage_chunk(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="smollm2", messages=QUESTION, max_tokens=8, stream=True))

    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


def test_a_plain_completion(client: OpenAI) -> None:
    whole = client.completions.create(model="smollm2", prompt=f"Once upon a time {CANARY}", max_tokens=8, temperature=0)

    assert whole.choices[0].text


def test_a_streamed_completion(running: Running) -> None:
    # Not with strict validation: the client's own type refuses the null finish_reason that the API prescribes here.
    with OpenAI(base_url=running.endpoint, api_key=running.api_key) as client:
        pieces = list(
            client.completions.create(model="smollm2", prompt=f"Once upon {CANARY}", max_tokens=8, stream=True)
        )

    assert "".join(choice.text for piece in pieces for choice in piece.choices)


def test_an_unknown_model_is_a_404_that_suggests_one(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="smolm2", messages=QUESTION)

    assert caught.value.code == "model_not_found"
    assert "smollm2" in caught.value.message


def test_a_wrong_key_is_a_401(running: Running) -> None:
    with (
        OpenAI(base_url=running.endpoint, api_key=running.api_key[:-1] + "x", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        stranger.chat.completions.create(model="smollm2", messages=QUESTION)

    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("stream", [False, True])
def test_an_overlong_prompt_is_a_400_that_says_so(client: OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="smollm2", messages=[{"role": "user", "content": "word " * 6000}], stream=stream
        )

    assert caught.value.code == "context_length_exceeded"


def test_a_malformed_body_is_a_400_in_openai_shape(running: Running) -> None:
    response = httpx2.post(
        f"{running.endpoint}/chat/completions",
        content=b'{"model": "smollm2", "messages": [',
        headers={"authorization": f"Bearer {running.api_key}", "content-type": "application/json"},
    )

    assert response.status_code == 400
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_an_unknown_field_is_a_400_that_names_it(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="smollm2", messages=QUESTION, extra_body={"chat_template": "{{ 1 }}"})

    assert "chat_template" in caught.value.message


def test_every_answer_says_who_served_it(running: Running) -> None:
    response = httpx2.post(
        f"{running.endpoint}/chat/completions",
        json={"model": "smollm2", "messages": QUESTION, "max_tokens": 4},
        headers={"authorization": f"Bearer {running.api_key}"},
        timeout=60,
    )

    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["x-potluck-node"]
    assert response.headers["x-potluck-engine"].startswith("smollm2.")
    assert response.headers["x-potluck-route-reason"]
