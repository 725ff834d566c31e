"""This machine's gateway over HTTP, with the owner's key: one client, and what its answers and silences mean."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from cli.endpoint import NotRunningError, local_endpoint, refusal_of
from inventory.paths import StatePaths


@contextmanager
def local_client(paths: StatePaths, patience_s: float) -> Iterator[httpx2.Client]:
    """Paths are relative to the gateway's root. Raises NotRunningError, ExposedSecretError."""
    endpoint = local_endpoint(paths)
    headers = {"authorization": f"Bearer {endpoint.api_key}"}
    with httpx2.Client(
        base_url=f"{endpoint.root_url}/", headers=headers, timeout=patience_s, trust_env=False
    ) as client:  # fmt: skip
        yield client


def answer_to(client: httpx2.Client, paths: StatePaths, method: str, path: str, **more: object) -> bytes:
    """Raises GatewayRefusedError, NotRunningError."""
    try:
        answer = client.request(method, path, **more)  # type: ignore[arg-type]  # as its caller means them
    except httpx2.TransportError:
        raise NotRunningError(paths) from None
    if answer.status_code != 200:
        raise refusal_of(answer.status_code, answer.content)
    return answer.content
