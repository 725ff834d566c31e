"""GET /v1/models: both SDKs read it, each with strict validation, and a long list costs little."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import msgspec
import pytest
from fastapi import Request
from fastapi.routing import APIRoute

from cluster.roles import SCOPES_OF
from cluster.snapshot import ClusterSnapshot
from inventory.catalog import Capability
from inventory.clock import SystemClock
from nodes.relay.contract import Address
from nodes.snapshot import EngineKind
from router.gateway import create_app
from router.model_api import MODELS
from router.model_list import ModelList, Page, model_list
from router.request import Identity
from router.view import GatewayView
from support.gateway import Running, cluster_of, engine_at, running_gateway
from support.upstream import Asked, scripted_upstream

NAMES = ("alpha", "beta", "delta", "gamma")
OWNER = Identity("k", "t", "g", "admin", "private", SCOPES_OF["admin"])
ABLE: frozenset[Capability] = frozenset({"chat", "completion", "tools", "vision"})


def cluster(*kinds: EngineKind, models: tuple[str, ...] = ("toy",), sequence: int = 2) -> ClusterSnapshot:
    """With an engine of each kind for the first model."""
    at = Address("127.0.0.1", 1)
    engines = [engine_at(at, f"{models[0]}-{kind}", models[0], kind=kind) for kind in kinds]
    snapshot = cluster_of(engines, models, sequence)
    return replace(snapshot, models=tuple(replace(view, capabilities=ABLE) for view in snapshot.models))


def view_of(snapshot: ClusterSnapshot) -> GatewayView:
    view = GatewayView(SystemClock())
    view.install_cluster(snapshot)
    return view


def names(listed: ModelList) -> list[str]:
    return [model.id for model in listed.data]


async def test_openais_client_lists_and_retrieves(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.openai() as client:
        listed = [model async for model in client.models.list()]
        one = await client.models.retrieve("beta")

    assert [model.id for model in listed] == list(NAMES)
    assert one == listed[1]
    assert (one.object, one.owned_by, one.created) == ("model", "test", 7)
    assert one.model_extra is not None
    assert (one.model_extra["context_length"], one.model_extra["max_model_len"]) == (2048, 2048)
    assert one.model_extra["capabilities"] == ["chat", "completion", "tools", "vision"]


async def test_anthropics_client_lists_retrieves_and_turns_pages_both_ways(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.anthropic() as client:
        everything = await client.models.list()
        forward = [model.id async for model in client.models.list(limit=3)]
        backward = [model.id async for model in client.models.list(limit=1, before_id="gamma")]
        one = await client.models.retrieve("beta")

    assert ([model.id for model in everything.data], everything.has_more) == (list(NAMES), False)
    assert (everything.first_id, everything.last_id) == ("alpha", "gamma")
    assert (forward, backward) == (list(NAMES), ["delta", "beta", "alpha"])
    assert (one.type, one.display_name, one.lifecycle, one.max_input_tokens) == ("model", "beta", "active", 2048)
    assert (one.created_at.timestamp(), one.capabilities) == (7, None)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=many"])
async def test_a_limit_that_is_none_is_refused_by_name(tmp_path: Path, query: str) -> None:
    async with running(tmp_path) as gateway, gateway.http() as client:
        answer = await client.get(f"/v1/models?{query}")

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")


@pytest.mark.parametrize(
    ("page", "found", "more"),
    [
        (Page(), list(NAMES), False),
        (Page(2), ["alpha", "beta"], True),
        (Page(2, after_id="beta"), ["delta", "gamma"], False),
        (Page(1, after_id="c"), ["delta"], True),  # gone since
        (Page(2, before_id="gamma"), ["beta", "delta"], True),
        (Page(2, before_id="beta"), ["alpha"], False),
        (Page(1, after_id="gamma"), [], False),
    ],
)
def test_a_page_begins_where_its_neighbour_ended(page: Page, found: list[str], more: bool) -> None:
    listed = model_list(view_of(cluster(models=NAMES)), OWNER, page, anthropic=True)

    assert (names(listed), listed.has_more) == (found, more)
    assert (listed.first_id, listed.last_id) == ((found[0], found[-1]) if found else (None, None))


@pytest.mark.parametrize(
    ("kinds", "able"),
    [
        ((), ["chat", "completion", "tools", "vision"]),
        (("mlx",), ["chat", "completion", "tools"]),
        (("llamacpp",), ["chat", "completion", "json_schema", "tools", "vision"]),
        (("mlx", "vllm"), ["chat", "completion", "json_schema", "tools", "vision"]),
    ],
)
def test_a_model_can_do_what_one_of_its_engines_can(kinds: tuple[EngineKind, ...], able: list[str]) -> None:
    (model,) = model_list(view_of(cluster(*kinds)), OWNER, Page(), anthropic=False).data

    assert model.capabilities == able


def test_two_hundred_models_cost_a_few_calls_and_half_a_kilobyte_each() -> None:
    many = tuple(f"model-{number:03}" for number in range(200))
    view, calls = view_of(cluster(models=many)), 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        listed = model_list(view, OWNER, Page(), anthropic=False)
        told = msgspec.json.encode(listed)
    finally:
        sys.setprofile(None)

    assert len(listed.data) == 200
    assert calls < 200 * 15
    assert len(told) < 200 * 512


async def test_the_list_waits_for_no_machine(tmp_path: Path) -> None:
    """Its handler ends without a pause, and a machine that takes a request and hangs changes nothing."""
    asked = asyncio.Event()

    async def hang(request: Asked, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with (
        scripted_upstream(hang) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as gateway,
        gateway.http() as client,
    ):
        body = {"model": "toy", "messages": [{"role": "user", "content": "hi"}]}
        stuck = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        await asked.wait()
        request = Request({"type": "http", "headers": [], "state": {"identity": OWNER}})
        app = create_app(gateway.gateway.dispatcher, gateway.gateway.registry)
        (handler,) = [route.endpoint for route in app.routes if isinstance(route, APIRoute) and route.path == MODELS]
        with pytest.raises(StopIteration) as ended:
            handler(request).send(None)
        stuck.cancel()

    assert names(msgspec.json.decode(ended.value.value.body, type=ModelList)) == ["toy"]


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[Running]:
    """A gateway that knows four models and has no engine."""
    async with running_gateway(root, []) as gateway:
        gateway.view.install_cluster(cluster(models=NAMES))
        yield gateway
