"""The server that is asked, as its checks see it: a client, a door for raw bytes, and what the survey found."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from cli.conformance.dialects import CHAT, Dialect, Heard
from cli.conformance.raw import Door
from cli.conformance.reading import parsed

REQUEST_DEADLINE_S = 60.0
Made = TypeVar("Made")
ABSENT = (404, 405, 501)
TOO_LONG_BYTES = 64 * 2**20  # of one answer: a stream that never ends is cut here


class ServerSilentError(Exception):
    """Nobody answers there. The command prints it and exits 6."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} does not answer ({reason}); is it the address of a server that runs?")
        self.url = url


class KeyRefusedError(Exception):
    """The server wants a key, or another one. The command prints it and exits 5."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url} answers {status}: it wants a key that --key-file holds")
        self.url, self.status = url, status


class NothingServedError(Exception):
    """There is no model to ask. The command prints it and exits 4."""

    def __init__(self, url: str, wanted: str | None, problem: str) -> None:
        what = f"the model {wanted}" if wanted else "any model"
        super().__init__(f"{url} does not serve {what}: {problem}; --model names one that chats")
        self.url, self.status = url, 404


@dataclass(frozen=True, slots=True)
class Target:
    """What the command was given. `kill` ends an engine; `patience_s` is how long a server may keep a bad client."""

    url: str
    key: str | None = None
    second_key: str | None = None
    model: str | None = None
    kill: str | None = None
    patience_s: float = 40.0
    ca: str | None = None

    @property
    def root_url(self) -> str:
        return self.url.rstrip("/").removesuffix("/v1")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the survey found. `context_tokens` is None where the server does not tell."""

    model: str
    context_tokens: int | None
    embedder: str
    ranker: str
    offered: tuple[Dialect, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def document(self) -> object:
        return parsed(self.body)

    @property
    def absent(self) -> bool:
        """Nothing is offered at this path."""
        return self.status in ABSENT


@dataclass(frozen=True, slots=True)
class Streamed:
    """`arrivals`: when each piece came, since the request was sent."""

    answer: Answer
    arrivals: tuple[float, ...]


class Server:
    def __init__(self, target: Target, http: httpx2.AsyncClient, door: Door, facts: Facts | None = None) -> None:
        self.target, self.http, self.door = target, http, door
        self._facts = facts
        self._once: dict[object, asyncio.Task[Any]] = {}

    @property
    def facts(self) -> Facts:
        assert self._facts is not None, "the survey comes before every check"
        return self._facts

    def with_facts(self, facts: Facts) -> "Server":
        return Server(self.target, self.http, self.door, facts)

    @property
    def own_key(self) -> Mapping[str, str]:
        return bearer(self.target.key) if self.target.key else {}

    @property
    def prefix(self) -> str:
        """Of every path, where the server does not own its host."""
        return urlsplit(self.target.root_url).path

    def offers(self, name: str) -> Dialect | None:
        """The dialect of this name, where the server speaks it."""
        return next((dialect for dialect in self.facts.offered if dialect.name == name), None)

    async def get(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        """With the own key, unless `headers` are given: they are all that is sent then."""
        return await self._ask(method, path, None, self.own_key if headers is None else headers)

    async def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Answer:
        """`body`: bytes go as they are. `headers` as in `get`."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **(self.own_key if headers is None else headers)}
        return await self._ask("POST", path, content, sent)

    async def chat(self, prompt: str, limit: int, **fields: object) -> Answer:
        return await self.post(CHAT.path, CHAT.ask(self.facts.model, prompt, limit) | fields)

    async def stream(self, dialect: Dialect, prompt: str, limit: int, **fields: object) -> tuple[Streamed, Heard]:
        """Read to its end."""
        body = dialect.streamed(dialect.ask(self.facts.model, prompt, limit)) | fields
        began, pieces, arrivals = monotonic(), bytearray(), []
        async with self.begun(dialect.path, body) as response:
            async for piece in response.aiter_raw():
                pieces += piece
                arrivals.append(monotonic() - began)
                if len(pieces) > TOO_LONG_BYTES:
                    break
        answer = Answer(response.status_code, response.headers, bytes(pieces))
        return Streamed(answer, tuple(arrivals)), dialect.listen(answer.body)

    @asynccontextmanager
    async def begun(self, path: str, body: object) -> AsyncIterator[httpx2.Response]:
        """Left with the block, whether it has ended or not."""
        headers = {"content-type": "application/json", "accept-encoding": "identity", **self.own_key}
        url = self.target.root_url + path
        async with self.http.stream("POST", url, content=json.dumps(body).encode(), headers=headers) as response:
            yield response

    async def once(self, make: "Callable[[Server], Coroutine[Any, Any, Made]]") -> Made:
        """What several checks look at is made once."""
        if make not in self._once:
            self._once[make] = asyncio.create_task(make(self))
        made: Made = await asyncio.shield(self._once[make])
        return made

    async def _ask(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        url = self.target.root_url + path
        response = await self.http.request(method, url, content=content, headers=dict(headers))
        return Answer(response.status_code, response.headers, response.content)

    def head(self, method: str, path: str, *lines: str, host: bool = True) -> bytes:
        """A request head for the door, with the own key."""
        fields = [f"{method} {self.prefix}{path} HTTP/1.1", *([f"Host: {self.door.name}"] if host else [])]
        fields += [f"{name}: {value}" for name, value in self.own_key.items()]
        return ("\r\n".join([*fields, *lines]) + "\r\n\r\n").encode()


def bearer(key: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {key}"}


@asynccontextmanager
async def reached(target: Target) -> AsyncIterator[Server]:
    """Nothing is asked yet. Raises ServerSilentError for what is no address."""
    parts = urlsplit(target.root_url)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        raise ServerSilentError(target.url, "it has to begin with http:// or https://")
    tls = ssl.create_default_context(cafile=target.ca) if parts.scheme == "https" else None
    door = Door(parts.hostname, parts.port or (443 if tls else 80), tls)
    # A connection for each request: one that a server closes just then would be its fault in every check.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx2.AsyncClient(
        verify=tls or False, timeout=REQUEST_DEADLINE_S, limits=limits, trust_env=False
    ) as http:
        yield Server(target, http, door)
