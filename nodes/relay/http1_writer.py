"""Write an HTTP/1 answer to a transport: whole with its length, or as a chunked stream. Any listener can host it."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"connection: close\r\n"


def _nothing() -> None:
    """After the end of an answer there is nobody to tell."""


class Http1Writer:
    """One answer. `chunked` is False for an HTTP/1.0 client, whose stream ends with its connection.

    The host closes the connection when the answer is complete and `keep_alive` is False: only it knows whether the
    client is still sending, and a connection closed on unread input takes the answer with it.
    """

    __slots__ = ("_chunked", "_head", "_on_complete", "_prelude", "_transport", "complete", "keep_alive", "paused")

    def __init__(
        self,
        transport: asyncio.Transport,
        keep_alive: bool,
        chunked: bool,
        prelude: bytes,
        on_complete: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._chunked = chunked
        self._prelude = prelude  # header lines of the host, such as date
        self._on_complete = on_complete
        self._head: bytes | None = None
        self.keep_alive = keep_alive
        self.paused = False
        self.complete = False

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        connection = b"" if self.keep_alive else CLOSE
        self._transport.write(
            b"%b%b%b%bcontent-length: %d\r\n\r\n%b"
            % (STATUS_LINES[status], self._prelude, headers, connection, len(body), body)
        )
        self._finish()

    def begin_stream(self, status: int, headers: bytes) -> None:
        if not self._chunked:
            self.keep_alive = False
        connection = b"" if self.keep_alive else CLOSE
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._head = b"%b%b%b%b%b\r\n" % (STATUS_LINES[status], self._prelude, headers, connection, framing)

    def write(self, data: bytes) -> None:
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        if self._head is not None:
            framed = self._head + framed
            self._head = None
        self._transport.write(framed)

    def end(self) -> None:
        last = b"0\r\n\r\n" if self._chunked else b""
        if self._head is not None:
            last = self._head + last
            self._head = None
        if last:
            self._transport.write(last)
        self._finish()

    def abort(self) -> None:
        self.keep_alive = False
        self.complete = True
        self._transport.abort()

    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def _finish(self) -> None:
        self.complete = True
        on_complete, self._on_complete = self._on_complete, _nothing  # or writer and host would keep each other alive
        on_complete()
