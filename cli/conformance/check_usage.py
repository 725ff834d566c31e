"""Checks that what was used is told on every path, and the same on each."""

from cli.conformance.check_errors import problem_of
from cli.conformance.dialects import CHAT, Dialect, Heard
from cli.conformance.reading import count_at, list_at
from cli.conformance.server import Server
from cli.conformance.verdicts import Check, Seen, failed, judged, not_offered, passed

ASKED = "What is the capital of Norway?"
LIMIT = 6


async def whole(server: Server) -> Seen:
    async def told(dialect: Dialect) -> str | None:
        answer = await server.post(dialect.path, dialect.ask(server.facts.model, ASKED, LIMIT))
        if answer.status != 200:
            return f"{answer.status}"
        heard = dialect.hear(answer.document)
        total = count_at(answer.document, "usage", "total_tokens")
        if total is not None and total != (heard.prompt_tokens or 0) + (heard.output_tokens or 0):
            return f"total_tokens {total} is not the sum"
        return _lacking(heard)

    return judged({dialect.name: await told(dialect) for dialect in server.facts.offered})


async def streamed(server: Server) -> Seen:
    async def told(dialect: Dialect) -> str | None:
        answer = await server.post(dialect.path, dialect.ask(server.facts.model, ASKED, LIMIT))
        _, heard = await server.stream(dialect, ASKED, LIMIT)
        counted = dialect.hear(answer.document)
        lacking = _lacking(heard)
        if lacking is None and heard.prompt_tokens != counted.prompt_tokens:
            return f"{heard.prompt_tokens} prompt tokens, and {counted.prompt_tokens} of the same prompt not streamed"
        return lacking

    return judged({dialect.name: await told(dialect) for dialect in server.facts.offered})


def _lacking(heard: Heard) -> str | None:
    if not heard.prompt_tokens:
        return "no tokens of the prompt"
    if not heard.output_tokens:
        return "no tokens of the answer"
    return f"{heard.output_tokens} tokens of at most {LIMIT}" if heard.output_tokens > LIMIT else None


async def count_tokens(server: Server) -> Seen:
    messages = {"model": server.facts.model, "messages": [{"role": "user", "content": ASKED}]}
    counted = await server.post("/v1/messages/count_tokens", messages)
    if counted.absent:
        return not_offered(f"{counted.status} at /v1/messages/count_tokens")
    count = count_at(counted.document, "input_tokens")
    used = CHAT.hear((await server.chat(ASKED, 1)).document).prompt_tokens
    if count is None:
        return failed(f"{counted.status} without input_tokens")
    return passed(f"{count}, as used") if count == used else failed(f"{count} counted, {used} used")


async def tokenize(server: Server) -> Seen:
    answer = await server.post("/tokenize", {"model": server.facts.model, "prompt": ASKED, "content": ASKED})
    if answer.status == 400:  # one that knows its fields takes one of the two
        answer = await server.post("/tokenize", {"model": server.facts.model, "prompt": ASKED})
    if answer.absent:
        return not_offered(f"{answer.status} at /tokenize")
    tokens = list_at(answer.document, "tokens")
    return passed(f"{len(tokens)} tokens") if tokens else failed(f"{answer.status} without tokens")


async def count_refused(server: Server) -> Seen:
    messages = server.offers("messages")
    answer = await server.post("/v1/messages/count_tokens", b"{")
    if messages is None or answer.absent:
        return not_offered(f"{answer.status} at /v1/messages/count_tokens")
    problem = problem_of(answer, 400, messages)
    return failed(problem) if problem else passed("400")


CHECKS = (
    Check(
        "usage-whole",
        "usage",
        "Every dialect tells the tokens of prompt and answer, and a total that is their sum.",
        "What is not told cannot be budgeted.",
        whole,
    ),
    Check(
        "usage-streamed",
        "usage",
        "Every dialect tells them in streams too, and the same tokens of the prompt.",
        "Agents stream everything.",
        streamed,
    ),
    Check(
        "count-tokens",
        "usage",
        "/v1/messages/count_tokens counts a chat as its answer's usage will.",
        "Agents decide by it when to shorten their history.",
        count_tokens,
    ),
    Check(
        "count-tokens-error",
        "usage",
        "/v1/messages/count_tokens refuses in Anthropic's shape.",
        "Anthropic's clients read no other.",
        count_refused,
    ),
    Check("tokenize", "usage", "/tokenize gives the tokens of a text.", "Programs cut texts to size by it.", tokenize),
)
