"""One fault engine: HTTP/1.1 by hand, generation, metrics in three dialects."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from typing import Any

from support.fault_engine import vectors, wire_forms
from support.fault_engine.answers import Answer, Answers
from support.fault_engine.faults import Faults, token
from support.fault_engine.script import Turn, turns_in
from support.fault_engine.vectors import Reading

EXIT_PORT_TAKEN = 98
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 500: "Error", 503: "Unavailable"}


@dataclass
class Counts:
    """What `GET /fault` reports, besides the faults."""

    active: int = 0
    cancelled: int = 0
    finished: int = 0
    requests: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    steps: int = 0


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    carry: bytes = (
        b""  # the first byte of the next request, read while an answer was still watched for its client's end
    )


class Engine:
    def __init__(self, dialect: str, model: str, key: str | None, faults: Faults) -> None:
        self.dialect, self.model, self.key, self.faults = dialect, model, key, faults
        self.counts = Counts()
        self.answers = Answers()
        self._words: list[str] = []  # by their tokens
        self.script: list[Turn] = []  # the answers to come; then its own words
        self.asked: list[dict[str, Any]] = []  # bodies of chats that it got while it had a script
        self.slots, self.context = 4, 4096
        self._born_s = time.monotonic()
        self._thawed = asyncio.Event()
        self._reading = asyncio.Lock()
        if not faults.frozen:
            self._thawed.set()
        self._created = int(time.time())
        if faults.die_at_start_s:
            asyncio.get_running_loop().call_later(faults.die_at_start_s, os._exit, 1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await _read_request(connection)) is not None:
                if self.faults.deaf and request.path != "/fault":
                    await reader.read()
                    return
                if not await self._answer(request, connection):
                    break
        writer.close()

    async def _answer(self, request: Request, connection: Connection) -> bool:
        """Answer one request. False ends the connection."""
        if refusal := self._refuse(request):
            return await _send(connection.writer, *refusal)
        if request.method == "POST" and request.path in ("/v1/chat/completions", "/v1/completions"):
            if self.dialect != "encoder" and not self.faults.only_reads:
                return await self._generate(request, connection)
        elif request.method == "POST" and request.path in vectors.PATHS and self.dialect != "mlx":
            return await self._read(request, connection)
        return await _send(connection.writer, *self._fact(request))

    def _refuse(self, request: Request) -> tuple[int, bytes] | None:
        guarded = {
            "vllm": request.path.startswith("/v1/"),
            "llamacpp": request.path not in ("/health", "/fault", "/answers", "/script"),
            "mlx": False,
            "encoder": request.path.startswith("/v1/"),
        }[self.dialect]
        if guarded and self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return 401, wire_forms.error(self.dialect, 401, "Invalid API Key")
        loading = time.monotonic() - self._born_s < self.faults.slow_start_s
        if loading and request.path != "/fault":
            return 503, wire_forms.error(self.dialect, 503, "Loading model")
        return None

    def _fact(self, request: Request) -> tuple[int, bytes]:
        match request.path:
            case "/health":
                return 200, b'{"status":"ok"}'
            case "/v1/models":
                return 200, wire_forms.models(self.model, self.context, self._created)
            case "/fault":
                return self._fault(request)
            case "/tokenize" | "/detokenize":
                return self._tokens(request)
            case "/apply-template" if self.dialect == "llamacpp":
                return 200, json.dumps({"prompt": rendered(json.loads(request.body)["messages"])}).encode()
            case "/script":
                return self._take_script(request)
            case "/answers":
                return 200, json.dumps({name: asdict(answer) for name, answer in self.answers.of.items()}).encode()
            case "/metrics" if self.dialect != "mlx":
                return 200, wire_forms.metrics(self.dialect, self.model, self.slots, asdict(self.counts))
            case "/slots" if self.dialect == "llamacpp":
                return 200, wire_forms.slots(self.slots, self.context, self.counts.active)
            case _:
                return 404, wire_forms.error(self.dialect, 404, "not found")

    def _fault(self, request: Request) -> tuple[int, bytes]:
        if request.method == "POST":
            try:
                self.faults.change(json.loads(request.body))
            except ValueError as error:
                return 400, wire_forms.error("vllm", 400, str(error))
            if self.faults.frozen:
                self._thawed.clear()
            else:
                self._thawed.set()
        return 200, json.dumps({**asdict(self.counts), "pid": os.getpid(), "faults": asdict(self.faults)}).encode()

    def _tokens(self, request: Request) -> tuple[int, bytes]:
        """A token a word. llama.cpp takes and gives `content`, and no messages."""
        asked = json.loads(request.body)
        name = "content" if self.dialect == "llamacpp" else "prompt"
        if request.path == "/detokenize":
            if any(number >= len(self._words) for number in asked["tokens"]):
                return 400, wire_forms.error(self.dialect, 400, "no such token")
            return 200, json.dumps({name: " ".join(self._words[number] for number in asked["tokens"])}).encode()
        text = asked[name] if name in asked else rendered(asked["messages"])
        numbers = []
        for word in text.split():
            if word not in self._words:
                self._words.append(word)
            numbers.append(self._words.index(word))
        return 200, json.dumps({"tokens": numbers, "count": len(numbers)}).encode()

    def _take_script(self, request: Request) -> tuple[int, bytes]:
        if request.method == "POST":
            try:
                self.script, self.asked = turns_in(request.body), []
            except (ValueError, TypeError, AttributeError) as error:
                return 400, wire_forms.error("vllm", 400, str(error))
        return 200, json.dumps(self.asked).encode()

    async def _generate(self, request: Request, connection: Connection) -> bool:
        writer = connection.writer
        if self.faults.failing:
            return await _send(writer, 500, wire_forms.error(self.dialect, 500, "injected failure"))
        try:
            body: dict[str, Any] = json.loads(request.body)
            chat = request.path.endswith("chat/completions")
            prompt = json.dumps(body["messages"]) if chat else str(body["prompt"])
        except (ValueError, KeyError, TypeError):
            return await _send(writer, 400, wire_forms.error(self.dialect, 400, "malformed body"))
        if len(prompt.split()) > self.context:
            return await _send(writer, 400, wire_forms.too_long(self.dialect, len(prompt.split()), self.context))
        shape = wire_forms.Shape(self.dialect, chat, self.model, self._created, body)
        answer = self.answers.begin(request.headers.get("x-request-id", ""), prompt, shape.choices)
        return await self._watched(self._produce(shape, prompt, answer, writer), answer, connection)

    async def _read(self, request: Request, connection: Connection) -> bool:
        """Vectors, or scores: one whole answer."""
        writer = connection.writer
        if self.faults.failing:
            return await _send(writer, 500, wire_forms.error(self.dialect, 500, "injected failure"))
        try:
            reading = Reading(request.path, self.model, json.loads(request.body))
            longest, count = max(reading.words()), sum(reading.words())
        except (ValueError, KeyError, TypeError):
            return await _send(writer, 400, wire_forms.error(self.dialect, 400, "malformed body"))
        if longest > self.context:
            return await _send(writer, 400, wire_forms.too_long(self.dialect, longest, self.context))
        if reading.has_token_ids and self.dialect == "encoder":
            return await _send(writer, 400, wire_forms.error(self.dialect, 400, "token ids are not taken"))
        answer = self.answers.begin(request.headers.get("x-request-id", ""), "", 0)
        answer.prompt = count
        return await self._watched(self._look_up(reading, writer), answer, connection)

    async def _look_up(self, reading: Reading, writer: asyncio.StreamWriter) -> bool:
        if self.faults.silent:
            await asyncio.Event().wait()
        await asyncio.sleep(self.faults.first_token_s)
        await self._step()
        self.counts.prompt_tokens += sum(reading.words())
        return await _send(writer, 200, reading.answer(self.dialect, self.faults.floats_only))

    async def _watched(self, working: Coroutine[Any, Any, bool], answer: Answer, connection: Connection) -> bool:
        """A request at work, until it is done or its client has left."""
        self.counts.requests += 1
        self.counts.active += 1
        work = asyncio.ensure_future(working)
        gone = asyncio.ensure_future(_client_left(connection))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                self.counts.finished += 1
                answer.ended = "finished"
                return work.result()
            self.counts.cancelled += 1
            answer.ended = "cancelled"
            return False
        finally:
            self.counts.active -= 1
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _produce(
        self, shape: wire_forms.Shape, prompt: str, answer: Answer, writer: asyncio.StreamWriter
    ) -> bool:
        if self.faults.silent:
            await asyncio.Event().wait()
        wanted = int(
            shape.body.get("max_tokens") or shape.body.get("max_completion_tokens") or self.faults.answer_tokens
        )
        wanted = min(wanted, self.context)
        if shape.stream:
            await _send_head(writer)
        await self._read_prompt(shape, prompt, answer, writer)
        if shape.chat and self.script:
            self.asked.append(shape.body)
            return await self._recite(shape, self.script.pop(0), answer, writer)
        pieces: list[str] = []
        for index in range(wanted):
            if index and self.faults.tokens_per_s:
                await asyncio.sleep(1 / self.faults.tokens_per_s)
            await self._step()
            pieces.append(token(prompt, index))
            self.counts.tokens += shape.choices
            answer.made(reasoning=index < self.faults.reasoning_tokens)
            if shape.stream:
                await self._pass_on(shape, pieces, wanted, writer)
            if not self._survives(writer):
                return False
        if not shape.stream:
            return await _send(writer, 200, shape.whole("".join(pieces), answer))
        for event in shape.ending(answer):
            await _send_event(writer, event)
        await _send_chunk(writer, b"data: [DONE]\n\n")
        await _send_chunk(writer, b"")
        return True

    async def _recite(self, shape: wire_forms.Shape, turn: Turn, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        await self._step()
        self.counts.tokens += turn.tokens
        answer.tokens += turn.tokens
        if not shape.stream:
            return await _send(writer, 200, shape.told(turn, answer))
        for delta in turn.deltas(self.dialect):
            if self.faults.tokens_per_s:
                await asyncio.sleep(1 / self.faults.tokens_per_s)
            for event in shape.piece(delta):
                await _send_event(writer, event)
            if not self._survives(writer):
                return False
        for event in shape.ending(answer, turn.finish_reason):
            await _send_event(writer, event)
        await _send_chunk(writer, b"data: [DONE]\n\n")
        await _send_chunk(writer, b"")
        return True

    async def _pass_on(
        self, shape: wire_forms.Shape, pieces: list[str], wanted: int, writer: asyncio.StreamWriter
    ) -> None:
        """The last token, with those that wait for it to make up an event."""
        made, together = len(pieces), self.faults.tokens_per_event
        if made == wanted or made % together == 0:
            begun = (made - 1) // together * together
            for event in shape.chunks("".join(pieces[begun:]), first=begun == 0):
                await _send_event(writer, event)
        if self.faults.malformed_after and made >= self.faults.malformed_after:
            await _send_chunk(writer, b'data: {"choices":[{"del\n\n')

    async def _read_prompt(
        self, shape: wire_forms.Shape, prompt: str, answer: Answer, writer: asyncio.StreamWriter
    ) -> None:
        if shape.tells_progress:
            await _send_event(writer, shape.progress(answer, answer.cached))
        await asyncio.sleep(self.faults.first_token_s)
        if self.faults.prompt_tokens_per_s:
            async with self._reading:
                await asyncio.sleep((answer.prompt - answer.cached) / self.faults.prompt_tokens_per_s)
        await self._step()
        self.counts.prompt_tokens += answer.prompt - answer.cached
        self.answers.read(prompt)
        if shape.tells_progress:
            await _send_event(writer, shape.progress(answer, answer.prompt))

    async def _step(self) -> None:
        """One engine step. A frozen engine waits here: no counter moves, while health goes on to answer 200."""
        await self._thawed.wait()
        self.counts.steps += 1

    def _survives(self, writer: asyncio.StreamWriter) -> bool:
        if not self.faults.die_after or self.counts.tokens < self.faults.die_after:
            return True
        if self.faults.die_how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.faults.die_how == "exit":
            os._exit(1)
        self.faults.die_after = 0
        writer.transport.abort()
        return False


def rendered(messages: list[dict[str, Any]]) -> str:
    """What a chat template makes of messages."""
    return " ".join(f"{message['role']}: {message['content']}" for message in messages) + " assistant:"


async def _client_left(connection: Connection) -> None:
    """Returns at the end of file. A client that already sends its next request has not left."""
    connection.carry = await connection.reader.read(1)
    if connection.carry:
        await asyncio.Event().wait()


async def _read_request(connection: Connection) -> Request | None:
    reader = connection.reader
    try:
        head = connection.carry + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    connection.carry = b""
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:]) if name}
    if "chunked" in headers.get("transfer-encoding", ""):
        body = await _read_chunked(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target.partition("?")[0], headers, body)


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes) -> bool:
    kind = "text/plain" if body.startswith(b"#") else "application/json"
    head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    return True


async def _send_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    await writer.drain()


async def _send_event(writer: asyncio.StreamWriter, event: dict[str, Any]) -> None:
    await _send_chunk(writer, b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n")


async def _send_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await writer.drain()
