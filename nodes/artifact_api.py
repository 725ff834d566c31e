"""Artifacts for other nodes: manifests, and files from any byte on, read in threads as fast as the peer takes them."""

import asyncio
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from inventory.catalog import ArtifactId, StoredModel
from nodes.api_wire import ErrorBody, ErrorDetail
from nodes.artifact_wire import ARTIFACTS, ArtifactManifest

CHUNK_BYTES = 128 * 1024  # encrypting one takes well under a millisecond; then the token streams have their turn
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")

MayCopy = Callable[[Request], bool]

log = structlog.get_logger("potluck.node.artifacts")


class ArtifactSource(Protocol):
    """What is served: the model store."""

    def by_artifact(self, artifact_id: ArtifactId) -> StoredModel | None: ...

    def files(self, artifact_id: ArtifactId) -> tuple[Path, ...]: ...


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """`stuck_s`: a peer that takes not one chunk for so long gives its place to others. `ask_again_s`: how often it is
    asked whether the peer still may copy.
    """

    copies: int = 4
    stuck_s: float = 60.0
    ask_again_s: float = 1.0


class _Places:
    """How many copies leave this node at the same time."""

    def __init__(self, limits: CopyLimits, may_copy: MayCopy) -> None:
        self.limits, self.free, self.may_copy = limits, limits.copies, may_copy


def _already_checked(_: Request) -> bool:
    return True


def add_artifacts(
    app: FastAPI,
    source: ArtifactSource,
    limits: CopyLimits = CopyLimits(),
    may_copy: MayCopy = _already_checked,
) -> None:
    """`may_copy` is asked again while a file is sent. A node's TLS port decides before the app: nodes.tls_access."""
    places = _Places(limits, may_copy)

    @app.get(f"{ARTIFACTS}/{{artifact_id}}/manifest")
    async def manifest(artifact_id: str, request: Request) -> Response:
        if not may_copy(request):
            return _FORBIDDEN
        model = await asyncio.to_thread(source.by_artifact, ArtifactId(artifact_id))
        if model is None:
            return _error(404, "not_found", f"this node does not hold {artifact_id[:12]}")
        held = model.artifact
        body = ArtifactManifest(held.format, held.files, held.source, held.revision)
        return Response(msgspec.json.encode(body), media_type="application/json")

    @app.get(f"{ARTIFACTS}/{{artifact_id}}/files/{{number}}")
    async def file(artifact_id: str, number: int, request: Request) -> Response:
        if not may_copy(request):
            return _FORBIDDEN
        model = await asyncio.to_thread(source.by_artifact, ArtifactId(artifact_id))
        if model is None or not 0 <= number < len(model.artifact.files):
            return _error(404, "not_found", f"this node does not hold file {number} of {artifact_id[:12]}")
        size = model.artifact.files[number].size_bytes
        part = _part(request.headers.get("range"), size)
        if part is None:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        return _FilePart(source.files(model.artifact.artifact_id)[number], part, size, places)


def _part(asked: str | None, size: int) -> range | None:
    """Which bytes to send, or None where the file has no such part. What is no plain range is answered in whole."""
    match = _RANGE.fullmatch(asked or "")
    if match is None:
        return range(size)
    start, last = int(match[1]), int(match[2] or size - 1)
    return range(start, min(last + 1, size)) if start < size and start <= last else None


def _error(status: int, code: str, message: str) -> Response:
    body = msgspec.json.encode(ErrorBody(ErrorDetail(code, message)))
    return Response(body, status, media_type="application/json")


_FORBIDDEN = _error(403, "forbidden", "only members of the cluster may copy artifacts")


class _FilePart(Response):
    """Never more than one chunk in memory, and none is read before the peer's connection took the last."""

    def __init__(self, path: Path, part: range, size: int, places: _Places) -> None:
        headers = {"content-length": str(len(part))}
        if len(part) < size:
            headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        super().__init__(None, 206 if len(part) < size else 200, headers, "application/octet-stream")
        self._path, self._part, self._places = path, part, places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._places.free:
            busy = _error(503, "busy", "this node gives copies to as many others as it may; ask again, or ask another")
            await busy(scope, receive, send)
            return
        self._places.free -= 1
        leaving = asyncio.create_task(_leaving(receive))
        try:
            with self._path.open("rb") as file:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await self._send(file, Request(scope), send, leaving)
        except TimeoutError:  # the host cuts the connection of an answer that ends too early
            log.warning("copy_stuck", file=self._path.name, after_s=self._places.limits.stuck_s)
        finally:
            leaving.cancel()
            self._places.free += 1

    async def _send(self, file: BinaryIO, request: Request, send: Send, leaving: "asyncio.Task[None]") -> None:
        at, now_s = self._part.start, asyncio.get_running_loop().time
        asked_s = now_s()
        while at < self._part.stop and not leaving.done():
            if now_s() - asked_s > self._places.limits.ask_again_s:
                if not self._places.may_copy(request):
                    return
                asked_s = now_s()
            chunk = await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK_BYTES, self._part.stop - at), at)
            if not chunk:
                log.error("copy_cut", file=self._path.name, reason="the file is shorter than its manifest says")
                return
            at += len(chunk)
            await self._hand_over(send, {"type": "http.response.body", "body": chunk, "more_body": True})
        if at >= self._part.stop:
            await self._hand_over(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _hand_over(self, send: Send, message: dict[str, object]) -> None:
        """Waits while the peer's connection is full of what it has not taken yet."""
        async with asyncio.timeout(self._places.limits.stuck_s):
            await send(message)


async def _leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
