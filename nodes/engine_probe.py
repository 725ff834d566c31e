"""Ask one engine over loopback: has it started, is it ready, how busy is it? Control plane only, never a request."""

import contextlib
from pathlib import Path

import httpx2
import msgspec

from inventory.secret_files import ExposedSecretError, read_secret
from nodes.engines.base import EngineAdapter
from nodes.process_identity import listens
from nodes.snapshot import EngineEndpoint, EngineLoad

TIMEOUT_S = 5.0


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


class EngineProbe:
    """One generation of one engine. Every answer but the expected one means "no": nothing is raised."""

    def __init__(self, adapter: EngineAdapter, endpoint: EngineEndpoint, served_name: str, pid: int) -> None:
        self._adapter, self._endpoint = adapter, endpoint
        self._served_name, self._pid = served_name, pid
        self._client = httpx2.AsyncClient(
            base_url=f"http://{endpoint.host}:{endpoint.port}", timeout=TIMEOUT_S, trust_env=False
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def started(self) -> bool:
        """Its health endpoint says so. Carries no secret: another program may hold the port."""
        return await self._get(self._adapter.paths.health, {}) is not None

    async def ready(self) -> bool:
        """Our process holds the port, takes our secret, and serves our model."""
        if listens(self._pid, self._endpoint.port) is False:
            return False
        text = await self._get(self._adapter.paths.models, authorization(self._endpoint))
        try:
            models = msgspec.json.decode(text or b"", type=_Models)
        except msgspec.MsgspecError:
            return False
        return any(model.id == self._served_name for model in models.data)

    async def observe(self) -> EngineLoad | None:
        """Its own figures; an empty load from a kind that has none, None when it does not answer."""
        paths = self._adapter.paths
        text = await self._get(paths.metrics or paths.health, authorization(self._endpoint))
        if text is None:
            return None
        return self._adapter.parse_load(text.decode(errors="replace")) if paths.metrics else EngineLoad()

    async def trim(self) -> None:
        """Ask it to give back what it keeps for later requests. One that does not answer has other worries."""
        path = self._adapter.paths.trim
        if path is not None:
            with contextlib.suppress(httpx2.HTTPError):
                await self._client.post(path, headers=authorization(self._endpoint))

    async def _get(self, path: str, headers: dict[str, str]) -> bytes | None:
        try:
            answer = await self._client.get(path, headers=headers)
        except httpx2.HTTPError:
            return None
        return answer.content if answer.status_code == httpx2.codes.OK else None


def authorization(endpoint: EngineEndpoint) -> dict[str, str]:
    """The header that proves who asks; none where its secret cannot be read, which the engine will answer."""
    if endpoint.secret_file is None:
        return {}
    try:
        return {"authorization": f"Bearer {read_secret(Path(endpoint.secret_file))}"}
    except (OSError, ExposedSecretError):
        return {}
