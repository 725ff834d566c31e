"""HTTP/1.1 byte by byte, for what a client library would never send."""

import asyncio
import contextlib
import re
import ssl
from dataclasses import dataclass
from time import monotonic

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")  # an answer may begin right behind the body of another


@dataclass(frozen=True, slots=True)
class Said:
    """What came back. `after_s`: when the server closed the connection; None where it had not by the deadline."""

    content: bytes
    after_s: float | None

    @property
    def statuses(self) -> list[int]:
        """Of all answers in it, in order. Interim ones do not count."""
        return [int(status) for status in _STATUS.findall(self.content) if not status.startswith(b"1")]

    @property
    def told(self) -> str:
        """In words, for evidence."""
        if self.statuses:
            return ", ".join(map(str, self.statuses))
        if self.content:
            return f"{self.content[:20]!r}"
        return "no answer" if self.after_s is None else "closed without an answer"


@dataclass(frozen=True, slots=True)
class Door:
    """Where the server listens."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @property
    def name(self) -> str:
        """As the Host header says it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def open(self, buffer_bytes: int = 2**16) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, ssl=self.tls, limit=buffer_bytes)

    async def say(self, request: bytes, deadline_s: float, enough: int = 0) -> Said:
        """Send it and read until the server closes, the deadline comes, or `enough` answers are there."""
        reader, writer = await self.open()
        began, content = monotonic(), b""
        try:
            with contextlib.suppress(ConnectionError):  # it may refuse before it has read all of it
                writer.write(request)
                await asyncio.wait_for(writer.drain(), deadline_s)
            while (left_s := began + deadline_s - monotonic()) > 0:
                data = await asyncio.wait_for(reader.read(65536), left_s)
                content += data
                if not data:
                    return Said(content, monotonic() - began)
                if enough and len(Said(content, None).statuses) >= enough:
                    break
        except ConnectionError:
            return Said(content, monotonic() - began)
        except TimeoutError:
            pass
        finally:
            writer.transport.abort()
        return Said(content, None)
