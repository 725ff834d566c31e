"""W3C trace context: which trace a request belongs to, as a header says it, and as the next hop is told."""

import re

import msgspec

SAMPLED = 1
_HEADER = re.compile(rb"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})\Z")


class TraceContext(msgspec.Struct, frozen=True):
    """Of one request here. `parent_id` is whoever asked, None where the trace begins here."""

    trace_id: int
    span_id: int
    parent_id: int | None = None
    sampled: bool = True

    def line(self) -> bytes:
        """For the engine: this request is its parent."""
        return b"traceparent: 00-%032x-%016x-%02x\r\n" % (self.trace_id, self.span_id, SAMPLED if self.sampled else 0)


def parent_in(header: bytes) -> tuple[int, int, bool] | None:
    """Trace, span, and whether it is recorded; None for what version 00 calls invalid."""
    found = _HEADER.match(header.strip())
    if found is None:
        return None
    trace_id, span_id = int(found["trace"], 16), int(found["span"], 16)
    return (trace_id, span_id, bool(int(found["flags"], 16) & SAMPLED)) if trace_id and span_id else None
