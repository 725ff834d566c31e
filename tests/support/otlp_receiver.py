"""A collector of traces on a free port of this loop: it reads OTLP's protobuf, and may leave senders waiting."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from router.service import QuietServer
from support.nodes import until


@dataclass
class Collector:
    """`open` is cleared to leave senders waiting."""

    url: str
    open: asyncio.Event = field(default_factory=asyncio.Event)
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def requests(self) -> list[Span]:
        return [span for span in self.spans if span.kind == Span.SPAN_KIND_SERVER]

    async def until_requests(self, count: int) -> list[Span]:
        await until(lambda: len(self.requests()) >= count, f"{count} requests are traced")
        return self.requests()

    def parts_of(self, span: Span) -> dict[str, Span]:
        return {one.name: one for one in self.spans if one.parent_span_id == span.span_id}


def facts_of(span: Span) -> dict[str, object]:
    """Its attributes."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes}


@asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    listener = socket.create_server(("127.0.0.1", 0))
    collector = Collector(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces")
    collector.open.set()
    app = FastAPI()

    @app.post("/v1/traces")
    async def take(request: Request) -> Response:
        body = await request.body()
        await collector.open.wait()
        collector.bodies.append(body)
        collector.headers.append(dict(request.headers))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                collector.spans.extend(scope.spans)
        return Response(ExportTraceServiceResponse().SerializeToString(), media_type="application/x-protobuf")

    server = QuietServer(uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started or serving.done(), "the collector listens")
        yield collector
    finally:
        collector.open.set()
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving
