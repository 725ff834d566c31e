"""Checks of refusals: the right status, in the shape of the dialect, naming what was wrong, and telling no secret."""

from collections.abc import Awaitable, Callable, Mapping

from cli.conformance.dialects import CHAT, Dialect
from cli.conformance.reading import text_at
from cli.conformance.server import Answer, Server, bearer
from cli.conformance.verdicts import Check, Seen, failed, judged, not_offered, not_tried, passed

STRANGE = "conformance-no-such-model"
WRONG_KEY = "pl_conformance_" + "0" * 43
BODY_BYTES = 2**30  # announced, never sent


def problem_of(answer: Answer, status: int, dialect: Dialect) -> str | None:
    """What is wrong with a refusal that should have been this one."""
    if answer.status != status:
        return f"{answer.status} instead of {status}"
    wrong = dialect.error(answer.document)
    return f"{status}, but {wrong}" if wrong else None


async def everywhere(server: Server, refused: Callable[[Dialect], Awaitable[Answer]], status: int) -> Seen:
    return judged(
        {dialect.name: problem_of(await refused(dialect), status, dialect) for dialect in server.facts.offered}
    )


async def unknown_model(server: Server) -> Seen:
    return await everywhere(server, lambda dialect: server.post(dialect.path, dialect.ask(STRANGE, "Hello", 1)), 404)


async def bad_json(server: Server) -> Seen:
    return await everywhere(server, lambda dialect: server.post(dialect.path, b'{"model": "x", '), 400)


async def wrong_type(server: Server) -> Seen:
    wrong = {"temperature": "warm"}

    async def ask(dialect: Dialect) -> str | None:
        body = dialect.ask(server.facts.model, "Hello", 1)
        body |= {"options": wrong} if "options" in body else wrong
        answer = await server.post(dialect.path, body)
        problem = problem_of(answer, 400, dialect)
        return problem or (None if "temperature" in answer.text else "400, but `temperature` is not named")

    return judged({dialect.name: await ask(dialect) for dialect in server.facts.offered})


async def unknown_field(server: Server) -> Seen:
    answer = await server.chat("Hello", 1, conformance_no_such_field=1)
    if answer.status == 200:
        return failed("ignored without a word")
    problem = problem_of(answer, 400, CHAT)
    if problem is None and "conformance_no_such_field" not in answer.text:
        problem = "400, but the field is not named"
    return failed(problem) if problem else passed("400 that names it")


async def missing_key(server: Server) -> Seen:
    return await _keyless(server, {})


async def wrong_key(server: Server) -> Seen:
    return await _keyless(server, bearer(WRONG_KEY))


async def _keyless(server: Server, headers: Mapping[str, str]) -> Seen:
    if server.target.key is None:
        return not_offered("it was asked without a key, and answers")
    model = server.facts.model
    return await everywhere(
        server, lambda dialect: server.post(dialect.path, dialect.ask(model, "Hello", 1), headers=headers), 401
    )


async def either_header(server: Server) -> Seen:
    if server.target.key is None:
        return not_offered("it was asked without a key, and answers")
    answer = await server.get("/v1/models", headers={"x-api-key": server.target.key})
    return passed("200") if answer.status == 200 else failed(f"{answer.status}")


async def key_leak(server: Server) -> Seen:
    keys = [WRONG_KEY, *([server.target.key] if server.target.key else [])]
    answers = []
    for key in keys:
        sent = bearer(key)
        answers += [
            await server.post(CHAT.path, CHAT.ask(STRANGE, "Hello", 1), headers=sent),
            await server.post(CHAT.path, b"{", headers=sent),
            await server.get("/v1/conformance/nothing", headers=sent),
            await server.get(f"/v1/models?key={key}", headers={}),
        ]
    for answer in answers:
        told = answer.text + repr(answer.headers.multi_items())
        if any(key in told or key[-20:] in told for key in keys):
            return failed(f"a {answer.status} repeats the key")
    return passed(f"{len(answers)} answers")


async def context_overflow(server: Server) -> Seen:
    context = server.facts.context_tokens
    if context is None:
        return not_tried("/v1/models does not tell how long the context is")
    answer = await server.chat("word " * (2 * context), 1)
    problem = problem_of(answer, 400, CHAT)
    if problem:
        return failed(problem)
    code = text_at(answer.document, "error", "code")
    return passed(f"400 {code}") if code == "context_length_exceeded" else failed(f"400, but the code is {code!r}")


async def unknown_path(server: Server) -> Seen:
    answer = await server.get("/v1/conformance/nothing")
    problem = problem_of(answer, 404, CHAT)
    return failed(problem) if problem else passed("404")


async def body_too_large(server: Server) -> Seen:
    head = server.head("POST", CHAT.path, "Content-Type: application/json", f"Content-Length: {BODY_BYTES}")
    said = await server.door.say(head + b'{"model":', deadline_s=3.0, enough=1)
    return passed("413 before the body was sent") if said.statuses[:1] == [413] else failed(said.told)


SHAPES = "Clients read the error's fields: OpenAI's message, type, param and code, Anthropic's type, Ollama's text."
CHECKS = (
    Check(
        "unknown-model", "errors", "A model that is not there is a 404, in each dialect's shape.", SHAPES, unknown_model
    ),
    Check("bad-json", "errors", "A body that is not JSON is a 400, in each dialect's shape.", SHAPES, bad_json),
    Check(
        "wrong-type",
        "errors",
        "A field of the wrong type is a 400 that names it, in each dialect.",
        "Without the name, nobody finds the mistake in a body of a hundred fields.",
        wrong_type,
    ),
    Check(
        "unknown-field",
        "errors",
        "A field that the server does not know is a 400 that names it.",
        "A field that is ignored silently is a wish that nobody knows was not granted.",
        unknown_field,
    ),
    Check("missing-key", "errors", "Without a key every dialect answers 401, in its shape.", SHAPES, missing_key),
    Check("wrong-key", "errors", "With a wrong key every dialect answers 401, in its shape.", SHAPES, wrong_key),
    Check(
        "either-key-header",
        "errors",
        "The key is taken from `Authorization: Bearer` and from `x-api-key`.",
        "OpenAI's clients send the one, Anthropic's the other.",
        either_header,
    ),
    Check(
        "key-leak",
        "errors",
        "No error repeats a key, neither a good nor a bad one.",
        "Errors end in logs and in bug reports.",
        key_leak,
    ),
    Check(
        "context-overflow",
        "errors",
        "A prompt longer than the context is a 400 `context_length_exceeded`.",
        "Agents shorten their history when they read this code, and give up at any other.",
        context_overflow,
    ),
    Check("unknown-path", "errors", "A route that is not there is a 404 of OpenAI's shape.", SHAPES, unknown_path),
    Check(
        "body-too-large",
        "errors",
        "A body announced with 1 GiB is a 413 before it is sent.",
        "Whoever reads first and counts later holds it in memory.",
        body_too_large,
    ),
)
