"""What the relay's parts say to each other: an engine's answer, how it can fail, limits, and who listens."""

import ssl
from dataclasses import dataclass
from typing import Literal, Protocol

Headers = list[tuple[bytes, bytes]]  # names in lower case

FailureKind = Literal["connect", "died", "first_byte_timeout", "stall", "protocol", "too_large"]
"""connect: no connection. died: closed before the answer was whole. first_byte_timeout, stall: silent for too long.
protocol: not HTTP, or not event framing. too_large: an answer or an event above its bound."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine is reached: itself on loopback, or through the TLS port of its node."""

    host: str
    port: int
    node: str | None = None  # the machine whose certificate must be shown; None is plain HTTP, on loopback only
    prefix: str = ""  # before every path


@dataclass(frozen=True, slots=True)
class Limits:
    """Durations in seconds. The sweeper checks them on a coarse tick, so each may be exceeded by one tick."""

    connect_s: float = 1.0
    first_byte_s: float = 600.0
    stall_s: float = 60.0
    slow_reader_s: float = 30.0
    idle_s: float = 4.0  # below the 5 s after which uvicorn and cpp-httplib drop a connection themselves
    keep_connections: int = 256  # idle and busy; an answer beyond it closes its connection
    answer_bytes: int = 64 * 1024 * 1024
    event_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an exchange gave no whole answer. `began` is True once the listener was given a part of it."""

    kind: FailureKind
    detail: str
    began: bool


class Credentials(Protocol):
    """How this process proves itself to other machines, and which of them it no longer accepts."""

    def context(self) -> ssl.SSLContext:
        """Raises OSError or ExposedSecretError where this machine has no identity."""
        ...

    def denies(self, serial: str) -> bool: ...


class Listener(Protocol):
    """Hears one exchange. Exactly one of on_answer, on_stream_end, on_failure is called last, unless cancelled."""

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer that is not an event stream."""

    def on_events(self, events: bytes) -> None:
        """One or more whole server-sent events, each ending in an empty line."""

    def on_stream_end(self, held: bytes) -> None:
        """The stream ended as HTTP says it should. `held` is an event that never came to its end, or empty."""

    def on_failure(self, failure: Failure) -> None: ...


class Writer(Protocol):
    """Where an answer goes. Calls never block: a full writer says so, and calls its owner when it drains."""

    @property
    def paused(self) -> bool: ...

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer. `headers` are complete lines, each ending in CRLF, without framing headers."""

    def begin_stream(self, status: int, headers: bytes) -> None:
        """The head of a stream; it leaves with the first write."""

    def write(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def abort(self) -> None:
        """Give the client up: drop what it has not read and close."""

    def unsent_bytes(self) -> int:
        """What waits for the client to read it."""


class Paced(Protocol):
    """Something with a deadline of its own that the sweeper looks at now and then."""

    def sweep(self, now_s: float) -> None: ...
