"""The gateway's parts that calls and warm-ups share, as the composition root joined them."""

from collections.abc import Callable
from dataclasses import dataclass

from inventory.clock import Clock
from nodes.relay.sweeper import Sweeper
from router.decision import RoutingTable
from router.health import EngineHealth
from router.ids import RequestIds
from router.log import EventLog
from router.metrics import GatewayMetrics
from router.settings import GatewaySettings
from router.upstreams import Upstreams
from router.witness import GatewayWitness


@dataclass(frozen=True, slots=True)
class CallParts:
    settings: GatewaySettings
    clock: Clock
    log: EventLog
    sweeper: Sweeper
    upstreams: Upstreams
    health: EngineHealth
    metrics: GatewayMetrics
    table: Callable[[], RoutingTable]  # of the last snapshot
    salt_of: Callable[[str], bytes]  # of a tenant: keeps its prompts' caches apart in engines that can
    several_tenants: Callable[[], bool]
    ids: RequestIds
    witness: GatewayWitness
