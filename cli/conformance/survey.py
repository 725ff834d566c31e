"""What there is to ask: models, their context, and which dialects the server speaks."""

import httpx2

from cli.conformance.dialects import DIALECTS, Dialect
from cli.conformance.reading import count_at, list_at, text_at
from cli.conformance.server import Answer, Facts, KeyRefusedError, NothingServedError, Server, ServerSilentError

QUESTION = "Say a word."
CONTEXT_NAMES = (("context_length",), ("max_model_len",), ("meta", "n_ctx"))


async def survey(server: Server) -> Facts:
    """Raises ServerSilentError, KeyRefusedError, NothingServedError."""
    listed = await _models(server)
    entries = list_at(listed.document, "data")
    chosen = _chosen(server, entries)
    model = text_at(chosen, "id")
    contexts = (count_at(chosen, *path) for path in CONTEXT_NAMES)
    offered = [dialect for dialect in DIALECTS if await speaks(server, dialect, model)]
    if not offered:
        raise NothingServedError(server.target.url, model, "no dialect answers a question to it")
    return Facts(
        model=model,
        context_tokens=next((count for count in contexts if count), None),
        embedder=_able(entries, "embed") or model,
        ranker=_able(entries, "rerank") or model,
        offered=tuple(offered),
    )


async def speaks(server: Server, dialect: Dialect, model: str) -> bool:
    """A refusal of its own counts as spoken: what it refuses, the checks will tell."""
    try:
        answer = await server.post(dialect.path, dialect.ask(model, QUESTION, 1))
    except httpx2.TimeoutException:
        return True
    return not answer.absent


async def _models(server: Server) -> Answer:
    try:
        answer = await server.get("/v1/models")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise ServerSilentError(server.target.url, str(error) or type(error).__name__) from None
    if answer.status in (401, 403):
        raise KeyRefusedError(server.target.url, answer.status)
    return answer


def _chosen(server: Server, entries: list[object]) -> object:
    """The model that was named, also where it is not listed; or the first that can chat."""
    wanted = server.target.model
    if wanted is not None:
        return next((entry for entry in entries if text_at(entry, "id") == wanted), {"id": wanted})
    able = [entry for entry in entries if "chat" in (list_at(entry, "capabilities") or ["chat"])]
    if not able:
        raise NothingServedError(server.target.url, None, "/v1/models lists none that chats")
    return able[0]


def _able(entries: list[object], what: str) -> str | None:
    return next((text_at(entry, "id") for entry in entries if what in list_at(entry, "capabilities")), None)
