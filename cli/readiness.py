"""Waiting until models answer: polls what the head published and what the gateway says, and explains a failure."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from cli.endpoint import Endpoint, NotRunningError, local_endpoint
from cli.machine import StartFailedError, tail_of
from cli.output import talk, waiting
from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.snapshot import ClusterSnapshot, ModelView
from inventory.paths import StatePaths
from nodes.role_lock import running

if TYPE_CHECKING:
    import httpx2

POLL_S = 0.1
USABLE = ("ready", "yielding", "asleep")  # a request gets an answer, if not at once


class NotReadyError(Exception):
    """Models failed for good or cannot be placed. The command prints the reasons and exits 1; potluck stays up."""

    def __init__(self, models: Sequence[ModelView]) -> None:
        reasons = "\n".join(f"  {model.name}: {model.state}: {model.reason}" for model in models)
        super().__init__(f"no model can be served; potluck runs on, so that you can look at it:\n{reasons}")
        self.models = tuple(models)


class StillStartingError(Exception):
    """The deadline passed. The command prints what is still starting and exits 7; potluck stays up."""

    def __init__(self, waited_s: float, models: Sequence[ModelView]) -> None:
        reasons = "; ".join(f"{model.name}: {model.reason}" for model in models) or "the services have not reported yet"
        super().__init__(f"not ready after {waited_s:.0f} s ({reasons}); it goes on starting, see `potluck status`")


def wait_until_ready(paths: StatePaths, deadline_s: float) -> Endpoint:
    """Returns once every model that has a place serves. Raises NotReadyError, StillStartingError, StartFailedError."""
    with waiting("starting"):
        return asyncio.run(_wait(paths, deadline_s))


async def _wait(paths: StatePaths, deadline_s: float) -> Endpoint:
    import httpx2

    end_s = monotonic() + deadline_s
    snapshot: ClusterSnapshot | None = None
    async with httpx2.AsyncClient(trust_env=False, timeout=5.0) as client:
        while monotonic() < end_s:
            if running(paths.run, "up") is None:
                log_file = paths.logs / "up.log"
                raise StartFailedError(log_file, tail_of(log_file))
            snapshot = await _snapshot(paths)
            if snapshot is not None and settled(snapshot):
                endpoint = await _serving(paths, client, with_models=bool(_wanted(snapshot)))
                if endpoint is not None:
                    _warn_of_unplaced(snapshot)
                    return endpoint
            await asyncio.sleep(POLL_S)
    raise StillStartingError(
        deadline_s, [model for model in snapshot.models if model.state not in USABLE] if snapshot else []
    )


async def _snapshot(paths: StatePaths) -> ClusterSnapshot | None:
    try:
        return await AdminClient(paths.head_socket).snapshot()
    except HeadUnreachableError:
        return None
    except AdminRefusedError as error:
        if error.code != "starting":
            raise
        return None


def settled(snapshot: ClusterSnapshot) -> bool:
    """Nothing is starting any more, and something serves. Raises NotReadyError when nothing ever will."""
    if not any(node.snapshot for node in snapshot.nodes) or any(model.state == "starting" for model in snapshot.models):
        return False
    wanted = _wanted(snapshot)
    if wanted and not any(model.state in USABLE for model in wanted):
        raise NotReadyError(wanted)
    return True


def _wanted(snapshot: ClusterSnapshot) -> list[ModelView]:
    """All that nobody has unloaded."""
    return [model for model in snapshot.models if not model.away]


def _warn_of_unplaced(snapshot: ClusterSnapshot) -> None:
    for model in snapshot.models:
        if model.state not in USABLE:
            talk(f"! {model.name}: {model.state}: {model.reason}")


async def _serving(paths: StatePaths, client: "httpx2.AsyncClient", with_models: bool) -> Endpoint | None:
    """The endpoint, once the gateway has seen what the head published and accepts the owner's key.

    Without models it is never ready for requests, and there is nothing to wait for.
    """
    import httpx2

    try:
        endpoint = local_endpoint(paths)
        headers = {"authorization": f"Bearer {endpoint.api_key}"}
        response = await client.get(f"{endpoint.base_url}/models", headers=headers)
        ready = await client.get(f"{endpoint.root_url}/readyz")
    except (NotRunningError, httpx2.HTTPError):
        return None
    return endpoint if response.status_code == 200 and (ready.status_code == 200 or not with_models) else None
