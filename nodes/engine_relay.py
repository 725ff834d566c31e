"""A node's data path: one request of a gateway, relayed untouched to an engine on loopback and back.

The daemon adds the engine's own secret, which never leaves this machine. It has no timeouts of its own: the gateway
decides how long to wait, and closes its connection, which frees the engine's slot.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from inventory.secret_files import ExposedSecretError, read_secret
from nodes.relay.contract import Address, Failure, Headers, Limits, Writer
from nodes.relay.exchange import Exchange
from nodes.relay.http1_writer import STATUS_LINES
from nodes.relay.pool import EndpointPool
from nodes.relay.pools import Pools
from nodes.relay.sweeper import Sweeper
from nodes.snapshot import EngineEndpoint, EngineSnapshot
from nodes.tls_access import EngineCall

BODY_LIMIT_BYTES = 64 * 1024 * 1024
PASSED_ON = (b"content-type", b"accept", b"x-request-id", b"traceparent")  # of a request
PASSED_BACK = (b"content-type", b"retry-after")  # of an answer
DEFAULT_SLOTS = 8

log = structlog.get_logger("potluck.node.relay")


class NoSuchEngineError(Exception):
    """This node has no such engine, or it has no port now. Answered with 503: the gateway tries another engine."""


class EngineRelay:
    """Every engine of this node, as the last snapshot has them."""

    def __init__(self, engines: Callable[[], tuple[EngineSnapshot, ...]]) -> None:
        self._engines = engines
        self._sweeper = Sweeper()
        self._pools = Pools(self._sweeper)
        self._targets: dict[str, _Target] = {}

    def close(self) -> None:
        self._pools.close()
        self._sweeper.close()

    def start(self, call: EngineCall, method: bytes, headers: Headers, body: bytes, writer: Writer) -> "Relayed | None":
        """None where the answer is complete already: a refusal."""
        try:
            target = self._target(call.engine_id)
        except (NoSuchEngineError, OSError, ExposedSecretError) as error:
            answer_error(writer, 503, "engine_unavailable", str(error))
            return None
        relayed = Relayed(target.pool, _request(call, method, headers, body, target.lines), writer)
        relayed.exchange.start()
        return relayed

    def _target(self, engine_id: str) -> "_Target":
        engine = next((engine for engine in self._engines() if engine.engine_id == engine_id), None)
        if engine is None:
            raise NoSuchEngineError(f"no engine {engine_id} on this node")
        if engine.endpoint is None:
            raise NoSuchEngineError(f"engine {engine_id} has no port now: {engine.state}, {engine.reason}")
        known = self._targets.get(engine_id)
        if known is None or (known.generation, known.endpoint) != (engine.generation, engine.endpoint):
            known = self._targets[engine_id] = self._new_target(engine, engine.endpoint)
        return known

    def _new_target(self, engine: EngineSnapshot, endpoint: EngineEndpoint) -> "_Target":
        """Raises OSError or ExposedSecretError where the engine's secret cannot be read."""
        current = (known.endpoint for known in self._engines() if known.endpoint is not None)
        self._pools.keep_only(frozenset(_address(known) for known in current))
        limits = Limits(
            first_byte_s=math.inf, stall_s=math.inf, keep_connections=max(engine.load.slots or DEFAULT_SLOTS, 2)
        )
        pool = self._pools.at(_address(endpoint), limits)
        return _Target(engine.generation, endpoint, pool, _engine_lines(endpoint))


@dataclass(frozen=True, slots=True)
class _Target:
    """One generation of one engine. `lines` are the header lines of every request to it, its secret among them."""

    generation: int
    endpoint: EngineEndpoint
    pool: EndpointPool
    lines: bytes


class Relayed:
    """Hears the engine and writes to the gateway."""

    def __init__(self, pool: EndpointPool, request: bytes, writer: Writer) -> None:
        self._writer = writer
        self._streaming = False
        self.exchange = Exchange(pool, request, self, whole_events=False)

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        known = status if status in STATUS_LINES else 502
        self._writer.respond(known, _lines(headers, PASSED_BACK), body)

    def on_events(self, events: bytes) -> None:
        if not self._streaming:
            self._streaming = True
            self._writer.begin_stream(200, b"content-type: text/event-stream\r\n")
        self._writer.write(events)

    def on_stream_end(self, held: bytes) -> None:
        if not self._streaming:
            self._writer.begin_stream(200, b"content-type: text/event-stream\r\n")
        self._writer.end()

    def on_failure(self, failure: Failure) -> None:
        """In the middle of a stream the gateway learns of it as from an engine: the connection is cut."""
        if self._streaming:
            self._writer.abort()
        else:
            answer_error(self._writer, 502, f"engine_{failure.kind}", failure.detail)


def answer_error(writer: Writer, status: int, code: str, message: str) -> None:
    body = json.dumps({"error": {"message": message, "type": "node_error", "code": code}}).encode()
    writer.respond(status, b"content-type: application/json\r\n", body)


def _request(call: EngineCall, method: bytes, headers: Headers, body: bytes, engine_lines: bytes) -> bytes:
    framing = b"content-length: %d\r\n" % len(body) if body else b""
    start = b"%b %b HTTP/1.1\r\n" % (method, call.path.encode())
    return b"%b%b%b%b\r\n%b" % (start, engine_lines, _lines(headers, PASSED_ON), framing, body)


def _engine_lines(endpoint: EngineEndpoint) -> bytes:
    lines = f"host: {endpoint.host}:{endpoint.port}\r\n"
    if endpoint.secret_file is not None:
        lines += f"authorization: Bearer {read_secret(Path(endpoint.secret_file))}\r\n"
    return lines.encode()


def _lines(headers: Headers, names: tuple[bytes, ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % (name, value) for name, value in headers if name in names)


def _address(endpoint: EngineEndpoint) -> Address:
    return Address(endpoint.host, endpoint.port)
