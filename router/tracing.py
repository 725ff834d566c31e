"""Traces for a collector of the operator's (OTLP over HTTP): a span a request, made of what the call left behind.

Nothing is made where cluster.yaml names no collector, and no library is loaded. Spans leave by a thread of their own,
in batches; a collector that is slow or away costs the oldest of them, and no request anything.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from router.accounting import RequestRecord
from router.log import EventLog
from router.request import Identity
from router.settings import TraceSettings
from router.trace_context import TraceContext, parent_in
from router.trace_names import DECODE, PREFILL, QUEUE, attributes, span_name

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

TRACEPARENT = b"traceparent"
QUEUED_SPANS, BATCH_SPANS = 2048, 256
SEND_S = 5.0  # at the most, for a batch
FAREWELL_S = 2.0  # for what is left when the gateway ends
TOLD_EVERY_S = 60.0
LIBRARY = "opentelemetry"


class EndedCall(Protocol):
    """What a router.call_report.CallReport has beside its record."""

    @property
    def trace(self) -> TraceContext | None: ...

    first_token_s: float | None


class Tracer:
    """`draw` gives so many random bits."""

    def __init__(self, settings: TraceSettings, draw: Callable[[int], int], log: EventLog) -> None:
        """Raises ImportError where the libraries are not installed, OSError for authorities that cannot be read."""
        import requests
        from opentelemetry import trace as api
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk import trace as sdk
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        if settings.authorities is not None:
            settings.authorities.read_bytes()
        session = requests.Session()
        session.trust_env = False  # no proxy, no password file
        self._exporter = OTLPSpanExporter(
            settings.endpoint,
            certificate_file=str(settings.authorities) if settings.authorities else None,
            timeout=SEND_S,
            session=session,
        )
        self._processor = BatchSpanProcessor(
            self._exporter, QUEUED_SPANS, settings.every_s * 1000, BATCH_SPANS, SEND_S * 1000
        )
        self._resource = Resource({"service.name": "potluck-gateway"})
        self._sdk, self._api, self._sampled = sdk, api, api.TraceFlags(api.TraceFlags.SAMPLED)
        self._fine, self._failed = api.Status(api.StatusCode.UNSET), api.Status(api.StatusCode.ERROR)
        self._draw = draw
        self._told = _Told(log)
        library = logging.getLogger(LIBRARY)
        library.addHandler(self._told)
        library.addHandler(logging.NullHandler())  # it speaks once more when it is ended, to nobody
        library.propagate = False

    def begin(self, headers: Mapping[bytes, bytes], identity: Identity) -> TraceContext:
        """Of a request that arrives. Only front ends, which are trusted to say for whom they ask, may say to which
        trace it belongs: anybody else could write into another's."""
        parent = parent_in(headers[TRACEPARENT]) if identity.front_end and TRACEPARENT in headers else None
        if parent is None:
            return TraceContext(self._id(128), self._id(64))
        trace_id, span_id, sampled = parent
        return TraceContext(trace_id, self._id(64), span_id, sampled)

    def ended(self, calls: Sequence[EndedCall], records: Sequence[RequestRecord]) -> None:
        """As they came, each with its record."""
        for call, record in zip(calls, records, strict=True):
            trace = call.trace or TraceContext(self._id(128), self._id(64))
            if trace.sampled:
                for span in self._spans(trace, call.first_token_s, record):
                    self._processor.on_end(span)

    def close(self) -> None:
        """What is left is sent, if the collector takes it at once."""
        leaving = threading.Thread(target=self._processor.shutdown, daemon=True)
        leaving.start()
        leaving.join(FAREWELL_S)
        if leaving.is_alive():
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # has no annotations
        logging.getLogger(LIBRARY).removeHandler(self._told)

    def _spans(
        self, trace: TraceContext, first_token_s: float | None, record: RequestRecord
    ) -> Iterator["ReadableSpan"]:
        api, own, resource = self._api, self._context(trace.trace_id, trace.span_id), self._resource
        asker = None if trace.parent_id is None else self._context(trace.trace_id, trace.parent_id, remote=True)
        start_s, end_s = record.arrived_wall_s, record.arrived_wall_s + record.duration_s
        yield self._sdk.ReadableSpan(
            span_name(record),
            own,
            asker,
            resource,
            attributes(record),
            kind=api.SpanKind.SERVER,
            status=self._failed if record.status >= 500 else self._fine,
            start_time=_ns(start_s),
            end_time=_ns(end_s),
        )
        for name, begun_s, ended_s in parts(start_s, end_s, first_token_s, record):
            context = self._context(trace.trace_id, self._id(64))
            yield self._sdk.ReadableSpan(name, context, own, resource, start_time=_ns(begun_s), end_time=_ns(ended_s))

    def _context(self, trace_id: int, span_id: int, remote: bool = False) -> "SpanContext":
        return self._api.SpanContext(trace_id, span_id, remote, self._sampled)

    def _id(self, bits: int) -> int:
        """Never 0, which stands for none."""
        return self._draw(bits) or 1


def parts(
    start_s: float, end_s: float, first_token_s: float | None, record: RequestRecord
) -> Iterator[tuple[str, float, float]]:
    """As far as they are known. After a second attempt it is not known when that began."""
    sent_s = start_s + record.queued_s
    if record.queued_s:
        yield QUEUE, start_s, sent_s
    if first_token_s is not None and record.attempts == 1:
        spoke_s = min(sent_s + first_token_s, end_s)
        yield PREFILL, sent_s, spoke_s
        yield DECODE, spoke_s, end_s


class _Told(logging.Handler):
    """What the library complains about becomes an event of ours, once in a while."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(logging.WARNING)
        self._log, self._again_s = log, 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now_s = time.monotonic()
        if now_s >= self._again_s:
            self._again_s = now_s + TOLD_EVERY_S
            self._log.emit("traces_not_sent", reason=record.getMessage()[:300])


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def tracer_for(settings: TraceSettings | None, draw: Callable[[int], int], log: EventLog) -> Tracer | None:
    """None where none is asked for, or none can be had: a gateway serves without."""
    if settings is None:
        return None
    try:
        return Tracer(settings, draw, log)
    except ImportError as error:
        log.emit("traces_off", reason=f"{error}; pip install 'potluck[traces]'")
    except OSError as error:
        log.emit("traces_off", reason=f"gateway.traces.authorities: {error}")
    return None
