"""Asks the running gateway of this machine for a decision without a request."""

from typing import TYPE_CHECKING

from cli.endpoint import NotRunningError, local_endpoint, refusal_of
from inventory.paths import StatePaths

if TYPE_CHECKING:
    from router.explain import Explanation
    from router.route_wire import RouteQuestion


class GatewayElsewhereError(Exception):
    """No gateway runs here. The command prints this and exits 6."""

    def __init__(self, paths: StatePaths) -> None:
        super().__init__(
            f"no gateway runs in {paths.root}: what one would decide now, only itself can say. Ask on the machine of "
            "the gateway, or start one with `potluck up`"
        )
        self.paths = paths


def dry_run_of(paths: StatePaths, question: "RouteQuestion") -> "Explanation":
    """Raises GatewayElsewhereError, GatewayRefusedError, ExposedSecretError."""
    import httpx2
    import msgspec

    from router.explain import Explanation

    try:
        endpoint = local_endpoint(paths)
    except NotRunningError:
        raise GatewayElsewhereError(paths) from None
    headers = {"authorization": f"Bearer {endpoint.api_key}", "content-type": "application/json"}
    try:
        answer = httpx2.post(
            f"{endpoint.root_url}/api/v1/route/explain",
            content=msgspec.json.encode(question),
            headers=headers,
            timeout=10.0,
            trust_env=False,
        )
    except httpx2.TransportError:
        raise GatewayElsewhereError(paths) from None
    if answer.status_code == 200:
        return msgspec.json.decode(answer.content, type=Explanation)
    raise refusal_of(answer.status_code, answer.content)
