"""Serve one folder of safetensors with vLLM's own HTTP server. A script: the engine environment's python runs it.

It imports nothing of potluck, because that environment does not have it. What it adds to vLLM: the secret comes from a
file, so that no list of processes shows it, and guards every path but /health (vLLM's own guard leaves several open,
one of which generates); requests are counted where they arrive; a taken port has an exit status of its own; and the
process that listens is the one that was started. vLLM's `vllm` command cannot be used: it looks for a distribution of
that very name.
"""

import argparse
import asyncio
import errno
import hmac
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

HOST = "127.0.0.1"  # never another one: what reaches this engine comes through potluck
EXIT_PORT_TAKEN = 98  # nodes/engines/vllm.py knows it


Application = Callable[[Any, Any, Any], Awaitable[None]]


class Gate:
    """The outermost ASGI layer. vLLM's own gauges tell of a request only once its core has answered for it: too late
    for a drain, and never where the core hangs."""

    key: ClassVar[str | None] = None
    in_flight: ClassVar[Any] = None  # a gauge of vLLM's metrics

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or scope.get("path") == "/health":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif not self._has_key(scope):
            await _refuse(send)
        elif scope["method"] == "POST":
            with self.in_flight.track_inprogress():
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _has_key(self, scope: Any) -> bool:
        if self.key is None:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, f"Bearer {self.key}".encode())


async def _refuse(send: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"error": {"message": "Unauthorized", "code": 401}}'})


def parse_arguments(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What is ours, and the rest, which is vLLM's."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api-key-file", type=Path)
    return parser.parse_known_args(argv)


def check_port(port: int) -> None:
    """Raises OSError where somebody else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))


def serve(port: int, key: str | None, words: list[str]) -> None:
    """Imports here: vLLM's processes import this file again, and need none of it."""
    from prometheus_client import Gauge
    from vllm.entrypoints.launchers.api_server.entry import run_server
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.entrypoints.serve.utils.api_utils import cli_env_setup
    from vllm.logger import configure_logging_from_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    cli_env_setup()
    arguments = make_arg_parser(FlexibleArgumentParser()).parse_args([*words, "--host", HOST, "--port", str(port)])
    Gate.key, Gate.in_flight = key, Gauge("potluck_requests_in_flight", "requests that were not answered to their end")
    arguments.middleware = [*arguments.middleware, "__main__.Gate"]
    configure_logging_from_args(arguments)
    validate_parsed_serve_args(arguments)
    asyncio.run(run_server(arguments))


def main(argv: list[str]) -> int:
    ours, words = parse_arguments(argv)
    try:
        check_port(
            ours.port
        )  # before the minute that importing vLLM may take; it binds after that, and may find it taken
        serve(ours.port, ours.api_key_file.read_text().strip() if ours.api_key_file else None, words)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"port {ours.port} is taken", file=sys.stderr)  # noqa: T201  stderr is the engine's log
        return EXIT_PORT_TAKEN
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
