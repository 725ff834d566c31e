"""A head or a gateway that gives the answers it was given, from a thread: commands run an event loop of their own."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn, UnixStreamServer

import msgspec

Answers = Mapping[str, object]
"""By method and path: "GET /api/v1/snapshot". A query is not looked at."""


class _OnSocket(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


class _OnPort(ThreadingMixIn, TCPServer):
    daemon_threads = True


@contextmanager
def answering(socket: Path, answers: Answers) -> Iterator[None]:
    """On a Unix socket, until the block ends."""
    with _OnSocket(str(socket), _handler(answers)) as server, _serving(server):
        yield
    socket.unlink()


@contextmanager
def answering_on_loopback(answers: Answers) -> Iterator[int]:
    """On a port, which it gives."""
    with _OnPort(("127.0.0.1", 0), _handler(answers)) as server, _serving(server):
        yield server.server_address[1]


@contextmanager
def _serving(server: TCPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def _handler(answers: Answers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            asked = f"{self.command} {self.path.partition('?')[0]}"
            status, body = (200, msgspec.json.encode(answers[asked])) if asked in answers else (404, _missing(asked))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the library looks for these

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    return Handler


def _missing(asked: str) -> bytes:
    return json.dumps({"error": {"code": "not_found", "message": f"{asked}: nothing is there"}}).encode()
