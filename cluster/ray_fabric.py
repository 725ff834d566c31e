"""Ray itself: the only module that imports it. One driver, an agent on every node, and tasks pinned to nodes."""

import asyncio
from concurrent.futures import Future
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayError

from cluster.jobs import perform
from cluster.ray_bridge import FabricNode, NodeAwayError
from cluster.ray_settings import node_resource
from nodes.api_wire import PREFIX
from nodes.ray_agent import NodeAgent, Reply

NAMESPACE = "potluck"
CALL_TIMEOUT_S = 4.0
WELCOME_TIMEOUT_S = 30.0  # an agent that is made starts a Python process
A_LITTLE = 0.001  # of the resource that only one node has: enough to be placed there

Answer = TypeVar("Answer")


class RayFabric:
    """Implements cluster.ray_bridge.Fabric. Its process ends with the cluster: that is what Ray's drivers do."""

    def __init__(self) -> None:
        self._home = ray.get_runtime_context().get_node_id()  # the raylet of this machine, which takes our tasks
        self._agents: dict[str, Any] = {}  # Ray's actor handles have no type of their own

    @classmethod
    def connect(cls, host: str, port: int) -> "RayFabric":
        """Blocks. The process must have its environment (ray_settings.driver_environment) by then."""
        ray.init(
            address=f"{host}:{port}",
            namespace=NAMESPACE,
            _node_ip_address=host,
            log_to_driver=False,
            configure_logging=False,
        )
        return cls()

    async def nodes(self) -> tuple[FabricNode, ...]:
        alive = [entry for entry in await asyncio.to_thread(ray.nodes) if entry["Alive"]]
        if all(entry["NodeID"] != self._home for entry in alive):
            # A head that was started again has another raylet here. Calls would go on, tasks would wait for ever.
            raise ConnectionError("the raylet of this driver is gone")
        return tuple(_node(entry) for entry in alive)

    async def welcome(self, node: str) -> None:
        await self._call(node, ("GET", f"{PREFIX}/protocol", b""), WELCOME_TIMEOUT_S)

    async def call(self, node: str, method: str, path: str, body: bytes) -> Reply:
        return await self._call(node, (method, path, body), CALL_TIMEOUT_S)

    async def _call(self, node: str, request: tuple[str, str, bytes], timeout_s: float) -> Reply:
        try:
            agent = self._agents.get(node)
            if agent is None:
                agent = self._agents[node] = await asyncio.to_thread(_agent_of, node)
            reply: Reply = await _result(agent.call.remote(*request), timeout_s)
        except RayActorError as error:
            self._agents.pop(node, None)
            raise NodeAwayError(node, f"its agent is gone: {_first_line(error)}") from error
        except RayError as error:
            raise NodeAwayError(node, _first_line(error)) from error
        except TimeoutError:
            raise NodeAwayError(node, f"its agent did not answer within {timeout_s:g} s") from None
        return reply

    async def run(self, node: str, kind: str, argument: bytes) -> bytes:
        task = ray.remote(perform).options(num_cpus=0, max_retries=1, resources={node_resource(node): A_LITTLE})
        reference = task.remote(kind, argument)
        try:
            answer: bytes = await _result(reference, None)
        except RayError as error:
            raise NodeAwayError(node, _first_line(error)) from error
        except asyncio.CancelledError:
            ray.cancel(reference)  # nobody waits for it any more
            raise
        return answer


def _agent_of(node: str) -> Any:
    """The node's agent, made if there is none. It outlives this driver and comes back with its node."""
    options: dict[str, Any] = {
        "name": f"agent-{node}",
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "num_cpus": 0,
        "resources": {node_resource(node): A_LITTLE},
        "max_restarts": -1,
        "max_concurrency": 16,
    }
    return ray.remote(NodeAgent).options(**options).remote()


async def _result(reference: Any, timeout_s: float | None) -> Any:
    future: Future[Any] = reference.future()
    return await asyncio.wait_for(asyncio.wrap_future(future), timeout_s)


def _node(entry: dict[str, Any]) -> FabricNode:
    resources = tuple(sorted((str(name), float(amount)) for name, amount in entry["Resources"].items()))
    return FabricNode(str(entry["NodeManagerAddress"]), resources)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
