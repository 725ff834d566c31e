"""Serve an ASGI app on a Unix socket that only its owner can open."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import uvicorn
from starlette.types import ASGIApp


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the process that embeds it decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def bind_private_socket(path: Path) -> socket.socket:
    """A listening socket at `path`, mode 0600 from the moment it exists. A stale file is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(previous)
    listener.listen(128)
    listener.setblocking(False)
    return listener


async def serve_unix(app: ASGIApp, path: Path, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then finish open requests within 2 s and remove the socket."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
    server = _QuietServer(config)
    listener = bind_private_socket(path)

    async def watch() -> None:
        await stop.wait()
        server.should_exit = True

    try:
        async with asyncio.TaskGroup() as tasks:
            watcher = tasks.create_task(watch())
            await server.serve(sockets=[listener])
            watcher.cancel()
    finally:
        listener.close()
        path.unlink(missing_ok=True)


@asynccontextmanager
async def unix_client(path: Path, timeout_s: float = 5.0) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the app behind a Unix socket. Reads no proxy settings from the environment."""
    # Without verify=False the client builds a TLS context, 109 ms of blocked event loop, for a socket that has no TLS.
    transport = httpx2.AsyncHTTPTransport(uds=str(path), verify=False)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://potluck", timeout=timeout_s, trust_env=False
    ) as client:
        yield client
