"""The cluster as the gateway of this machine sees it, with its figures of the last minute; else as the head does."""

from typing import TYPE_CHECKING, NamedTuple

from cli.endpoint import NotRunningError, away, local_endpoint, refusal_of
from cluster.admin_client import AdminClient, HeadUnreachableError
from inventory.paths import StatePaths

if TYPE_CHECKING:
    import httpx2

    from router.dashboard.state import State

PATH = "/api/v1/state"


class Seen(NamedTuple):
    """`figures`: whether requests were counted, which only a gateway can do."""

    state: "State"
    figures: bool


async def seen(paths: StatePaths, client: "httpx2.AsyncClient") -> Seen:
    """Raises NotRunningError, HeadAwayError, AdminRefusedError, GatewayRefusedError, ExposedSecretError."""
    return await _by_gateway(paths, client) or await _by_head(paths)


async def _by_gateway(paths: StatePaths, client: "httpx2.AsyncClient") -> Seen | None:
    import httpx2
    import msgspec

    from router.dashboard.state import State

    try:
        endpoint = local_endpoint(paths)
        headers = {"authorization": f"Bearer {endpoint.api_key}"}
        answer = await client.get(f"{endpoint.root_url}{PATH}", headers=headers)
    except (NotRunningError, httpx2.TransportError):
        return None
    if answer.status_code == 503:  # it has not heard from the head yet
        return None
    if answer.status_code != 200:
        raise refusal_of(answer.status_code, answer.content)
    return Seen(msgspec.json.decode(answer.content, type=State), figures=True)


async def _by_head(paths: StatePaths) -> Seen:
    from router.dashboard.live import Live
    from router.dashboard.state import state_of

    try:
        snapshot = await AdminClient(paths.head_socket).snapshot()
    except HeadUnreachableError as error:
        raise away(paths, error.reason) from None
    nothing = Live(0, 0, 0.0, 0.0, 0.0, {}, {})
    return Seen(state_of(snapshot, None, "", nothing, ()), figures=False)
