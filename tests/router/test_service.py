"""The whole gateway process in this loop: lock, feed from a head's socket, memory on disk, drain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from cluster.publication import Publication, encode_line
from cluster.snapshot import ClusterSnapshot
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.secret_files import ExposedSecretError
from nodes.role_lock import AlreadyRunningError, running
from nodes.unix_server import serve_unix
from router.feed import SnapshotFeed
from router.log import StructuredLog
from router.service import run_gateway
from router.settings import GatewaySettings
from router.view import GatewayView
from support.gateway import KEY, access_with, cluster_of, engine_at, key_record
from support.leaks import CANARY
from support.upstream import answer_kindly, scripted_upstream


@asynccontextmanager
async def head_that_publishes(paths: StatePaths, *publications: Publication) -> AsyncIterator[asyncio.Event]:
    """The head's socket, with its watch route. Set the event to end the head."""
    app, stop = FastAPI(), asyncio.Event()

    @app.get("/api/v1/watch")
    async def watch() -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            for publication in publications:
                yield encode_line(publication)
            await stop.wait()

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    serving = asyncio.create_task(serve_unix(app, paths.head_socket, stop))
    try:
        yield stop
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def gateway_process(paths: StatePaths) -> AsyncIterator[str]:
    """Yields the endpoint once the lock tells it."""
    stop = asyncio.Event()
    serving = asyncio.create_task(run_gateway(GatewaySettings(paths, drain_s=1.0), stop))
    try:
        async with asyncio.timeout(5):
            while (record := running(paths.run, "gateway")) is None or record.endpoint is None:  # noqa: ASYNC110 - a poll with a deadline
                await asyncio.sleep(0.01)
        yield record.endpoint
    finally:
        stop.set()
        await serving


async def models(endpoint: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(f"{endpoint}/models", headers={"authorization": f"Bearer {KEY}"})


async def until_models(endpoint: str) -> httpx2.Response:
    async with asyncio.timeout(5):
        while not (answer := await models(endpoint)).is_success or not answer.json()["data"]:  # noqa: ASYNC110 - a poll
            await asyncio.sleep(0.01)
    return answer


def published(paths: StatePaths, cluster: ClusterSnapshot) -> Publication:
    return Publication(cluster, access_with(paths, [key_record()]))


async def test_a_gateway_serves_what_the_head_publishes_and_goes_on_without_it(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "s").ensure()
    async with scripted_upstream(answer_kindly) as upstream:
        publication = published(paths, cluster_of([engine_at(upstream.address)]))
        async with head_that_publishes(paths, publication), gateway_process(paths) as endpoint:
            assert (await until_models(endpoint)).json()["data"][0]["nodes"] == ["here"]
            async with asyncio.timeout(5):
                while not (paths.gateway / "cluster.json").exists():  # noqa: ASYNC110 - a poll with a deadline
                    await asyncio.sleep(0.01)

        async with gateway_process(paths) as endpoint, httpx2.AsyncClient(trust_env=False) as client:
            answer = await client.post(
                f"{endpoint}/chat/completions",
                json={"model": "toy", "messages": [{"role": "user", "content": CANARY}]},
                headers={"authorization": f"Bearer {KEY}"},
            )
            assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    assert (paths.gateway / "access.json").stat().st_mode & 0o777 == 0o600
    assert running(paths.run, "gateway") is None


async def test_a_second_gateway_of_one_state_directory_is_refused(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "s").ensure()
    async with gateway_process(paths):
        with pytest.raises(AlreadyRunningError):
            await run_gateway(GatewaySettings(paths), asyncio.Event())


async def test_nobody_is_let_in_before_the_first_access_snapshot(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "s").ensure()
    async with gateway_process(paths) as endpoint:
        answer = await models(endpoint)

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")


async def test_an_older_snapshot_never_replaces_a_later_one(tmp_path: Path) -> None:
    view = GatewayView(SystemClock())

    assert view.install_cluster(cluster_of([], sequence=5))
    assert not view.install_cluster(cluster_of([], sequence=5))
    assert not view.install_cluster(cluster_of([], sequence=4))
    assert view.cluster is not None
    assert view.cluster.sequence == 5


async def test_a_broken_memory_is_as_good_as_none(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "s").ensure()
    (paths.gateway / "cluster.json").write_text('{"schema": 1, "clu')
    view = GatewayView(SystemClock())
    SnapshotFeed(paths, view, StructuredLog()).load()

    assert view.cluster is None


@pytest.mark.parametrize("name", ["secrets/pepper", "telemetry.db", "owner.key"])
async def test_a_gateway_does_not_start_with_a_secret_that_others_can_read(tmp_path: Path, name: str) -> None:
    paths = StatePaths.at(tmp_path).ensure()
    exposed = paths.root / name
    exposed.write_bytes(b"")
    exposed.chmod(0o640)

    with pytest.raises(ExposedSecretError, match=f"{exposed} is readable by others .* run: chmod 600 {exposed}"):
        await run_gateway(GatewaySettings(paths), asyncio.Event())

    assert running(paths.run, "gateway") is None
