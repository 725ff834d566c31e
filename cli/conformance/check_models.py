"""Checks of what the server says of its models, and to whom."""

from collections.abc import Mapping

from cli.conformance.check_errors import STRANGE, problem_of
from cli.conformance.dialects import CHAT
from cli.conformance.reading import at, count_at, list_at, text_at
from cli.conformance.server import Server, bearer
from cli.conformance.verdicts import Check, Seen, failed, not_offered, not_tried, passed

ANTHROPIC = {"anthropic-version": "2023-06-01"}


async def openai_list(server: Server) -> Seen:
    document = (await server.get("/v1/models")).document
    if text_at(document, "object") != "list" or not list_at(document, "data"):
        return failed('no `object` "list" with `data`')
    for entry in list_at(document, "data"):
        wrong = [name for name in ("id", "owned_by") if not text_at(entry, name)]
        wrong += ["object"] if text_at(entry, "object") != "model" else []
        wrong += ["created"] if count_at(entry, "created") is None else []
        if wrong:
            return failed(f"{text_at(entry, 'id') or 'an entry'} lacks {', '.join(wrong)}")
    return passed(f"{len(list_at(document, 'data'))} listed")


async def anthropic_list(server: Server) -> Seen:
    if server.offers("messages") is None:
        return not_offered("no /v1/messages")
    document = (await server.get("/v1/models", headers={**server.own_key, **ANTHROPIC})).document
    lacks = [name for name in ("has_more", "first_id", "last_id") if at(document, name) is None]
    for entry in list_at(document, "data")[:1]:
        lacks += [name for name in ("id", "display_name", "created_at") if not text_at(entry, name)]
        lacks += ["type"] if text_at(entry, "type") != "model" else []
    return failed(f"lacks {', '.join(lacks)}") if lacks else passed("has_more, display_name, created_at")


async def one_model(server: Server) -> Seen:
    found = await server.get(f"/v1/models/{server.facts.model}")
    if found.status != 200 or text_at(found.document, "id") != server.facts.model:
        return failed(f"{found.status} for the model itself")
    problem = problem_of(await server.get(f"/v1/models/{STRANGE}"), 404, CHAT)
    return failed(f"a strange one: {problem}") if problem else passed("200, and 404 for a strange one")


async def context_length(server: Server) -> Seen:
    context = server.facts.context_tokens
    return passed(f"{context:,} tokens") if context else failed("neither context_length nor max_model_len")


async def key_filter(server: Server) -> Seen:
    second = server.target.second_key
    if second is None:
        return not_tried("--second-key-file names a key that may use fewer models")
    mine = await _names(server, server.own_key)
    theirs = await _names(server, bearer(second))
    hidden = sorted(mine - theirs)
    if not hidden:
        return failed("the second key sees every model") if theirs == mine else not_tried("no model is hidden from it")
    answer = await server.post(CHAT.path, CHAT.ask(hidden[0], "Hello", 1), headers=bearer(second))
    if answer.status not in (403, 404):
        return failed(f"{hidden[0]} is not listed to the second key, and answers it {answer.status}")
    return passed(f"{len(hidden)} hidden, and refused with {answer.status}")


async def _names(server: Server, headers: Mapping[str, str]) -> set[str]:
    return {text_at(entry, "id") for entry in list_at((await server.get("/v1/models", headers)).document, "data")}


CHECKS = (
    Check(
        "models-list",
        "models",
        "/v1/models has OpenAI's fields: id, object, created, owned_by.",
        "Strict clients refuse a list that lacks one.",
        openai_list,
    ),
    Check(
        "models-anthropic",
        "models",
        "/v1/models has Anthropic's fields too: type, display_name, created_at, has_more.",
        "Claude Code finds models by them.",
        anthropic_list,
    ),
    Check(
        "models-one",
        "models",
        "/v1/models/NAME tells of one model, and is a 404 of OpenAI's shape for a strange one.",
        "Clients look here before they begin.",
        one_model,
    ),
    Check(
        "models-context",
        "models",
        "/v1/models tells how long the context is.",
        "Agents that do not know it run into it.",
        context_length,
    ),
    Check(
        "key-filter",
        "models",
        "A key that may use fewer models sees fewer, and is refused the others.",
        "What is only hidden can be guessed.",
        key_filter,
    ),
)
