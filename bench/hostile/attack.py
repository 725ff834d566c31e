"""Clients that break the rules of HTTP, or keep to them and read nothing. What becomes of each is counted."""

import asyncio
import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic

HALF_HEADS, DEAF_READERS = 50, 5
EACH_KIND_PER_S = 10.0
CUT_AFTER_S = 34.0  # the gateway cuts a head after 10 s and a reader after 30
ENDLESS = 1_000_000  # tokens, as fast as they are read

_HOT = b"POST /v1/chat/completions HTTP/1.1\r\n"
REFUSED = {
    "200 kB of headers": _HOT + b"host: localhost\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
    "no Host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "length and chunks": _HOT + b"host: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    "bare line feeds": b"GET /healthz HTTP/1.1\nhost: localhost\n\n",
    "a foreign name": b"GET /healthz HTTP/1.1\r\nhost: evil.example\r\n\r\n",
}


@dataclass
class Outcome:
    """`refused` by status (0: cut without an answer). `open`: connections that nobody ended."""

    refused: Counter[tuple[str, int]] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)


async def attack(port: int, key: str, seconds: float) -> Outcome:
    outcome = Outcome()
    end_s = monotonic() + seconds
    await asyncio.gather(
        *(_refused_again_and_again(port, kind, end_s, outcome) for kind in REFUSED),
        *(_waits_to_be_cut(port, "half a head", _HOT + b"host: loc", end_s, outcome) for _ in range(HALF_HEADS)),
        *(_waits_to_be_cut(port, "reads nothing", _stream(key), end_s, outcome) for _ in range(DEAF_READERS)),
    )
    return outcome


def _stream(key: str) -> bytes:
    message = {"role": "user", "content": "Why?"}
    body = json.dumps({"model": "bench", "messages": [message], "max_tokens": ENDLESS, "stream": True}).encode()
    head = f"host: localhost\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    return _HOT + head.encode() + body


async def _refused_again_and_again(port: int, kind: str, end_s: float, outcome: Outcome) -> None:
    """Each kind at its own moment: five at once would be one attacker with a rhythm, and its beat all that is seen."""
    request, at = REFUSED[kind], list(REFUSED).index(kind)
    await asyncio.sleep(at / (EACH_KIND_PER_S * len(REFUSED)))
    while monotonic() < end_s:
        outcome.refused[kind, await _status(port, request)] += 1
        await asyncio.sleep(1 / EACH_KIND_PER_S)


async def _status(port: int, request: bytes) -> int:
    with contextlib.suppress(ConnectionError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            line = await reader.readline()
            return int(line.split()[1]) if line else 0
        finally:
            writer.close()
    return 0


async def _waits_to_be_cut(port: int, kind: str, request: bytes, end_s: float, outcome: Outcome) -> None:
    """Sends so much and reads nothing. What the gateway does shows when it is read at last."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    transport = writer.transport
    assert isinstance(transport, asyncio.ReadTransport)
    transport.pause_reading()
    writer.write(request)
    await asyncio.sleep(max(0.0, end_s - monotonic()))
    transport.resume_reading()
    try:
        async with asyncio.timeout(1.0):
            while await reader.read(1 << 20):
                pass
    except ConnectionError:
        outcome.cut[kind] += 1
    except TimeoutError:
        outcome.open[kind] += 1
    else:
        outcome.cut[kind] += 1
    writer.close()
