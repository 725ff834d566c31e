"""Every route of the gateway, asked by everybody: who gets an answer is written down a second time, in the tests."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import reduce
from pathlib import Path

import httpx2
import pytest
from starlette.routing import Route

from cluster.roles import SCOPES_OF, Role, Scope, granted
from router.errors import ApiError
from router.gateway import create_app
from router.permissions import LOGIN_ROUTES, NEEDED, OPEN_ROUTES, refusal, sees
from router.request import Identity
from support.callers import ANSWERED, EVERYBODY, KEYS, key_of, records
from support.gateway import EVERYTHING, KEY, Running, access_with, cluster_of, engine_at, key_record, running_gateway
from support.leaks import CANARY
from support.upstream import answer_kindly, scripted_upstream

CHAT = {"model": "toy", "messages": [{"role": "user", "content": CANARY}]}
RERANK = {"model": "toy", "query": "hi", "documents": ["hi"]}
HOT = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "toy", "prompt": "hi"},
    "/v1/responses": {"model": "toy", "input": "hi"},
    "/v1/messages": CHAT | {"max_tokens": 5},
    "/api/chat": CHAT,
    "/api/generate": {"model": "toy", "prompt": "hi"},
    "/v1/embeddings": {"model": "toy", "input": "hi"},
    "/v1/rerank": RERANK,
    "/v2/rerank": RERANK,
    "/rerank": RERANK,
    "/api/embed": {"model": "toy", "input": "hi"},
    "/api/embeddings": {"model": "toy", "prompt": "hi"},
}
BODIES = HOT | {
    "/api/v1/route/explain": {"model": "toy", "prompt_tokens": 10},
    "/api/show": {"model": "toy"},
    "/v1/messages/count_tokens": CHAT,
    "/v1/batches": {
        "input_file_id": "{file_id}",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    },
    "/tokenize": {"model": "toy", "prompt": "hi"},
    "/detokenize": {"model": "toy", "tokens": [1]},
    "/v1/vector_stores/{vector_store_id}/search": {"query": "hi"},
    "/v1/vector_stores/{vector_store_id}/files": {"file_id": "{file_id}"},
    "/v1/vector_stores/{vector_store_id}/files/{file_id}": {"attributes": {"a": 1}},
    "/v1/vector_stores/{vector_store_id}/file_batches": {"file_ids": ["{file_id}"]},
    "/api/v1/rag/folders": {"vector_store_id": "vs_none", "path": "/nowhere"},
    "/api/v1/rag/usual": {"vector_store_id": "vs_none"},
    "/api/v1/rag/search": {"query": "hi", "vector_store_ids": ["vs_none"]},
    "/api/v1/rag/retry": {"vector_store_id": "vs_none", "file_id": "{file_id}"},
    "/api/v1/privacy/preview": {"person": "nobody"},
    "/api/v1/privacy/export": {"person": "nobody"},
    "/api/v1/privacy/erase": {"person": "nobody"},
    "/api/v1/fit": {"model": "toy"},
    "/api/v1/fit/frontier": {"model": "toy"},
}
SESSION = "/dashboard/session"
HEADS = {
    path for path in NEEDED if path.startswith(("/api/v1/fit", "/api/v1/audit", "/api/v1/nodes", "/api/v1/models"))
}
THROUGH = {"/api/v1/decisions/{request_id}": 404}  # no such request was
THROUGH |= dict.fromkeys({*HEADS, "/api/v1/keys"}, 503)  # no head answers here
THROUGH |= {f"/api/v1/privacy/{deed}": 503 for deed in ("preview", "export", "erase")}  # nor here
THROUGH |= {path: 503 for path in NEEDED if path.startswith(("/v1/vector_stores", "/api/v1/rag"))}  # nobody keeps any
OWN_PAGE = {"x-potluck-dashboard": "1", "sec-fetch-site": "same-origin"}
PRETENCES = {
    "x-forwarded-for": "127.0.0.1",
    "x-real-ip": "127.0.0.1",
    "forwarded": "for=127.0.0.1",
    "x-forwarded-user": "admin",
    "x-openwebui-user-role": "admin",
    "x-original-url": "/healthz",
}


@asynccontextmanager
async def gateway(root: Path) -> AsyncIterator[Running]:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(root, [engine_at(upstream.address)], abilities={"toy": EVERYTHING}) as running,
    ):
        running.view.install_access(access_with(running.paths, records(), sequence=2))
        yield running


def headers_of(who: str) -> dict[str, str]:
    key = key_of(who)
    return PRETENCES if key is None else {**PRETENCES, "authorization": f"Bearer {key}"}


def declared(running: Running) -> list[tuple[str, str]]:
    app = create_app(running.gateway.dispatcher, running.gateway.registry)
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) == len(app.routes), "a mounted app or a websocket is no route that this table knows"
    return [(method, route.path) for route in routes for method in sorted(route.methods or {"GET"})]


async def ask(
    client: httpx2.AsyncClient, who: str, method: str, path: str, file_id: str = "", batch_id: str = ""
) -> httpx2.Response:
    ids = {"{model_id:path}": "toy", "{file_id}": file_id, "{batch_id}": batch_id, "{path:path}": ""}
    ids |= {"{vector_store_id}": "vs_none", "{folder_id}": "none"}
    where = reduce(lambda text, name: text.replace(name, ids[name]), ids, path)
    if (method, path) == ("POST", "/v1/files"):
        file = {"file": ("in.jsonl", b"{}")}
        return await client.post(where, headers=headers_of(who), files=file, data={"purpose": "batch"})
    if path == SESSION:  # nobody's header counts there: a key in the body, and then the cookie
        key = {"key": key_of(who) or ""} if method == "POST" else None
        return await client.request(method, where, headers=PRETENCES | OWN_PAGE, json=key)
    body = json.dumps(BODIES.get(path, {})).replace("{file_id}", file_id).encode() if method == "POST" else b""
    if path == "/api/v1/events":
        async with client.stream(method, where, headers=headers_of(who)) as stream:
            return stream if stream.status_code == 200 else await read(stream)
    moved = path == "/dashboard" or path.startswith("/dashboard/oidc/")
    return await client.request(method, where, headers=headers_of(who), content=body, follow_redirects=moved)


async def read(answer: httpx2.Response) -> httpx2.Response:
    await answer.aread()
    return answer


async def things_of(client: httpx2.AsyncClient, who: str) -> tuple[str, str]:
    """A file that nothing reads, and a batch: its own where it may have some."""
    files = [(await ask(client, who, "POST", "/v1/files")).json() for _ in range(2)]
    ids = [file.get("id", "file-none") for file in files]
    batch = (await ask(client, who, "POST", "/v1/batches", ids[0])).json()
    return ids[1], batch.get("id", "batch_none")


async def test_every_route_has_an_entry(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        paths = {path for _, path in declared(running)}

    assert paths == NEEDED.keys() | OPEN_ROUTES | LOGIN_ROUTES == ANSWERED.keys()


@pytest.mark.parametrize("who", sorted(EVERYBODY))
async def test_every_route_answers_those_whom_the_table_names_and_nobody_else(tmp_path: Path, who: str) -> None:
    refused = {"nobody": "missing_api_key", "stranger": "invalid_api_key", "expired": "expired_api_key"}
    async with gateway(tmp_path) as running, running.http(None) as client:
        for method, path in declared(running):
            answer = await ask(client, who, method, path, *await things_of(client, who))
            if who in ANSWERED[path]:
                assert answer.status_code == THROUGH.get(path, 200), (method, path)
            else:
                assert answer.status_code == (401 if who in refused else 403), (method, path)
                assert answer.headers["x-request-id"].startswith("req_")
                error = answer.json()["error"] if method != "HEAD" else {}
                code = error.get("code") if isinstance(error, dict) else None  # Ollama's error is a text
                assert code in (refused.get(who, "missing_scope"), "no_session" if path == SESSION else None, None)
                assert ("www-authenticate" in answer.headers) == (who in refused)
        known = [record.key_id for record in running.finished()]
        assert set(known) <= {who}  # a refusal is nobody's request


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1/models/../metrics", "/healthz/", "//healthz", "/v1/chat/completions/"]
)
async def test_what_is_no_route_is_told_to_those_with_a_key_only(tmp_path: Path, path: str) -> None:
    async with gateway(tmp_path) as running, running.http(None) as client:
        stranger, user = await ask(client, "stranger", "GET", path), await ask(client, "user", "GET", path)

    assert stranger.status_code == 401
    assert user.status_code in (404, 307, 403)


async def test_a_hot_path_in_another_spelling_is_no_way_around_the_scope(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.http(None) as client:
        for path in ("/v1/chat/completions?x=1", "/v1/chat%2Fcompletions", "/v1/%63hat/completions"):
            answer = await client.post(path, headers=headers_of("display"), json=CHAT)
            assert answer.status_code in (403, 404), path


async def test_a_route_without_an_entry_answers_nobody(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        app = create_app(running.gateway.dispatcher, running.gateway.registry)
        app.add_api_route("/v1/secrets", lambda: {"secret": 1})
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://x") as client:
            answers = [await client.get("/v1/secrets", headers=headers_of(who)) for who in ("nobody", "admin")]

    assert [answer.status_code for answer in answers] == [401, 403]


async def test_a_key_for_some_models_sees_these_and_knows_of_no_other(tmp_path: Path) -> None:
    some = replace(key_record(), role="user", models=("toy", "small-*"))
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        running.view.install_access(access_with(running.paths, [some], sequence=2))
        snapshot = cluster_of([engine_at(upstream.address)], ("toy", "small-1", "secret"), sequence=2)
        aliases = (("also-toy", "toy"), ("small-alias", "secret"), ("hidden", "secret"))
        running.view.install_cluster(replace(snapshot, aliases=aliases))
        listed = (await client.get("/v1/models")).json()["data"]
        by_alias = await client.post("/v1/chat/completions", json=CHAT | {"model": "also-toy"})
        refused = [await client.post("/v1/chat/completions", json=CHAT | {"model": name}) for name in ("secret", "nix")]
        shown = [await client.get(f"/v1/models/{name}") for name in ("toy", "secret", "nix")]

    # An alias that the key names is a model to it, whatever stands behind it.
    assert [model["id"] for model in listed] == ["also-toy", "small-1", "small-alias", "toy"]
    assert by_alias.status_code == 200
    assert [answer.status_code for answer in shown] == [200, 404, 404]
    hidden, missing = (answer.json()["error"] for answer in refused)
    assert (refused[0].status_code, hidden["code"], hidden["param"]) == (404, "model_not_found", "model")
    assert hidden["message"].replace("secret", "nix") == missing["message"]


async def test_a_front_end_says_for_whom_it_asks_and_nobody_else_does(tmp_path: Path) -> None:
    trusted = replace(key_record("pl_webui_" + "s" * 43), role="user", front_end=True)
    said = {
        "x-openwebui-user-id": "u-17",
        "x-openwebui-user-role": "admin",
        "x-openwebui-user-email": "a@example.org",
        "x-potluck-tenant": "another",
        "x-priority": "9",
    }
    async with gateway(tmp_path) as running, running.http(None) as client:
        running.view.install_access(access_with(running.paths, [*records(), trusted], sequence=3))
        for key in ("pl_webui_" + "s" * 43, KEYS["user"]):
            answer = await client.post(
                "/v1/chat/completions", json=CHAT, headers=said | {"authorization": f"Bearer {key}"}
            )
            assert answer.status_code == 200
        await running.until_idle()
        by_webui, by_user = running.finished()

    assert (by_webui.key_id, by_webui.user) == ("webui", "u-17")
    assert (by_user.key_id, by_user.user) == ("user", None)
    assert {(record.tenant, record.group, record.priority) for record in (by_webui, by_user)} == {("home", "family", 0)}


@pytest.mark.parametrize("said", [b"", b"two words", b"x" * 129, b"\xff", b"a\tb"])
async def test_a_user_id_that_is_no_id_is_nobodys(said: bytes, tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        dispatcher = running.gateway.dispatcher
        trusted = replace(key_record("pl_webui_" + "s" * 43), role="user", front_end=True)
        running.view.install_access(access_with(running.paths, [trusted], sequence=3))
        headers = {b"authorization": b"Bearer pl_webui_" + b"s" * 43, b"x-openwebui-user-id": said}

        assert dispatcher.identify(headers).user is None


async def test_what_reaches_an_engine_is_a_short_list_of_headers(tmp_path: Path) -> None:
    spoken = {
        **PRETENCES, "cookie": "a=b", "x-request-id": "mine", "x-openwebui-chat-id": "c", "x-tenant": "t",
        "openai-organization": "o", "traceparent": "00-1", "accept": "*/*", "user-agent": "u", "x-priority": "9",
    }  # fmt: skip
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)], abilities={"toy": EVERYTHING}) as running,
        running.http() as client,
    ):
        for path, body in HOT.items():
            answer = await client.post(path, json=body, headers=spoken)
            lines = upstream.asked[-1].head.decode().strip().split("\r\n")[1:]
            sent = dict(line.split(": ", 1) for line in lines)

            assert sent.keys() == {"host", "content-type", "x-request-id", "content-length"}
            assert sent["x-request-id"] == answer.headers["x-request-id"] != "mine"
            assert KEY.encode() not in upstream.asked[-1].head + upstream.asked[-1].body


def identity(role: Role = "user", models: tuple[str, ...] | None = None) -> Identity:
    return Identity("k", "t", "g", role, "private", SCOPES_OF[role], models)


@pytest.mark.parametrize(
    ("patterns", "names", "seen"),
    [
        (None, ("anything",), True),
        ((), ("anything",), False),
        (("qwen3-*",), ("qwen3-8b",), True),
        (("qwen3-*",), ("QWEN3-8b",), False),
        (("qwen3",), ("qwen3-8b",), False),
        (("best",), ("best", "qwen3-8b"), True),
        (("*",), ("a/b:c",), True),
    ],
)
def test_names_of_models_are_matched_whole_and_by_case(
    patterns: tuple[str, ...] | None, names: tuple[str, ...], seen: bool
) -> None:
    assert sees(identity(models=patterns), *names) is seen


def test_scopes_narrow_a_role_and_never_widen_it() -> None:
    asked: tuple[Scope, ...] = ("inference", "admin", "metrics.read")

    assert granted("user", None) == SCOPES_OF["user"]
    assert granted("user", asked) == {"inference"}
    assert granted("display", asked) == {"metrics.read"}
    assert granted("admin", ()) == frozenset()


def test_a_refusal_says_what_is_missing() -> None:
    refused = refusal(identity("display"), "/v1/completions")

    assert isinstance(refused, ApiError)
    assert "lacks the scope `inference`" in refused.message
    assert refusal(identity(), "/v1/completions") is None
