"""`potluck ray-bridge`: the one driver of Ray, behind a Unix socket of this machine.

Nothing else in potluck speaks to Ray. A driver ends when the head of Ray stays away, so that this process is the
fuse: while it lives Ray is up, and when it dies links go another way until its supervisor has brought it back.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
from fastapi import FastAPI, Request, Response

from cluster.jobs import JobOutcome, JobPart, is_job_kind
from nodes.ray_agent import Reply
from nodes.unix_server import serve_unix

LOOK_EVERY_S = 1.0
LOOK_TIMEOUT_S = 5.0
LOOKS_THAT_MAY_FAIL = 3
NO_RAYLET = "it has no raylet in this cluster"
LEFT = "it left the cluster before the job was done"

log = structlog.get_logger("potluck.ray.bridge")


class NodeAwayError(Exception):
    """Ray cannot reach the node's agent, or run a task there. The bridge answers 502; a link goes another way."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"{node} is not reached through Ray: {reason}")
        self.node, self.reason = node, reason


class RayDownError(Exception):
    """Ray's head does not answer. Ends the bridge; its supervisor starts it again."""


@dataclass(frozen=True, slots=True)
class FabricNode:
    """A live raylet: its address, and what it offers."""

    address: str
    resources: tuple[tuple[str, float], ...]

    @property
    def name(self) -> str | None:
        """The node's name, by the resource that only it has. Ray gives every raylet one named by address as well."""
        own = {name.removeprefix("node:") for name, _ in self.resources if name.startswith("node:")}
        return next((name for name in sorted(own - {self.address}) if not name.startswith("__")), None)


class Fabric(Protocol):
    """What the bridge needs of Ray."""

    async def nodes(self) -> tuple[FabricNode, ...]: ...

    async def welcome(self, node: str) -> None:
        """See to it that the node has an agent, and that it answers. Raises NodeAwayError."""
        ...

    async def call(self, node: str, method: str, path: str, body: bytes) -> Reply:
        """A call of the node API, through the node's agent. Raises NodeAwayError."""
        ...

    async def run(self, node: str, kind: str, argument: bytes) -> bytes:
        """A part of a job, on the node. Raises NodeAwayError."""
        ...


async def run_bridge(connect: Callable[[], Fabric], socket: Path, stop: asyncio.Event) -> None:
    """Serve until `stop`. Raises RayDownError when Ray cannot be reached, or no longer."""
    try:
        fabric = await asyncio.to_thread(connect)
        view = FabricView(fabric)
        await view.look()
    except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
        raise RayDownError(f"Ray's head cannot be reached: {error}") from error
    log.info("ray_bridge_serves", nodes=[node.name for node in view.nodes], socket=str(socket))
    ended = asyncio.Event()
    looking = asyncio.create_task(view.keep_looking(stop))
    looking.add_done_callback(lambda _: ended.set())
    try:
        await serve_unix(bridge_app(fabric, view), socket, ended)
        await looking
    finally:
        looking.cancel()
        view.close()


class FabricView:
    """Which nodes Ray has and whose agents answer, looked at again and again."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._welcoming: dict[str, asyncio.Task[None]] = {}
        self._looked = asyncio.Event()
        self.nodes: tuple[FabricNode, ...] = ()

    def has(self, node: str) -> bool:
        return any(known.name == node for known in self.nodes)

    def why_not(self, node: str) -> str | None:
        """Why a node cannot be called, or None when it can."""
        if not self.has(node):
            return NO_RAYLET
        task = self._welcoming.get(node)
        if task is None or not task.done():
            return "its agent is starting"
        error = task.exception()
        return None if error is None else str(error)

    async def look(self) -> None:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            self.nodes = await self._fabric.nodes()
        self._welcome({node.name for node in self.nodes if node.name})
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    async def until_gone(self, node: str) -> None:
        while self.has(node):
            await self._looked.wait()

    def _welcome(self, present: set[str]) -> None:
        """A node that came, or came back, needs an agent before it is called. One that failed is tried again."""
        for name in self._welcoming.keys() - present:
            self._welcoming.pop(name).cancel()
        for name in present:
            task = self._welcoming.get(name)
            if task is None or (task.done() and task.exception() is not None):
                self._welcoming[name] = asyncio.create_task(self._fabric.welcome(name))

    async def keep_looking(self, stop: asyncio.Event) -> None:
        """Until `stop`. Raises RayDownError when several looks in a row fail."""
        failed = 0
        while failed < LOOKS_THAT_MAY_FAIL:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
                return
            try:
                await self.look()
            except (TimeoutError, RuntimeError, OSError) as error:
                failed += 1
                log.warning("ray_does_not_answer", error=str(error) or "in time", failed=failed)
            else:
                failed = 0
        raise RayDownError(f"Ray's head did not answer {failed} times in a row")

    def close(self) -> None:
        for task in self._welcoming.values():
            task.cancel()


def bridge_app(fabric: Fabric, view: FabricView) -> FastAPI:
    app = FastAPI(title="potluck ray bridge", openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/nodes")
    async def nodes() -> Response:
        return _json(view.nodes)

    @app.api_route("/nodes/{node}/{path:path}", methods=["GET", "PUT", "POST", "DELETE"])
    async def relay(node: str, path: str, request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        body = await request.body()
        if (reason := view.why_not(node)) is not None:
            raise NodeAwayError(node, reason)
        status, answer = await fabric.call(node, request.method, f"/{path}{query}", body)
        return Response(answer, status, media_type="application/json")

    @app.post("/jobs/{kind}")
    async def job(kind: str, request: Request) -> Response:
        if not is_job_kind(kind):
            return Response(f"there is no job {kind!r}", 404, media_type="text/plain")
        parts = msgspec.json.decode(await request.body(), type=tuple[JobPart, ...])
        return _json(await _run_all(fabric, view, kind, parts))

    @app.exception_handler(NodeAwayError)
    async def away(_: Request, error: NodeAwayError) -> Response:
        return Response(str(error), 502, media_type="text/plain")

    return app


async def _run_all(fabric: Fabric, view: FabricView, kind: str, parts: Sequence[JobPart]) -> list[JobOutcome]:
    return list(await asyncio.gather(*(_run_part(fabric, view, kind, part) for part in parts)))


async def _run_part(fabric: Fabric, view: FabricView, kind: str, part: JobPart) -> JobOutcome:
    """Ends with the node at the latest: Ray would keep a task for it until it comes back."""
    if not view.has(part.node_id):
        return JobOutcome(part.node_id, None, NO_RAYLET)
    running = asyncio.create_task(fabric.run(part.node_id, kind, part.argument))
    gone = asyncio.create_task(view.until_gone(part.node_id))
    try:
        await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            return JobOutcome(part.node_id, None, LEFT)
        return JobOutcome(part.node_id, running.result(), None)
    except NodeAwayError as error:
        return JobOutcome(part.node_id, None, error.reason)
    finally:
        running.cancel()
        gone.cancel()


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
