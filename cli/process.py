"""How every service process lives: an event loop, structured logs, and one reason to stop."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import structlog

from inventory.logs import only_known, told

Service = Callable[[asyncio.Event], Awaitable[None]]


OnStdinClose = Literal["ignore", "stop", "abandon"]


def run_service(role: str, state_dir: Path, service: Service, on_stdin_close: OnStdinClose) -> None:
    """Run `service` until SIGTERM or SIGINT, or until whoever started it is gone and with it the end of its stdin.

    `stop` ends the service in order then; `abandon` ends this process at once, which is right for the supervisor: its
    children see the end of their own stdin, stop, and leave engines running for the next start to adopt.

    The working directory becomes the state directory: the rooms' names are generic, and a folder `nodes/` in the
    directory a service was started from must never be imported in their place.
    """
    os.chdir(state_dir)
    configure_logs(role)
    _run(_until_stopped(service, on_stdin_close))


def configure_logs(role: str) -> None:
    """JSON lines on stderr, of known fields. Values are encoded, so no control character of theirs reaches a terminal
    or a log; what libraries have to say comes the same way."""
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryMessages()])
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            only_known,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)


class LibraryMessages(logging.Handler):
    """A library's warning as an event: the first line of what it says, and of an exception its kind and place."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger("potluck.libraries").log(
            record.levelno,
            "library_warns",
            library=record.name,
            detail=_first_line(record),
            error=told(error) if error is not None else None,
        )


def _first_line(record: logging.LogRecord) -> str:
    try:
        said = record.getMessage()
    except (TypeError, ValueError):  # its arguments do not fit: no reason to fail what only wanted to be logged
        said = str(record.msg)
    return said.partition("\n")[0]


def _run(main: Awaitable[None]) -> None:
    async def entry() -> None:
        await main

    try:
        import uvloop
    except ImportError:
        asyncio.run(entry())
    else:
        uvloop.run(entry())


async def _until_stopped(service: Service, on_stdin_close: OnStdinClose) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if on_stdin_close == "ignore":
        await service(stop)
        return
    action = stop.set if on_stdin_close == "stop" else lambda: os._exit(0)
    watcher = asyncio.create_task(_when_stdin_closes(action))
    try:
        await service(stop)
    finally:
        watcher.cancel()


async def _when_stdin_closes(action: Callable[[], None]) -> None:
    """The starter holds the other end of stdin. Its death, however it came, is an end of file here."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(64):
        pass
    action()
