"""Traces as a collector gets them: what a span says and what it never says, whose trace it is, and at whose expense."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from router.call_report import CallReport
from router.request import Arrival, Identity
from router.settings import TraceSettings
from router.token_ratio import TokenRatios
from router.trace_context import TraceContext, parent_in
from router.tracing import BATCH_SPANS, QUEUED_SPANS, Tracer
from support.gateway import KEY, Running, access_with, engine_at, key_record, running_gateway
from support.leaks import CANARY
from support.nodes import until
from support.otlp_receiver import Collector, facts_of, running_collector
from support.upstream import Upstream, answer_kindly, scripted_upstream

CHAT = {"model": "toy", "messages": [{"role": "user", "content": CANARY}], "stream": True}
THEIRS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FRONT_END = "pl_front_" + "f" * 43
PATH = "/v1/chat/completions"
USER = Identity("k1", "home", "7b", "user", "private", frozenset())


@asynccontextmanager
async def traced(root: Path, every_s: float = 0.05) -> AsyncIterator[tuple[Running, Collector, Upstream]]:
    async with (
        running_collector() as collector,
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(
            root, [engine_at(upstream.address)], traces=TraceSettings(collector.url, every_s=every_s)
        ) as running,
    ):
        front_end = replace(key_record(FRONT_END), role="user", front_end=True)
        running.view.install_access(access_with(running.paths, [key_record(), front_end], sequence=2))
        yield running, collector, upstream


async def ask(running: Running, key: str = KEY, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with running.http(key) as client:
        return await client.post(PATH, json=CHAT, headers=named)


def traceparent_at(upstream: Upstream) -> str:
    lines = upstream.asked[-1].head.decode().lower().split("\r\n")
    return next(line.partition(": ")[2] for line in lines if line.startswith("traceparent:"))


async def test_a_request_is_a_span_with_its_parts_and_no_word_of_anybody(tmp_path: Path) -> None:
    async with traced(tmp_path) as (running, collector, upstream):
        answer = await ask(running)
        running.finished()
        (span,) = await collector.until_requests(1)
        parts, facts = collector.parts_of(span), facts_of(span)
        sent, headers = b"".join(collector.bodies), collector.headers[0]

    assert span.name == "chat toy"
    assert {name: facts[name] for name in facts if name.startswith("gen_ai.") and "time" not in name} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "potluck",
        "gen_ai.request.model": "toy",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "toy",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
    }
    assert facts["gen_ai.response.time_to_first_chunk"] > 0  # type: ignore[operator]
    assert facts["potluck.request_id"] == answer.headers["x-request-id"]
    assert (facts["potluck.node"], facts["potluck.engine"], facts["potluck.outcome"]) == ("here", "toy-1", "ok")
    assert (len(span.trace_id), len(span.span_id), span.parent_span_id) == (16, 8, b"")
    assert span.start_time_unix_nano < span.end_time_unix_nano
    assert parts.keys() == {"prefill", "decode"}
    assert parts["prefill"].end_time_unix_nano == parts["decode"].start_time_unix_nano
    assert parts["decode"].end_time_unix_nano == span.end_time_unix_nano
    assert traceparent_at(upstream) == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
    assert headers["content-type"] == "application/x-protobuf"
    for secret in (CANARY, KEY, "owner1", "family"):
        assert secret.encode() not in sent


async def test_a_front_end_says_to_which_trace_it_belongs_and_nobody_else_may(tmp_path: Path) -> None:
    trace_id, parent_id = bytes.fromhex(THEIRS[3:35]), bytes.fromhex(THEIRS[36:52])
    async with traced(tmp_path) as (running, collector, upstream):
        await ask(running, FRONT_END, traceparent=THEIRS, tracestate="a=b")
        joined = traceparent_at(upstream)
        head = upstream.asked[-1].head.lower()
        await ask(running, KEY, traceparent=THEIRS)
        own = traceparent_at(upstream)
        running.finished()
        spans = {span.trace_id: span for span in await collector.until_requests(2)}

    theirs = spans.pop(trace_id)
    (other,) = spans.values()
    assert (theirs.parent_span_id, other.parent_span_id) == (parent_id, b"")
    assert joined == f"00-{trace_id.hex()}-{theirs.span_id.hex()}-01"
    assert own == f"00-{other.trace_id.hex()}-{other.span_id.hex()}-01"
    assert b"tracestate" not in head


async def test_what_a_front_end_does_not_record_is_not_recorded_here(tmp_path: Path) -> None:
    async with traced(tmp_path) as (running, collector, upstream):
        await ask(running, FRONT_END, traceparent=f"{THEIRS[:-2]}00")
        passed = traceparent_at(upstream)
        await ask(running)
        running.finished()
        spans = await collector.until_requests(1)

    assert passed.endswith("-00") and passed.startswith(THEIRS[:36])
    assert [span.trace_id.hex() for span in spans] != [THEIRS[3:35]]


async def test_a_request_that_was_refused_has_a_span_that_says_so(tmp_path: Path) -> None:
    async with traced(tmp_path) as (running, collector, _), running.http() as client:
        unknown = await client.post(PATH, json=CHAT | {"model": f"{CANARY}-none"})
        running.finished()
        (span,) = await collector.until_requests(1)
        sent = b"".join(collector.bodies)

    facts = facts_of(span)
    assert unknown.status_code == 404
    assert (span.name, facts["error.type"], facts["http.response.status_code"]) == ("chat", "model_not_found", 404)
    assert "gen_ai.request.model" not in facts
    assert CANARY.encode() not in sent


async def test_a_collector_that_hangs_costs_no_request_and_a_bounded_number_of_spans(tmp_path: Path) -> None:
    async with traced(tmp_path) as (running, collector, _):
        collector.open.clear()
        answers = [await ask(running) for _ in range(3)]
        running.finished()
        tracer = running.gateway.dispatcher.context.tracer
        assert tracer is not None
        for number in range(3 * QUEUED_SPANS):
            end(tracer, f"req_{number}")
        collector.open.set()
        last = f"req_{3 * QUEUED_SPANS - 1}"
        await until(lambda: last in ids_of(collector), "the newest has come")
        kept = len(collector.spans)

    assert {one.status_code for one in answers} == {200}
    assert kept <= QUEUED_SPANS + 2 * BATCH_SPANS


async def test_a_collector_that_is_away_is_told_of_in_the_log_and_no_request_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def told() -> bool:
        seen.append(capsys.readouterr().out)
        return "traces_not_sent" in "".join(seen)

    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(
            tmp_path, [engine_at(upstream.address)], traces=TraceSettings("http://127.0.0.1:1/v1/traces", every_s=0.05)
        ) as running,
    ):
        answers = [await ask(running) for _ in range(2)]
        running.finished()
        await until(told, "the log says so", 60)

    assert {one.status_code for one in answers} == {200}


async def test_proxies_and_addresses_of_the_environment_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with traced(tmp_path) as (running, collector, _):
        await ask(running)
        running.finished()
        assert len(await collector.until_requests(1)) == 1


async def test_without_traces_engines_are_told_of_none(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
    ):
        await ask(running, traceparent=THEIRS)

    assert b"traceparent" not in upstream.asked[-1].head.lower()


def test_without_traces_no_library_is_loaded() -> None:
    program = "import sys, router.service; print([one for one in sys.modules if one.startswith('opentelemetry.sdk')])"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "header",
    [
        "",
        THEIRS.upper(),
        THEIRS[:-1],
        f"{THEIRS}-00",
        f"01{THEIRS[2:]}",
        f"ff{THEIRS[2:]}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        THEIRS.replace("4bf9", "4bfg"),
    ],
)
def test_what_is_no_traceparent_is_none(header: str) -> None:
    assert parent_in(header.encode()) is None


def test_a_traceparent_is_read_and_written_as_it_was() -> None:
    found = parent_in(THEIRS.encode())

    assert found is not None
    trace_id, span_id, sampled = found
    assert TraceContext(trace_id, span_id, None, sampled).line() == f"traceparent: {THEIRS}\r\n".encode()


def end(tracer: Tracer, request_id: str) -> None:
    """A call that has ended."""
    arrival = Arrival(request_id, None, "chat", USER, arrived_s=10.0, arrived_wall_s=1_800_000_000.0)
    report = CallReport(arrival, "toy", "toy", True)
    report.end("ok", 200, None, 11.0)
    tracer.ended([report], [report.record(TokenRatios())])


def ids_of(collector: Collector) -> set[object]:
    return {facts_of(span)["potluck.request_id"] for span in collector.requests()}
