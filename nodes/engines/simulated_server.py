"""The process of a simulated engine: OpenAI's shapes over HTTP, at the pace that it was given. No model, no download.

It runs in potluck's own environment, and says in each answer what it is. SIGTERM may end it at any moment.
"""

import argparse
import asyncio
import contextlib
import errno
import hmac
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from nodes.engines.simulated import PORT_TAKEN
from nodes.engines.simulated_batch import Batch, Work
from nodes.engines.simulated_wire import Asked, AskedVectors, RefusedError, Shape, read
from nodes.engines.simulated_words import answer_of, opening, packed, tokens_of, vector_of
from nodes.rates import Rates

HOST = "127.0.0.1"  # never another one: what reaches this engine comes through potluck
Application = Callable[[Any, Any, Any], Awaitable[None]]


class Engine:
    """One writer of the batch: the task that runs `run`. Each request is told when it has one more token."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._wake = asyncio.Event()
        self._told: dict[Work, asyncio.Event] = {}

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        due_s = clock()
        while True:
            step = self.batch.next_step()
            if step is None:
                self._wake.clear()
                await self._wake.wait()
                due_s = clock()
                continue
            due_s += step.seconds  # from when the last one was due: a machine that is busy delays one, and not all
            await asyncio.sleep(due_s - clock())
            for work in self.batch.done(step):
                if work in self._told:
                    self._told[work].set()

    async def tokens(self, work: Work) -> AsyncIterator[str]:
        """Its answer, a few tokens at a time. Whoever stops listening frees its slot."""
        told = self._told[work] = asyncio.Event()
        self.batch.put(work)
        self._wake.set()
        try:
            given = 0
            while given < len(work.answer):
                await told.wait()
                told.clear()
                yield "".join(work.answer[given : work.written])
                given = work.written
        finally:
            del self._told[work]
            self.batch.leave(work)


class Api:
    """What each path answers."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._alias, self._context, self._load_s = arguments.alias, arguments.context, arguments.load_s
        self._rates = Rates(
            arguments.prefill,
            arguments.doubling_tokens,
            arguments.step_s,
            arguments.step_per_request_s,
            arguments.step_per_token_s,
            arguments.chunk_tokens,
        )
        self._said = opening(arguments.kind, arguments.alias, arguments.where, self._rates)
        self._started_s = time.monotonic()
        self.engine = Engine(Batch(self._rates, arguments.slots, arguments.context))

    async def health(self, request: Request) -> Response:
        if time.monotonic() < self._started_s + self._load_s:
            return _refusal(RefusedError(503, "simulated: loading, shortened", "loading"))
        return _json(200, {"status": "ok", "simulated": True})

    async def models(self, request: Request) -> Response:
        model = {"id": self._alias, "object": "model", "created": 0, "owned_by": "simulated"}
        return _json(200, {"object": "list", "data": [model]})

    async def metrics(self, request: Request) -> Response:
        batch = self.engine.batch
        figures = {
            "requests_running": batch.running,
            "requests_waiting": batch.waiting,
            "kv_used": batch.kv_used,
            "prompt_tokens_total": batch.counts.prompt_tokens,
            "output_tokens_total": batch.counts.output_tokens,
            "steps_total": batch.counts.steps,
        }
        lines = (f"potluck_simulated_{name} {figure}\n" for name, figure in figures.items())
        return Response("".join(lines), media_type="text/plain; version=0.0.4")

    async def embeddings(self, request: Request) -> Response:
        asked = read(await request.body(), AskedVectors)
        tokens = [tokens_of(text) or ("\n",) for text in asked.texts]
        for prompt in tokens:  # an empty answer would never be told of: one token stands for the vector
            async for _ in self.engine.tokens(Work(prompt, ("",))):
                pass
        rows = [vector_of(text) for text in asked.texts]
        packing = asked.encoding_format == "base64"
        data = [
            {"object": "embedding", "index": place, "embedding": packed(row) if packing else row}
            for place, row in enumerate(rows)
        ]
        count = sum(map(len, tokens))
        usage = {"prompt_tokens": count, "total_tokens": count}
        return _json(200, {"object": "list", "data": data, "model": self._alias, "usage": usage})

    async def chat(self, request: Request) -> Response:
        return await self._write(request, chat=True)

    async def completions(self, request: Request) -> Response:
        return await self._write(request, chat=False)

    async def _write(self, request: Request, chat: bool) -> Response:
        asked = read(await request.body(), Asked)
        prompt = asked.tokens
        room = self._context - len(prompt)
        if room <= 0:
            told = f"the prompt has {len(prompt)} tokens, and the context is {self._context}"
            raise RefusedError(400, told, "context_length_exceeded")
        asked_for = asked.max_completion_tokens or asked.max_tokens or room
        answer, cut = answer_of(self._said, prompt, min(room, asked_for))
        shape, work = Shape(self._alias, chat, "length" if cut else "stop"), Work(prompt, answer)
        if asked.stream:
            usage = asked.stream_options is not None and asked.stream_options.include_usage
            return StreamingResponse(self._events(shape, work, usage), media_type="text/event-stream")
        writing = asyncio.create_task(self._whole(work))
        left = asyncio.create_task(_has_left(request))
        try:
            await asyncio.wait((writing, left), return_when=asyncio.FIRST_COMPLETED)
            return _json(200, shape.whole(writing.result(), work)) if writing.done() else Response(status_code=499)
        finally:
            left.cancel()
            writing.cancel()

    async def _whole(self, work: Work) -> str:
        return "".join([piece async for piece in self.engine.tokens(work)])

    async def _events(self, shape: Shape, work: Work, with_usage: bool) -> AsyncIterator[bytes]:
        role = "assistant"  # told with the first token: an event before it would pass for one
        async for piece in self.engine.tokens(work):
            yield _event(shape.chunk(piece, role))
            role = ""
        yield _event(shape.last())
        if with_usage:
            yield _event({**shape.base(streamed=True), "choices": [], "usage": shape.usage(work)})
        yield b"data: [DONE]\n\n"


async def _has_left(request: Request) -> None:
    """After its body that is the one message that can come."""
    await request.receive()


def _event(document: object) -> bytes:
    return b"data: " + msgspec.json.encode(document) + b"\n\n"


def _json(status: int, document: object) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _refusal(error)


def _refusal(refused: RefusedError) -> Response:
    kind = "server_error" if refused.status >= 500 else "invalid_request_error"
    return _json(refused.status, {"error": {"message": refused.message, "type": kind, "code": refused.code}})


class Gate:
    """The outermost ASGI layer: everything but /health wants the key."""

    def __init__(self, app: Application, key: str | None) -> None:
        self._app, self._key = app, key

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] != "/health" and not self._has_key(scope):
            await _refusal(RefusedError(401, "Unauthorized", "invalid_api_key"))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _has_key(self, scope: Any) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return self._key is None or hmac.compare_digest(given, f"Bearer {self._key}".encode())


def application(api: Api, purpose: str, key: str | None) -> Application:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(api.engine.run())
        yield
        task.cancel()

    writes = [
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/completions", api.completions, methods=["POST"]),
    ]
    routes = [
        Route("/health", api.health),
        Route("/metrics", api.metrics),
        Route("/v1/models", api.models),
        *(writes if purpose == "write" else [Route("/v1/embeddings", api.embeddings, methods=["POST"])]),
    ]
    return Gate(Starlette(routes=routes, lifespan=lifespan, exception_handlers={RefusedError: _refused}), key)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--kind", required=True, help="of the engine that it stands in for")
    parser.add_argument("--alias", required=True)
    parser.add_argument("--where", required=True, help="the machine, as answers name it")
    parser.add_argument("--purpose", choices=("write", "embed"), default="write")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens of one request")
    parser.add_argument("--chunk-tokens", type=int, required=True)
    for rate in ("load-s", "prefill", "doubling-tokens", "step-s", "step-per-request-s", "step-per-token-s"):
        parser.add_argument(f"--{rate}", type=float, required=True)
    parser.add_argument("--api-key-file", type=Path)
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    arguments = parse_arguments(argv)
    key = arguments.api_key_file.read_text().strip() if arguments.api_key_file else None
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # by this number asyncio knows that Nagle's algorithm is off
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, arguments.port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"port {arguments.port} is taken", file=sys.stderr)  # noqa: T201  stderr is the engine's log
        return PORT_TAKEN
    print(f"a simulated {arguments.kind} engine in place of {arguments.alias}: nothing is loaded")  # noqa: T201
    app = application(Api(arguments), arguments.purpose, key)
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, timeout_keep_alive=300, timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
