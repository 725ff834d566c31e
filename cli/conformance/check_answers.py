"""Checks that what a request asks for is what it gets: limits, stops, seeds, choices, tools and schemas."""

from collections.abc import Callable

from cli.conformance.dialects import CHAT, Dialect, Heard
from cli.conformance.reading import at, count_at, list_at, parsed, text_at
from cli.conformance.server import Answer, Server
from cli.conformance.verdicts import Check, Seen, failed, judged, not_offered, not_tried, passed

COUNT = "Count from one to fifty, in words."
STORY = "Tell a story of the sea."
LIMIT = 5
TOWNS = ["Oslo", "Rome"]
SCHEMA = {
    "type": "object",
    "properties": {"town": {"type": "string", "enum": TOWNS}},
    "required": ["town"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "description": "of a town", "parameters": SCHEMA}}


def refusal(answer: Answer, field: str) -> Seen:
    """A refusal that names the field is honest; any other is a failure."""
    if answer.status in (400, 422, 501) and field in answer.text:
        return not_offered(f"{answer.status} that names {field}")
    return failed(f"{answer.status} that does not say why: {answer.text[:80]!r}")


async def max_tokens(server: Server) -> Seen:
    async def kept(dialect: Dialect) -> str | None:
        answer = await server.post(dialect.path, dialect.ask(server.facts.model, COUNT, LIMIT))
        heard = dialect.hear(answer.document)
        if answer.status != 200 or heard.output_tokens is None:
            return f"{answer.status}, and no count"
        if heard.output_tokens > LIMIT:
            return f"{heard.output_tokens} tokens instead of {LIMIT}"
        return None if heard.end == "length" or heard.output_tokens < LIMIT else f"it ended by {heard.end!r}"

    return judged({dialect.name: await kept(dialect) for dialect in server.facts.offered})


async def stop(server: Server) -> Seen:
    return await _stopped(server, lambda text: text[len(text) // 2 :].split()[1] if " " in text else "")


async def stop_inside(server: Server) -> Seen:
    """Two letters from the inside of the longest word: no token begins or ends with them, as a rule."""
    return await _stopped(server, lambda text: max(text[len(text) // 2 :].split() or [""], key=len)[1:3])


async def _stopped(server: Server, choose: Callable[[str], str]) -> Seen:
    free = CHAT.hear((await server.chat(STORY, 24)).document).text
    word = choose(free) if len(free.split()) > 3 else ""
    if not word.strip():
        return not_tried(f"the model says too little: {free!r}")
    answer = await server.chat(STORY, 24, stop=[word])
    if answer.status != 200:
        return refusal(answer, "stop")
    _, streamed = await server.stream(CHAT, STORY, 24, stop=[word])
    return judged({"whole": _stop_problem(CHAT.hear(answer.document), word), "streamed": _stop_problem(streamed, word)})


def _stop_problem(heard: Heard, word: str) -> str | None:
    if word in heard.text:
        return f"{word!r} is in the answer"
    return None if heard.end == "stop" else f"ended by {heard.end!r}, not at {word!r}"


async def seed(server: Server) -> Seen:
    async def said() -> Answer:
        return await server.chat(STORY, 24, temperature=1, seed=7)

    first, second = await said(), await said()
    if first.status != 200:
        return refusal(first, "seed")
    texts = [CHAT.hear(answer.document).text for answer in (first, second)]
    return passed("twice the same") if texts[0] == texts[1] else failed(f"{texts[0][:30]!r} and {texts[1][:30]!r}")


async def choices(server: Server) -> Seen:
    answer = await server.chat(COUNT, LIMIT, n=2, temperature=1)
    if answer.status != 200:
        return refusal(answer, "n")
    indexes = [count_at(choice, "index") for choice in list_at(answer.document, "choices")]
    return passed("two choices") if indexes == [0, 1] else failed(f"choices {indexes}")


async def logprobs(server: Server) -> Seen:
    answer = await server.chat(COUNT, 3, logprobs=True, top_logprobs=2)
    if answer.status != 200:
        return refusal(answer, "logprobs")
    content = list_at(answer.document, "choices", 0, "logprobs", "content")
    if not content:
        return failed("no logprobs.content")
    for entry in content:
        log = at(entry, "logprob")
        if not isinstance(at(entry, "token"), str) or not isinstance(log, int | float) or log > 0:
            return failed("an entry without token or logprob")
        if "bytes" not in (entry if isinstance(entry, dict) else {}):
            return failed("an entry without bytes")
        if len(list_at(entry, "top_logprobs")) != 2:
            return failed(f"{len(list_at(entry, 'top_logprobs'))} top_logprobs instead of 2")
    return passed(f"{len(content)} tokens with 2 others each")


async def tool_results(server: Server) -> Seen:
    """An answer after a call and its result, as every agent's second request is."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Oslo"}'}}
    messages = [
        {"role": "user", "content": "How is the weather in Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
    ]
    answer = await server.chat("", 8, messages=messages, tools=[TOOL])
    if answer.status != 200:
        return refusal(answer, "tool")
    message = at(answer.document, "choices", 0, "message")
    if text_at(message, "content") or list_at(message, "tool_calls"):
        return passed("the conversation goes on")
    return failed("neither content nor tool_calls")


async def forced_tool(server: Server) -> Seen:
    named = {"type": "function", "function": {"name": "weather"}}
    answer = await server.chat("How is the weather in Oslo?", 100, tools=[TOOL], tool_choice=named)
    if answer.status != 200:
        return refusal(answer, "tool")
    call = at(answer.document, "choices", 0, "message", "tool_calls", 0)
    if call is None:
        return failed("ignored: no call")
    arguments = parsed(text_at(call, "function", "arguments"))
    if text_at(call, "function", "name") != "weather" or text_at(arguments, "town") not in TOWNS:
        return failed(f"called with {text_at(call, 'function', 'arguments')[:60]!r}")
    return passed("called, with arguments of its schema") if text_at(call, "id") else failed("a call without an id")


async def json_schema(server: Server) -> Seen:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    answer = await server.chat("Name a town.", 100, response_format=wanted)
    if answer.status != 200:
        return refusal(answer, "response_format")
    content = text_at(answer.document, "choices", 0, "message", "content")
    document = parsed(content)
    kept = isinstance(document, dict) and set(document) == {"town"} and document["town"] in TOWNS
    return passed(content) if kept else failed(f"ignored: {content[:60]!r}")


NAMED = "What cannot be done has to be refused by name; a wish ignored silently is found out late."
CHECKS = (
    Check(
        "max-tokens",
        "answers",
        "Every dialect's limit of the answer is kept, and told as the reason of its end.",
        "Whoever pays for tokens counts on it.",
        max_tokens,
    ),
    Check(
        "stop",
        "answers",
        "A stop text ends the answer and is not part of it, streamed or whole.",
        "Agents cut their protocol out of the text by it.",
        stop,
    ),
    Check(
        "stop-inside-tokens",
        "answers",
        "So does one that begins or ends inside a token.",
        "An engine that compares tokens misses it.",
        stop_inside,
    ),
    Check("seed", "answers", "The same seed gives the same answer twice.", NAMED, seed),
    Check("choices", "answers", "`n` gives so many choices, or a refusal that names it.", NAMED, choices),
    Check("logprobs", "answers", "logprobs have OpenAI's shape, or a refusal names them.", NAMED, logprobs),
    Check(
        "tool-results",
        "answers",
        "A chat with a call and its result goes on, or a refusal names the tools.",
        NAMED,
        tool_results,
    ),
    Check(
        "forced-tool",
        "answers",
        "A tool named by tool_choice is called with arguments of its schema, or refused.",
        NAMED,
        forced_tool,
    ),
    Check(
        "json-schema",
        "answers",
        "An answer with a schema is of that schema, or response_format is refused.",
        NAMED,
        json_schema,
    ),
)
