"""The dashboard at the real gateway: who is let in by a cookie, what it shows, and who is not fooled."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from cluster.service import HeadSettings
from inventory.clock import Clock, SystemClock
from router.dashboard.assets import Assets
from router.dashboard.cookie import NAME, ROUTES
from router.dashboard.sessions import IDLE_S
from router.errors import ApiError
from router.gateway import create_app
from router.permissions import NEEDED
from router.telemetry import TelemetryWriter
from support.callers import KEYS, records
from support.cluster_facts import held, node
from support.fake_node import FakeNode
from support.gateway import KEY, Running, access_with, cluster_of, engine_at, key_record, running_gateway
from support.heads import running_head
from support.manual_clock import ManualClock
from support.upstream import answer_kindly, scripted_upstream

SESSION = "/dashboard/session"
OWN_PAGE = {"x-potluck-dashboard": "1", "sec-fetch-site": "same-origin"}
CHAT = {"model": "toy", "messages": [{"role": "user", "content": "hi"}], "stream": True}


@asynccontextmanager
async def gateway(root: Path, clock: Clock | None = None) -> AsyncIterator[Running]:
    async with running_gateway(root, [engine_at(None)], clock=clock) as running:
        running.view.install_access(access_with(running.paths, records(), sequence=2))
        yield running


async def log_in(client: httpx2.AsyncClient, who: str = "admin") -> httpx2.Response:
    return await client.post(SESSION, json={"key": KEYS[who]})


async def test_a_login_says_whose_key_it_is_and_sets_a_cookie_that_no_script_reads(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.http(None) as client:
        named = replace(key_record(KEYS["display"]), role="display", name="hall")
        running.view.install_access(access_with(running.paths, [named], sequence=3))
        answer = await log_in(client, "display")
        seen = await client.get(SESSION)

    facts = {"name": "hall", "role": "display", "scopes": ["metrics.read", "models.read", "status.read"], "idle_s": 900}
    assert (answer.status_code, answer.json(), seen.json()) == (200, facts, facts)
    cookie = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert cookie == {"httponly", "path=/", "samesite=strict"}
    assert answer.headers["cache-control"] == "no-store"


async def test_over_tls_the_cookie_is_for_tls_only(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        app = create_app(running.gateway.dispatcher, running.gateway.registry)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://x") as client:
            answer = await log_in(client)

    assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("key", "code"),
    [("", "missing_api_key"), ("pl_admin_wrong", "invalid_api_key"), (KEYS["expired"], "expired_api_key")],
)
async def test_a_wrong_key_is_no_login_and_goes_on_record(tmp_path: Path, key: str, code: str) -> None:
    async with gateway(tmp_path) as running, running.http(None) as client:
        answer = await client.post(SESSION, json={"key": key})
        noted = running.gateway.dispatcher.refusals.take()

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
    assert "set-cookie" not in answer.headers
    assert [(one.cause, one.target) for one in noted] == [(code, SESSION)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "text/plain"}, 400),
        ({"content-type": "application/x-www-form-urlencoded"}, 400),
    ],
)
async def test_no_other_page_logs_anybody_in(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    body = json.dumps({"key": KEYS["admin"]})
    async with gateway(tmp_path) as running, running.http(None) as client:
        answer = await client.post(SESSION, content=body, headers={"content-type": "application/json"} | headers)

    assert answer.status_code == status
    assert "set-cookie" not in answer.headers


async def test_a_session_opens_what_its_key_may_see_and_nothing_else(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.http(None) as client:
        await log_in(client, "display")
        state = await client.get("/api/v1/state")
        decisions = await client.get("/api/v1/decisions")
        others = {
            path: (await client.request("GET" if path == "/metrics" else "POST", path, headers=OWN_PAGE)).status_code
            for path, scope in NEEDED.items()
            if (path not in ROUTES and scope == "inference" and "{" not in path) or path == "/metrics"
        }

    assert state.status_code == 200
    assert (decisions.status_code, decisions.json()["error"]["code"]) == (403, "missing_scope")
    assert len(others) > 10
    assert set(others.values()) == {401}


async def test_what_acts_needs_the_pages_own_header_and_the_browsers_word(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.http(None) as client:
        await log_in(client)
        question = {"model": "toy", "prompt_tokens": 10}
        tries = [
            {},
            {"x-potluck-dashboard": "1"},
            {"sec-fetch-site": "same-origin"},
            {"x-potluck-dashboard": "1", "origin": "http://127.0.0.1:1"},
            {"x-potluck-dashboard": "1", "sec-fetch-site": "same-site"},
        ]
        refused = [await client.post("/api/v1/route/explain", json=question, headers=headers) for headers in tries]
        asked = await client.post("/api/v1/route/explain", json=question, headers=OWN_PAGE)
        origin = {"x-potluck-dashboard": "1", "origin": running.base_url}
        by_origin = await client.post("/api/v1/route/explain", json=question, headers=origin)
        with_key = await client.post(
            "/api/v1/route/explain", json=question, headers={"authorization": f"Bearer {KEYS['admin']}"}
        )
        left = await client.request("DELETE", SESSION)

    assert [(one.status_code, one.json()["error"]["code"]) for one in refused] == [(403, "cross_site")] * len(tries)
    assert [asked.status_code, by_origin.status_code, with_key.status_code] == [200, 200, 200]
    assert left.status_code == 403


async def test_after_the_logout_the_cookie_is_nobodys(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.http(None) as client:
        session = (await log_in(client)).cookies[NAME]
        left = await client.request("DELETE", SESSION, headers=OWN_PAGE)
        again = await client.get("/api/v1/state", headers={"cookie": f"{NAME}={session}"})
        twice = await client.request("DELETE", SESSION, headers=OWN_PAGE | {"cookie": f"{NAME}={session}"})

    assert (left.status_code, left.json()) == (200, {"ended": True})
    assert [one.status_code for one in (again, twice)] == [401, 401]
    assert again.json()["error"]["code"] == "no_session"


async def test_another_login_ends_the_session_before_it(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.http(None) as client:
        first, second = (await log_in(client)).cookies[NAME], (await log_in(client, "display")).cookies[NAME]
        client.cookies.clear()
        seen = [await client.get(SESSION, headers={"cookie": f"{NAME}={one}"}) for one in (first, second)]

    assert [one.status_code for one in seen] == [401, 200]
    assert seen[1].json()["role"] == "display"


async def test_a_session_ends_when_it_is_idle_and_lives_while_it_is_used(tmp_path: Path) -> None:
    clock = ManualClock()
    async with gateway(tmp_path, clock) as running, running.http(None) as client:
        await log_in(client)
        clock.advance(IDLE_S - 1)
        used = await client.get("/api/v1/state")
        clock.advance(IDLE_S - 1)
        again = await client.get(SESSION)
        clock.advance(IDLE_S)
        idle = await client.get("/api/v1/state")

    assert [one.status_code for one in (used, again, idle)] == [200, 200, 401]


async def test_a_session_ends_with_its_key_and_so_does_its_stream(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.http(None) as client:
        await log_in(client)
        async with client.stream("GET", "/api/v1/events") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 1000"
            running.view.install_access(access_with(running.paths, [key_record()], sequence=3))
            rest = [line async for line in lines]
        after = await client.get("/api/v1/state")

    assert any(line == "event: snapshot" for line in rest)
    assert after.status_code == 401


async def test_a_page_that_lies_open_is_no_use_of_its_session_but_a_display_is(tmp_path: Path) -> None:
    clock = ManualClock()
    async with gateway(tmp_path, clock) as running:
        ended: list[int] = []
        for who in ("admin", "display"):
            async with running.http(None) as client:
                await log_in(client, who)
                async with client.stream("GET", "/api/v1/events") as stream:
                    events = events_of(stream)
                    await anext(events)
                    for sequence in (2, 3, 4):
                        clock.advance(IDLE_S / 2)
                        snapshot = cluster_of([engine_at(None)], sequence=sequence + len(ended) * 10)
                        running.view.install_cluster(replace(snapshot, taken_at_s=float(sequence)))
                        if await anext(events, None) is None:
                            break
                ended.append((await client.get("/api/v1/state")).status_code)

    assert ended == [401, 200]


async def events_of(stream: httpx2.Response) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
    """Id, name and data of each."""
    fields: dict[str, str] = {}
    async for line in stream.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}


async def test_the_page_and_its_files_need_nobody_and_trust_nobody(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.http(None) as client:
        moved = await client.get("/dashboard")
        page = await client.get("/dashboard/")
        script = next(name for name in page.text.split('"') if name.endswith(".js")).removeprefix("./")
        file = await client.get(f"/dashboard/{script}")
        away = [
            await client.get(f"/dashboard/{path}") for path in ("nowhere", "..%2Fdesk.py", "%2Fetc/passwd", "BUILT")
        ]

    assert (moved.status_code, moved.headers["location"]) == (307, "/dashboard/")
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-cache")
    assert (file.status_code, file.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    assert file.headers["content-type"].startswith("text/javascript")
    for answer in (moved, page, file):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert "<style" not in page.text and "style=" not in page.text
    assert all("src=" in part for part in page.text.split("<script")[1:])
    assert {answer.status_code for answer in away} == {404}


def test_files_are_served_as_they_were_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("one")
    assets = Assets(tmp_path)
    (tmp_path / "index.html").write_text("two")
    (tmp_path / "later.js").write_text("")

    assert bytes(assets.answer("").body) == b"one"
    with pytest.raises(ApiError, match="no file"):
        assets.answer("later.js")


async def test_what_fits_is_what_the_head_says(tmp_path: Path) -> None:
    question = {"model": "smollm2", "context": 2048, "users": 2}
    async with gateway(tmp_path) as running, running.http(KEYS["display"]) as client:
        away = await client.post("/api/v1/fit", json=question)
        machine = FakeNode(node("box", [held("smollm2")]))
        async with running_head(HeadSettings(running.paths), [machine]) as head:
            direct = await head.fit(question)
            answer = await client.post("/api/v1/fit", json=question)
            unknown = await client.post("/api/v1/fit", json={"model": "nothing-like-it"})
            wrong = await client.post("/api/v1/fit", json={"model": "smollm2", "users": 0})

    assert (away.status_code, away.json()["error"]["code"]) == (503, "head_away")
    assert answer.status_code == 200
    assert answer.json()["rows"] == json.loads(msgspec.json.encode(direct))["rows"] != []
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "users")


async def test_requests_that_ended_are_listed_and_one_is_explained(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as upstream:
        async with running_gateway(tmp_path, [engine_at(upstream.address)]) as first, first.http() as client:
            before = await client.get("/api/v1/decisions")
            missing = await client.get("/api/v1/decisions/req_" + "0" * 32)
            path = first.paths.telemetry_db
        writer = TelemetryWriter(path, SystemClock())
        async with (
            running_gateway(tmp_path, [engine_at(upstream.address)], sinks=(writer,)) as running,
            running.http(KEY) as client,
        ):
            ids = [(await client.post("/v1/chat/completions", json=CHAT)).headers["x-request-id"] for _ in range(3)]
            refused = await client.post("/v1/chat/completions", json=CHAT | {"model": "none"})
            await running.until_idle()
            running.finished()
            writer.close()
            listed = (await client.get("/api/v1/decisions?limit=3")).json()["rows"]
            told = (await client.get(f"/api/v1/decisions/{ids[0]}")).json()
            not_sent = (await client.get(f"/api/v1/decisions/{refused.headers['x-request-id']}")).json()
            many = await client.get("/api/v1/decisions?limit=100000")

    assert (before.json(), missing.status_code) == ({"rows": []}, 404)
    assert [row["request_id"] for row in listed] == [refused.headers["x-request-id"], ids[2], ids[1]]
    assert listed[0]["error"] == "model_not_found"
    assert "engine" not in listed[0]
    row = told["row"]
    assert (row["node"], row["engine"], row["reason"], row["outcome"]) == ("here", "toy-1", "only_fit", "ok")
    assert row["first_token_ms"] <= row["duration_ms"]
    assert (told["explanation"]["chosen"], told["explanation"]["request_id"]) == ("toy-1", ids[0])
    assert "explanation" not in not_sent
    assert many.status_code == 400


async def test_a_gateway_that_has_heard_nothing_yet_says_so(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as client:
        running.view.cluster = None
        answers = [await client.get(path) for path in ("/api/v1/state", "/api/v1/events")]

    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].headers["retry-after"] == "2"


async def test_live_figures_count_what_ended_and_what_runs(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        for _ in range(4):
            assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        await running.until_idle()
        running.finished()
        live = (await client.get("/api/v1/state")).json()["live"]

    for figures in (live["by_model"]["toy"], live["by_node"]["here"]):
        assert figures["requests_per_s"] == live["requests_per_s"] > 0
        assert figures["ttft_p50_s"] > 0
        assert figures["in_flight"] == 0
    assert (live["by_model"]["toy"]["waiting"], "waiting" in live["by_node"]["here"]) == (0, False)
