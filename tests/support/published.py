"""What OpenAI and Anthropic publish of their APIs, as it comes with llm-comply, and how an answer departs from it."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import jsonschema

Publisher = Literal["openai_chat", "anthropic"]


@cache
def _document(publisher: Publisher) -> dict[str, Any]:
    text = files("llm_comply").joinpath("specs", f"{publisher}.json").read_text()
    document: dict[str, Any] = _with_nulls(json.loads(text))
    return document


def _with_nulls(value: Any) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema has another type."""
    if isinstance(value, list):
        return [_with_nulls(one) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _with_nulls(one) for key, one in value.items()}
    return {"anyOf": [inner, {"type": "null"}]} if inner.pop("nullable", False) is True else inner


def departures(publisher: Publisher, path: str, answer: Any, method: str = "post") -> list[str]:
    """Of a whole answer with status 200, or with an error where the publisher describes errors of this path."""
    described = _document(publisher)["paths"][path][method]["responses"]
    failed = "error" in answer and answer["error"] is not None and "id" not in answer
    if failed and "4XX" not in described:
        return event_departures(publisher, "ErrorResponse", answer)
    return _departures(
        publisher, described["4XX" if failed else "200"]["content"]["application/json"]["schema"], answer
    )


def event_departures(publisher: Publisher, schema: str, event: Any) -> list[str]:
    """Of one event of a stream, or whatever else has a schema of its own."""
    return _departures(publisher, {"$ref": f"#/components/schemas/{schema}"}, event)


def _departures(publisher: Publisher, schema: dict[str, Any], answer: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator({**schema, "components": _document(publisher)["components"]})
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(answer)]
