"""Serve one MLX folder with mlx-lm's own HTTP server. A script: the engine environment's python runs it.

It imports nothing of potluck, because that environment does not have it. mlx-lm answers everybody, tells nothing about
its load, keeps to no context, loads whatever model, adapter or draft a request names (from disk or from the hub), and
stays up when its model does not load. All of that is put right here, by subclasses of its own three parts. SIGTERM
keeps its default action: mlx-lm has nothing to save.
"""

import argparse
import copy
import errno
import hmac
import http.client
import json
import os
import socketserver
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm import server

HOST = "127.0.0.1"  # never another one: what reaches this engine comes through potluck
EXIT_PORT_TAKEN = 98  # nodes/engines/mlx.py knows it
EXIT_CANNOT_SERVE = 1


@dataclass(frozen=True)
class Settings:
    """What this script adds to mlx-lm's own words."""

    alias: str
    port: int
    slots: int
    context: int
    key: str | None


class Meter:
    """What the server does, counted by the threads that do it."""

    def __init__(self, slots: int) -> None:
        self._slots, self._lock = slots, threading.Lock()
        self._in_flight = self._prompt_tokens = self._output_tokens = self._steps = 0

    @contextmanager
    def request(self) -> Iterator[None]:
        with self._lock:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def count(self, prompt_tokens: int = 0, output_tokens: int = 0) -> None:
        """One step of the model, and what it got done."""
        with self._lock:
            self._steps += 1
            self._prompt_tokens += prompt_tokens
            self._output_tokens += output_tokens

    def text(self) -> str:
        """Prometheus exposition; nodes/engines/mlx.py reads it."""
        with self._lock:
            rows = (
                ("requests_running", "gauge", min(self._in_flight, self._slots)),
                ("requests_waiting", "gauge", max(0, self._in_flight - self._slots)),
                ("prompt_tokens_total", "counter", self._prompt_tokens),
                ("output_tokens_total", "counter", self._output_tokens),
                ("steps_total", "counter", self._steps),
                ("active_bytes", "gauge", mx.get_active_memory()),
                ("peak_bytes", "gauge", mx.get_peak_memory()),
                ("cache_bytes", "gauge", mx.get_cache_memory()),  # freed by the model, kept by MLX for reuse
            )
        return "".join(f"# TYPE potluck_mlx_{name} {kind}\npotluck_mlx_{name} {value}\n" for name, kind, value in rows)


class Generator(server.ResponseGenerator):  # type: ignore[misc]  # mlx-lm ships no types
    """Counts, keeps to the context, and ends the process when it cannot go on."""

    def __init__(self, provider: Any, settings: Settings, meter: Meter) -> None:
        self._meter, self._context = meter, settings.context
        self._trim_wanted = threading.Event()
        super().__init__(provider, server.LRUPromptCache(provider.cli_args.prompt_cache_size))  # starts its thread

    def _run_generate(self) -> None:
        try:
            self._generate()
        except BaseException:  # noqa: BLE001  whatever it was, a server without its model must not stay up
            traceback.print_exc()
            os._exit(EXIT_CANNOT_SERVE)

    def trim(self) -> None:
        """Give back the caches of earlier prompts, soon: they belong to the thread that generates."""
        self._trim_wanted.set()

    def _next_request(self, timeout: float | None = None) -> Any:
        """Asked for between two steps of the model, and ten times a second while there is nothing to do."""
        if self._trim_wanted.is_set():
            self._trim_wanted.clear()
            self.prompt_cache.trim_to(n_bytes=0)
            mx.clear_cache()
        return super()._next_request(timeout)

    def _tokenize(self, tokenizer: Any, request: Any, args: Any) -> Any:
        parts = super()._tokenize(tokenizer, request, args)
        room = self._context - len(parts[0])
        if room < 1:
            raise ValueError(
                f"This model's maximum context length is {self._context} tokens; the prompt has {len(parts[0])}."
            )
        args.max_tokens = min(args.max_tokens, room)
        return parts

    def generate(self, request: Any, generation_args: Any, progress_callback: Callable[[int, int], None]) -> Any:
        def progressed(processed: int, total: int) -> None:
            self._meter.count()
            progress_callback(processed, total)

        context, responses = super().generate(request, generation_args, progressed)
        return context, _until(generation_args.stop_words, self._counted(context, responses))

    def _counted(self, context: Any, responses: Iterator[Any]) -> Iterator[Any]:
        for number, response in enumerate(responses):
            evaluated = 0 if number else len(context.prompt) - max(0, context.prompt_cache_count)
            self._meter.count(evaluated, 1)
            yield response


def _until(stops: list[str], responses: Iterator[Any]) -> Iterator[Any]:
    """The responses up to where a stop text ends. mlx-lm ends at the tokens that a stop text alone would be; where it
    is part of other tokens, mlx-lm takes it out of the answer and goes on."""
    reach, seen = max(map(len, stops), default=0), ""
    for response in responses:
        begun = len(seen)
        seen += response.text
        ends = [seen.index(stop) + len(stop) for stop in stops if stop in seen]
        if ends and response.finish_reason != "stop":
            yield replace(response, text=response.text[: min(ends) - begun], finish_reason=None)
            return
        yield response
        seen = seen[-reach:][1:]


_COUNTING = threading.Lock()


@cache
def _own_tokenizer(generator: Any) -> Any:
    return copy.deepcopy(generator.model_provider.tokenizer)


def _tokens_of(tokenizer: Any, asked: dict[str, Any], template: dict[str, Any]) -> list[int]:
    """Of a text, or of a chat as its template renders it."""
    if "messages" not in asked:
        return list(tokenizer.encode(asked["prompt"]))
    messages, tools = asked["messages"], asked.get("tools")
    server.process_message_content(messages)
    if not tokenizer.has_chat_template:
        return list(tokenizer.encode(server.convert_chat(messages, None)))
    wanted = {"tools": tools, "tokenize": True, "add_generation_prompt": True}
    return list(tokenizer.apply_chat_template(messages, **wanted, **template))


class Handler(server.APIHandler):  # type: ignore[misc]  # mlx-lm ships no types
    """Lets in who has the key, serves one model under its name, and tells its load."""

    settings: Settings
    meter: Meter
    warm: threading.Event

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are logged where they come from."""

    def do_OPTIONS(self) -> None:  # noqa: N802  its name is the method of the request
        self._answer(405, {"error": "Method Not Allowed"})

    def do_GET(self) -> None:  # noqa: N802
        if self.path == "/health":
            self.handle_health_check()
        elif not self._has_key():
            self._answer(401, {"error": "Unauthorized"})
        elif self.path == "/metrics":
            self._write(200, "text/plain; version=0.0.4", self.meter.text().encode())
        elif self.path == "/v1/models":
            model = {"id": self.settings.alias, "object": "model", "created": self.created, "owned_by": "mlx"}
            self._answer(200, {"object": "list", "data": [model] if self.warm.is_set() else []})
        else:
            self._answer(404, {"error": "Not Found"})

    def do_POST(self) -> None:  # noqa: N802
        if not self._has_key():
            self._answer(401, {"error": "Unauthorized"})
        elif self.path == "/potluck/trim":
            self.response_generator.trim()
            self._answer(200, {})
        elif self.path in ("/tokenize", "/detokenize"):
            self._count_tokens()
        else:
            super().do_POST()

    def validate_model_parameters(self) -> None:
        """Also refuses what would make mlx-lm load something else."""
        super().validate_model_parameters()
        if self.requested_model != self.settings.alias:
            raise ValueError(f"The model {self.requested_model!r} does not exist.")
        if self.adapter is not None or self.requested_draft_model != "default_model":
            raise ValueError("adapters and draft models are chosen by the operator, not by a request")

    def handle_completion(self, request: Any, stop_words: list[str]) -> None:
        if any(server._image_parts(request.messages)):
            self._answer(400, {"error": "this engine takes text only"})
            return
        with self.meter.request():
            super().handle_completion(request, stop_words)

    def _count_tokens(self) -> None:
        """As vLLM and llama.cpp answer it. With a tokenizer of its own: the other is the generating thread's."""
        try:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with _COUNTING:
                tokenizer = _own_tokenizer(self.response_generator)
                if self.path == "/detokenize":
                    self._answer(200, {"prompt": tokenizer.decode(asked["tokens"])})
                    return
                tokens = _tokens_of(tokenizer, asked, self.response_generator.cli_args.chat_template_args)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            self._answer(400, {"error": f"cannot be counted: {error}"})
            return
        self._answer(200, {"tokens": tokens})

    def _set_completion_headers(self, status_code: int = 200) -> None:
        """mlx-lm calls every request that it cannot begin "not found"."""
        super()._set_completion_headers(400 if status_code == http.HTTPStatus.NOT_FOUND else status_code)

    def _has_key(self) -> bool:
        if self.settings.key is None:
            return True
        given = self.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self.settings.key}".encode())

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        self._write(status, "application/json", json.dumps(document).encode())

    def _write(self, status: int, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Listener(ThreadingHTTPServer):
    request_queue_size = 128  # of 5, a burst of requests is reset by the kernel

    def server_bind(self) -> None:
        """Without asking the resolver what the machine is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]


def run(settings: Settings, provider: Any) -> None:
    """In place of mlx-lm's own `run`: bind, load, warm up, serve."""
    provider._model_map[settings.alias] = provider.cli_args.model
    meter, warm = Meter(settings.slots), threading.Event()
    fingerprint = server.get_system_fingerprint()
    kind = type("BoundHandler", (Handler,), {"settings": settings, "meter": meter, "warm": warm})
    generator: Generator | None = None
    try:
        listener = Listener(
            (HOST, settings.port), lambda *given: kind(generator, *given, system_fingerprint=fingerprint)
        )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"port {settings.port} is taken", file=sys.stderr)  # noqa: T201  stderr is the engine's log
        sys.exit(EXIT_PORT_TAKEN)
    generator = Generator(provider, settings, meter)
    threading.Thread(target=warm_up, args=(settings, warm), daemon=True).start()
    listener.serve_forever()


def warm_up(settings: Settings, warm: threading.Event) -> None:
    """The first request compiles the kernels: on Linux with g++, for seconds. No client should wait for that."""
    headers = {"Content-Type": "application/json"}
    if settings.key is not None:
        headers["Authorization"] = f"Bearer {settings.key}"
    asked = json.dumps({"model": settings.alias, "prompt": "Hello", "max_tokens": 2})
    connection = http.client.HTTPConnection(HOST, settings.port)
    connection.request("POST", "/v1/completions", asked, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != http.HTTPStatus.OK:
        print(f"the first request failed: {content.decode(errors='replace')[:1000]}", file=sys.stderr)  # noqa: T201
        os._exit(EXIT_CANNOT_SERVE)
    warm.set()


def parse_arguments(argv: list[str]) -> tuple[Settings, list[str]]:
    """What is ours, and the rest, which is mlx-lm's."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens of one request")
    parser.add_argument("--api-key-file", type=Path)
    ours, rest = parser.parse_known_args(argv)
    key = ours.api_key_file.read_text().strip() if ours.api_key_file else None
    return Settings(ours.alias, ours.port, ours.slots, ours.context, key), rest


def main(argv: list[str]) -> None:
    settings, words = parse_arguments(argv)
    if directory := os.environ.get("TMPDIR"):  # a private one: libraries are loaded from it
        Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    sys.argv = [sys.argv[0], *words]
    server.run = lambda host, port, provider: run(settings, provider)
    server.main()


if __name__ == "__main__":
    main(sys.argv[1:])
