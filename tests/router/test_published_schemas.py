"""Our answers against the schemas that OpenAI and Anthropic publish of theirs: whole, events of streams, errors."""

from pathlib import Path
from typing import Any

from support.engines import FaultEngine
from support.gateway import running_gateway, served_by
from support.published import Publisher, departures, event_departures
from support.spoken import DIALECTS, Case, events

# Dialect, whose schema, their name of the path, and of what a stream consists.
PUBLISHED: tuple[tuple[str, Publisher, str, str | None], ...] = (
    ("chat", "openai_chat", "/chat/completions", "CreateChatCompletionStreamResponse"),
    ("completions", "openai_chat", "/completions", None),  # whose stream nobody describes
    ("responses", "openai_chat", "/responses", "ResponseStreamEvent"),
    ("messages", "anthropic", "/v1/messages", "MessageStreamEvent"),
)
TURNS: dict[Case, dict[str, object]] = {
    "plain": {"reasoning": "Let me see", "content": "a word or two"},
    "tools": {"content": "Looking", "tool_calls": [("weather", {"town": "Oslo"})]},
    "json_schema": {"content": '{"town": "Oslo"}'},
}


async def test_answers_and_events_are_as_published(engine: FaultEngine, tmp_path: Path) -> None:
    found: list[str] = []
    looked_at = 0
    async with running_gateway(tmp_path, [served_by(engine)]) as running, running.http() as http:
        for name, publisher, path, stream_schema in PUBLISHED:
            dialect = DIALECTS[name]
            for case, turn in TURNS.items():
                if case not in dialect.cases or (case == "json_schema" and engine.kind == "mlx"):
                    continue
                engine.script(turn, turn)
                whole = await http.post(dialect.path, json=dialect.body("toy", case, "Say a word.", 40, False))
                streamed = await http.post(dialect.path, json=dialect.body("toy", case, "Say a word.", 40, True))
                assert (whole.status_code, streamed.status_code) == (200, 200), (name, case, whole.text)
                told = [without_null_usage(event) for event in events(streamed.text.splitlines())]
                looked_at += 1 + len(told)
                found += [f"{name} {case}: {one}" for one in departures(publisher, path, whole.json())]
                if stream_schema is not None:
                    departed = [(event, event_departures(publisher, stream_schema, event)) for event in told]
                    found += [f"{name} {case} {event}: {one}" for event, said in departed for one in said]
    print(f"\nRESULT published engine={engine.kind} looked_at={looked_at} departures={len(found)}")
    assert not found, "\n".join(found[:20])


def without_null_usage(event: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's schema has no null for the usage of a response that has just begun. Its service sends one, and Open
    Responses asks for it."""
    response = event.get("response")
    if isinstance(response, dict) and response.get("usage", "") is None:
        return {**event, "response": {name: value for name, value in response.items() if name != "usage"}}
    return event


async def test_lists_counts_and_errors_are_as_published(engine: FaultEngine, tmp_path: Path) -> None:
    anthropic = {"anthropic-version": "2023-06-01"}
    async with running_gateway(tmp_path, [served_by(engine)]) as running, running.http() as http:
        ask = {"model": "toy", "messages": [{"role": "user", "content": "hi"}]}
        found = departures("openai_chat", "/models", (await http.get("/v1/models")).json(), "get")
        found += departures("openai_chat", "/models/{model}", (await http.get("/v1/models/toy")).json(), "get")
        listed = (await http.get("/v1/models", headers=anthropic)).json()
        found += departures("anthropic", "/v1/models", listed, "get")
        one = (await http.get("/v1/models/toy", headers=anthropic)).json()
        found += departures("anthropic", "/v1/models/{model_id}", one, "get")
        counted = (await http.post("/v1/messages/count_tokens", json=ask)).json()
        found += departures("anthropic", "/v1/messages/count_tokens", counted)
        for name, publisher, path, _ in PUBLISHED:
            url = DIALECTS[name].path
            for body in (
                {},
                {"model": "toy", "no_such_field": 1},
                {**DIALECTS[name].body("nobody", "plain", "x", 1, False)},
            ):
                refused = await http.post(url, json=body)
                assert refused.status_code in (400, 404)
                found += [f"{name}: {one}" for one in departures(publisher, path, refused.json())]
            async with running.http(None) as stranger:
                found += departures(publisher, path, (await stranger.post(url, json=ask)).json())

    assert not found, "\n".join(found[:20])
