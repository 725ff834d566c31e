"""Checks of headers: who a request was, who the server is, and whom its answers are shown to."""

from cli.conformance.check_errors import STRANGE
from cli.conformance.dialects import CHAT
from cli.conformance.server import Answer, Server
from cli.conformance.verdicts import Check, Seen, failed, judged, not_tried, passed

OURS = "conformance-1234"
ELSEWHERE = "https://page.example"
TELLTALE = ("uvicorn", "werkzeug", "python", "basehttp", "hypercorn", "nginx/", "apache/", "llama.cpp", "express")


async def request_id(server: Server) -> Seen:
    answers = {
        "an answer": await server.chat("Hello", 1),
        "an error": await server.post(CHAT.path, CHAT.ask(STRANGE, "Hello", 1)),
        "the list of models": await server.get("/v1/models"),
    }
    ids = [answer.headers.get("x-request-id") for answer in answers.values()]
    if all(ids) and len(set(ids)) < len(ids):
        return failed("two answers have the same x-request-id")
    return judged({name: None if id_ else "no x-request-id" for name, id_ in zip(answers, ids, strict=True)})


async def request_id_echo(server: Server) -> Seen:
    async def echo(value: str) -> Answer:
        sent = {**server.own_key, "x-request-id": value, "x-client-request-id": value}
        return await server.post(CHAT.path, CHAT.ask(server.facts.model, "Hello", 1), headers=sent)

    kept, strange = await echo(OURS), await echo("<b>" + "x" * 2000)
    if "x" * 2000 in str(strange.headers.multi_items()):
        return failed("2,000 characters of anything come back")
    name = next((name for name in ("x-client-request-id", "x-request-id") if kept.headers.get(name) == OURS), None)
    return passed(f"in {name}") if name else failed("in neither x-request-id nor x-client-request-id")


async def server_names(server: Server) -> Seen:
    answer = await server.get("/v1/models")
    told = {name: answer.headers.get(name, "") for name in ("server", "x-powered-by", "via")}
    loud = [
        f"{name}: {value}"
        for name, value in told.items()
        if any(word in value.lower() for word in TELLTALE) or any(char.isdigit() for char in value)
    ]
    return failed(", ".join(loud)) if loud else passed("nothing of what it is made of")


async def open_to_pages(server: Server) -> Seen:
    page = {"origin": ELSEWHERE}
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    answers = {
        "GET": await server.get("/v1/models", headers={**server.own_key, **page}),
        "OPTIONS": await server.get(CHAT.path, headers={**page, **asks}, method="OPTIONS"),
    }
    return judged({method: _opened(answer) for method, answer in answers.items()})


def _opened(answer: Answer) -> str | None:
    allowed = answer.headers.get("access-control-allow-origin")
    return f"access-control-allow-origin: {allowed}" if allowed in ("*", ELSEWHERE) else None


async def strange_host(server: Server) -> Seen:
    if not server.door.host.startswith(("127.", "10.", "192.168.", "localhost", "::1")):
        return not_tried("the server is on no private address")
    request = server.head("GET", "/v1/models", "Host: page.example", "Connection: close", host=False)
    said = await server.door.say(request, deadline_s=5.0, enough=1)
    refused = bool(said.statuses) and 400 <= said.statuses[0] < 500
    return passed(said.told) if refused else failed(f"{said.told} to page.example")


async def type_of_answers(server: Server) -> Seen:
    streamed, _ = await server.stream(CHAT, "Hello", 1)
    kinds = {
        "whole": ((await server.chat("Hello", 1)), "application/json"),
        "streamed": (streamed.answer, "text/event-stream"),
        "error": (await server.post(CHAT.path, b"{"), "application/json"),
    }
    found = {name: (answer.headers.get("content-type", "none"), wanted) for name, (answer, wanted) in kinds.items()}
    return judged({name: None if kind.startswith(wanted) else kind for name, (kind, wanted) in found.items()})


CHECKS = (
    Check(
        "request-id",
        "headers",
        "Each answer, errors included, has an x-request-id of its own.",
        "It is what a user can quote and an operator can find.",
        request_id,
    ),
    Check(
        "request-id-echo",
        "headers",
        "A client's own request id comes back, unless it is no sane one.",
        "Programs match their log with the server's by it; what is echoed unread is an injection.",
        request_id_echo,
    ),
    Check(
        "content-type",
        "headers",
        "Answers say what they are: JSON, or text/event-stream.",
        "Clients choose their reader by it.",
        type_of_answers,
    ),
    Check(
        "server-names",
        "headers",
        "No header tells which software and version answers.",
        "It saves an attacker the search.",
        server_names,
    ),
    Check(
        "cors",
        "headers",
        "No answer lets web pages of any origin read it.",
        "Otherwise every page that somebody opens can use a server of the same network.",
        open_to_pages,
    ),
    Check(
        "strange-host",
        "headers",
        "A private server refuses a Host that is not its own.",
        "A page can lead its own name to a private address (DNS rebinding), and then CORS does not help.",
        strange_host,
    ),
)
