"""The agent that Ray runs on every node: it hands calls of the node API to that node's daemon, and answers as it did.

It knows nothing of what the calls mean, so the two ends of a link settle their versions between themselves.
"""

import httpx2

from inventory.paths import StatePaths
from nodes.api_wire import PREFIX
from nodes.unix_server import unix_client

TIMEOUT_S = 5.0

Reply = tuple[int, bytes]
"""Status and body. A plain tuple: it crosses between processes that may not run the same version."""


class NodeAgent:
    """Made an actor by cluster.ray_fabric, one on each node, pinned to it.

    It finds the daemon by POTLUCK_STATE_DIR, which the daemon put into the environment of its raylet.
    """

    def __init__(self) -> None:
        self._socket = StatePaths.at().node_socket

    async def call(self, method: str, path: str, body: bytes) -> Reply:
        """`path` as in /node/v1/observe. Status 502 when the daemon does not answer; the body then says why."""
        if not path.startswith(PREFIX + "/"):
            return 404, f"{path} is not of the node API".encode()
        try:
            async with unix_client(self._socket, TIMEOUT_S) as client:
                answer = await client.request(method, path, content=body)
        except httpx2.HTTPError as error:
            return 502, f"no node daemon answers at {self._socket}: {error or type(error).__name__}".encode()
        return answer.status_code, answer.content
