import json

import pytest

from router.engine_errors import translate, translate_event, worth_another

LLAMACPP = {
    "error": {
        "code": 400,
        "message": "the request exceeds the available context size",
        "type": "exceed_context_size_error",
    }
}
VLLM = {
    "error": {"message": "This model's maximum context length is 2048 tokens.", "type": "BadRequestError", "code": 400}
}
VLLM_OLD = {"object": "error", "message": "maximum context length is 9", "code": 400}


@pytest.mark.parametrize("body", [LLAMACPP, VLLM, VLLM_OLD])
def test_every_engines_word_for_too_long_becomes_ours(body: dict[str, object]) -> None:
    error = translate(400, json.dumps(body).encode(), "e")

    assert (error.status, error.code) == (400, "context_length_exceeded")


def test_a_text_that_llamacpp_cannot_embed_is_too_long_and_no_failure_of_its_own() -> None:
    said = "input (901 tokens) is too large to process. increase the physical batch size (current batch size: 512)"
    body = {"error": {"code": 500, "message": said, "type": "server_error"}}

    error = translate(500, json.dumps(body).encode(), "e", "input")

    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "input")


def test_vectors_that_cannot_be_cut_are_a_matter_of_dimensions() -> None:
    said = "Model 'toy' does not support Matryoshka embeddings; dimensions must be unset (received dimensions=5)."
    body = {"error": {"message": said, "type": "BadRequestError", "param": None, "code": 400}}

    error = translate(400, json.dumps(body).encode(), "e", "input")

    assert (error.status, error.code, error.param) == (400, "unsupported_parameter", "dimensions")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"error": "bad grammar"}', (400, "refused_by_engine")),
        (404, b'{"error": "generation failed"}', (502, "engine_error")),
        (401, b"{}", (502, "engine_error")),
        (429, b"{}", (429, "saturated")),
        (503, b'{"error": {"message": "Loading model"}}', (503, "engine_unavailable")),
        (500, b"<html>", (502, "engine_error")),
    ],
)
def test_other_answers_are_named_by_what_a_client_can_do(status: int, body: bytes, expected: tuple[int, str]) -> None:
    error = translate(status, body, "e")

    assert (error.status, error.code) == expected
    assert (error.retry_after_s is not None) == (error.status in (429, 503))


def test_an_engines_text_is_one_bounded_printable_line() -> None:
    error = translate(400, json.dumps({"error": "a\r\n\x1b[31m" + "b" * 5000}).encode(), "e")

    assert "\n" not in error.message
    assert "\x1b" not in error.message
    assert len(error.message) < 500


def test_an_error_event_says_why_the_engine_gave_up() -> None:
    assert "out of memory" in translate_event(b'data: {"error": {"message": "out of memory"}}', "e").message


def test_a_clients_own_mistake_is_not_tried_elsewhere() -> None:
    assert not worth_another(400)
    assert worth_another(500)
    assert worth_another(429)
