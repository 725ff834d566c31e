"""Serve a packaged sentence encoder over HTTP, in OpenAI's shape. A script: the engine environment's python runs it.

It imports nothing of potluck, because that environment does not have it. A library encodes one list of texts at a
time, most of them faster than the texts one by one: so whatever waits is encoded together, a bounded number of texts a
call, taken from the waiting requests in turns. SIGTERM may end it at any moment: there is nothing to
save. It opens no connection.
"""

import argparse
import asyncio
import base64
import contextlib
import errno
import hmac
import importlib.util
import socket
import sys
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HOST = "127.0.0.1"  # never another one: what reaches this engine comes through potluck
EXIT_PORT_TAKEN = 98  # nodes/engines/encoder.py knows it
MOST_TEXTS = 2048  # of one request
MOST_BODY_BYTES = 32 << 20
LONGEST_PIECE = 16  # characters of a token, at the most
CALL_TEXTS = 64  # of one call of the library: nobody new gets a turn while it lasts
TURN_TEXTS = 16  # of one request, before the next one has its turn
DIGITS = 8  # that a float of four bytes has, at the most

Rows = Any  # an array of numpy, a vector a row
Application = Callable[[Any, Any, Any], Awaitable[None]]


class RefusedError(Exception):
    """A request that cannot be answered, in the words of OpenAI's errors."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code


class Asked(msgspec.Struct):
    """A request, as far as this engine reads it."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class Encoder(Protocol):
    """A library (encoder_libraries.py). Called by one thread."""

    dimensions: int
    longest: int | None  # tokens of a text; None: any number
    call_characters: int  # of one call

    def read(self, text: str) -> tuple[int, Any]:
        """Its tokens, counted, and what `vectors` takes for it."""
        ...

    def vectors(self, texts: Sequence[Any]) -> Rows: ...


@dataclass(eq=False)
class Work:
    """One request, on its way."""

    texts: list[str]
    done: "asyncio.Future[None]"
    taken: int = 0
    tokens: int = 0
    vectors: list[Rows] = field(default_factory=list)


class Batcher:
    """One writer of all that waits: the task that runs `run`."""

    def __init__(self, encoder: Encoder, context: int) -> None:
        self._encoder, self._context = encoder, context
        self._waiting: deque[Work] = deque()
        self._running: set[Work] = set()
        self._wake = asyncio.Event()
        self._tokens = self._calls = 0

    def put(self, texts: list[str]) -> Work:
        work = Work(texts, asyncio.get_running_loop().create_future())
        self._waiting.append(work)
        self._wake.set()
        return work

    async def run(self) -> None:
        while True:
            chosen = self._choose()
            if not chosen:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._running = {work for work, _ in chosen}
            try:
                refused = await asyncio.to_thread(self._encode, chosen)
            except Exception as error:  # noqa: BLE001  whatever it was, others can still be answered
                print(f"the encoder failed: {type(error).__name__}", file=sys.stderr)  # noqa: T201  no words of a text
                traceback.print_tb(error.__traceback__)
                refused = dict.fromkeys(self._running, RefusedError(500, "the encoder failed; its log says why"))
            self._calls += 1
            for work in self._running:
                _advance(work, refused.get(work))
            self._running = set()

    def _choose(self) -> list[tuple[Work, list[str]]]:
        """Some texts of each request in turn. One that was left by its client is forgotten."""
        chosen: dict[Work, list[str]] = {}
        texts, characters, most_characters = 0, 0, self._encoder.call_characters
        while self._waiting and texts < CALL_TEXTS and characters < most_characters:
            work = self._waiting.popleft()
            if work.done.done():
                continue
            most = min(TURN_TEXTS, CALL_TEXTS - texts)
            for text in work.texts[work.taken : work.taken + most]:
                if texts and characters + len(text) > most_characters:
                    characters = most_characters  # it begins the next call
                    break
                chosen.setdefault(work, []).append(text)
                work.taken, texts, characters = work.taken + 1, texts + 1, characters + len(text)
            if work.taken < len(work.texts):
                self._waiting.append(work)
        return list(chosen.items())

    def _encode(self, chosen: Sequence[tuple[Work, list[str]]]) -> dict[Work, RefusedError]:
        """In a thread of its own, while the loop neither chooses nor reads these requests."""
        ready: list[Any] = []
        parts: list[tuple[Work, int]] = []
        refused: dict[Work, RefusedError] = {}
        counted = 0
        for work, texts in chosen:
            read = [self._encoder.read(text) for text in texts]
            counts = [count for count, _ in read]
            if max(counts) > self._context:
                refused[work] = too_long(self._context, f"a text of it has {max(counts)}")
                continue
            ready += [given for _, given in read]
            parts.append((work, len(read)))
            work.tokens += sum(counts)
            counted += sum(counts)
        rows, start = self._encoder.vectors(ready) if ready else [], 0
        for work, count in parts:
            work.vectors.append(rows[start : start + count])
            start += count
        self._tokens += counted
        return refused

    def metrics(self) -> str:
        """Prometheus exposition; nodes/engines/encoder.py reads it."""
        waiting = sum(not work.done.done() for work in self._waiting if work not in self._running)
        rows = (
            ("requests_running", "gauge", len(self._running)),
            ("requests_waiting", "gauge", waiting),
            ("prompt_tokens_total", "counter", self._tokens),
            ("steps_total", "counter", self._calls),
        )
        named = ((f"potluck_encoder_{name}", kind, value) for name, kind, value in rows)
        return "".join(f"# TYPE {name} {kind}\n{name} {value}\n" for name, kind, value in named)


def _advance(work: Work, refused: RefusedError | None) -> None:
    if work.done.done():  # its client has left
        return
    if refused is not None:
        work.done.set_exception(refused)
    elif sum(map(len, work.vectors)) == len(work.texts):
        work.done.set_result(None)


def too_long(context: int, told: str) -> RefusedError:
    message = f"This model's maximum context length is {context} tokens for each text; {told}."
    return RefusedError(400, message, "input", "context_length_exceeded")


def texts_of(asked: Asked, dimensions: int, context: int) -> list[str]:
    """Raises RefusedError."""
    if asked.dimensions not in (None, dimensions):
        raise RefusedError(400, f"this model's vectors have {dimensions} dimensions, and no others", "dimensions")
    given = [asked.input] if isinstance(asked.input, str) else asked.input
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) < len(given):
        raise RefusedError(400, "this engine takes texts, and no tokens of another model's tokenizer", "input")
    if not 1 <= len(texts) <= MOST_TEXTS:
        raise RefusedError(400, f"`input` has {len(texts)} texts; it may have from 1 to {MOST_TEXTS}", "input")
    for place, text in enumerate(texts):
        if not text:
            raise RefusedError(400, f"text {place} of `input` is empty", "input")
        if len(text) > context * LONGEST_PIECE:
            raise too_long(context, f"text {place} has {len(text)} characters")
    return texts


def rendered(row: Rows, encoding: Literal["float", "base64"]) -> object:
    """As floats, in text at once since as objects they take six times the room; or as their bytes: four each, the
    lowest first."""
    if encoding == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    return msgspec.Raw(msgspec.json.encode(row.astype(float).round(DIGITS).tolist()))


class Api:
    """What each path answers."""

    def __init__(self, alias: str, encoder: Encoder, context: int) -> None:
        self._alias, self._encoder, self._context = alias, encoder, context
        self.batcher = Batcher(encoder, context)

    async def health(self, request: Request) -> Response:
        return _json(200, {"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        return Response(self.batcher.metrics(), media_type="text/plain; version=0.0.4")

    async def models(self, request: Request) -> Response:
        model = {"id": self._alias, "object": "model", "created": 0, "owned_by": "potluck"}
        return _json(200, {"object": "list", "data": [model]})

    async def embeddings(self, request: Request) -> Response:
        try:
            asked = await self._asked(request)
            work = self.batcher.put(texts_of(asked, self._encoder.dimensions, self._context))
            if not await _while_there(request, work):
                return Response(status_code=499)
        except RefusedError as refused:
            return _refusal(refused)
        rows = (rendered(row, asked.encoding_format) for vectors in work.vectors for row in vectors)
        data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
        usage = {"prompt_tokens": work.tokens, "total_tokens": work.tokens}
        return _json(200, {"object": "list", "data": data, "model": self._alias, "usage": usage})

    async def _asked(self, request: Request) -> Asked:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MOST_BODY_BYTES:
                raise RefusedError(413, f"a request may have {MOST_BODY_BYTES} bytes")
        try:
            asked = msgspec.json.decode(body, type=Asked)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedError(400, f"not a request for embeddings: {error}") from None
        if asked.model != self._alias:
            raise RefusedError(404, f"The model {asked.model!r} does not exist.", "model", "model_not_found")
        return asked


async def _not_served(request: Request, error: Exception) -> Response:
    """Another path, or another method."""
    assert isinstance(error, HTTPException)
    return _refusal(RefusedError(error.status_code, error.detail))


async def _while_there(request: Request, work: Work) -> bool:
    """Until it is encoded; False where its client left before. Raises RefusedError."""
    left = asyncio.create_task(_has_left(request))
    try:
        await asyncio.wait((work.done, left), return_when=asyncio.FIRST_COMPLETED)
        if not work.done.done():
            return False
        work.done.result()
        return True
    finally:
        left.cancel()
        work.done.cancel()


async def _has_left(request: Request) -> None:
    """After its body that is the one message that can come."""
    await request.receive()


def _json(status: int, document: object) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")


def _refusal(refused: RefusedError) -> Response:
    kind = "server_error" if refused.status >= 500 else "invalid_request_error"
    told = {"message": refused.message, "type": kind, "param": refused.param, "code": refused.code}
    return _json(refused.status, {"error": told})


class Gate:
    """The outermost ASGI layer: everything but /health wants the key."""

    def __init__(self, app: Application, key: str | None) -> None:
        self._app, self._key = app, key

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] != "/health" and not self._has_key(scope):
            await _refusal(RefusedError(401, "Unauthorized", code="invalid_api_key"))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _has_key(self, scope: Any) -> bool:
        if self._key is None:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, f"Bearer {self._key}".encode())


def application(alias: str, encoder: Encoder, context: int, key: str | None) -> Application:
    api = Api(alias, encoder, context)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(api.batcher.run())
        yield
        task.cancel()

    routes = [
        Route("/health", api.health),
        Route("/metrics", api.metrics),
        Route("/v1/models", api.models),
        Route("/v1/embeddings", api.embeddings, methods=["POST"]),
    ]
    return Gate(Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _not_served}), key)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="the folder of its files")
    parser.add_argument("--alias", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens of one text")
    parser.add_argument("--api-key-file", type=Path)
    return parser.parse_args(argv)


def _beside(name: str) -> Any:
    """A file of this folder, which is on no path of modules here: other files of it have the names of libraries."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(argv: list[str]) -> int:
    arguments = parse_arguments(argv)
    key = arguments.api_key_file.read_text().strip() if arguments.api_key_file else None
    # By this protocol number asyncio knows that Nagle's algorithm is to be off: else each answer waits for 40 ms.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, arguments.port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"port {arguments.port} is taken", file=sys.stderr)  # noqa: T201  stderr is the engine's log
        return EXIT_PORT_TAKEN
    encoder: Encoder = _beside("encoder_libraries").opened(arguments.model)
    context = min(arguments.context, encoder.longest or arguments.context)
    app = application(arguments.alias, encoder, context, key)
    # A log line of a request is written where it comes from; a connection that is kept is not closed under its owner.
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, timeout_keep_alive=300, timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
