"""A machine's part in the cluster's Ray: what the head ordered, kept across restarts, and the raylet that follows."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from inventory.clock import Clock
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.api_wire import RayOrder, RayStanding
from nodes.ray_process import RayProcess, RayRun, RayUnfitError, lease_file, reap
from nodes.ray_versions import Versions, versions_here, why_apart

RayletPlan = Callable[[RayOrder], RayRun]
"""The raylet that an order asks for on this machine. Raises RayUnfitError, OSError."""

log = structlog.get_logger("potluck.node.ray")


class RayMember:
    """`run` owns the raylet; `follow` is called by the node API."""

    def __init__(self, paths: StatePaths, raylet: RayletPlan, clock: Clock) -> None:
        self._paths, self._raylet, self._clock = paths, raylet, clock
        self._order = read_order(paths)

    def follow(self, order: RayOrder | None) -> RayStanding:
        """Take part from now on as ordered, or no longer. Raises OSError."""
        standing = standing_of(order, versions_here())
        wanted = order if standing.takes_part else None
        if wanted == self._order:
            return standing
        if wanted is None:
            _order_file(self._paths).unlink(missing_ok=True)
        else:
            write_secret(self._paths.ray_token, wanted.token)
            write_secret(_order_file(self._paths), msgspec.json.encode(wanted).decode())
        self._order = wanted
        log.info("ray_order", takes_part=standing.takes_part, reason=standing.reason)
        return standing

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, which ends the raylet. When cancelled it stays, for the next daemon to adopt."""
        if not standing_of(self._order, versions_here()).takes_part:
            self._order = None
            reap(lease_file(self._paths, "raylet"))  # left by a daemon that took part
        await RayProcess(self._wanted, self._clock).run(stop)

    def _wanted(self) -> RayRun | None:
        return self._raylet(self._order) if self._order is not None else None


def no_raylet(_order: RayOrder) -> RayRun:
    """The plan of a daemon that was composed without Ray."""
    raise RayUnfitError("this daemon was made without Ray")


def standing_of(order: RayOrder | None, here: Versions) -> RayStanding:
    """Whether a machine with these versions can do as ordered."""
    if order is None:
        return RayStanding(False, "the head has ordered none")
    reason = why_apart(here, Versions(order.python, order.ray))
    return RayStanding(not reason, reason)


def read_order(paths: StatePaths) -> RayOrder | None:
    """What this machine was ordered last."""
    try:
        return msgspec.json.decode(_order_file(paths).read_bytes(), type=RayOrder)
    except (OSError, msgspec.MsgspecError):
        return None


def _order_file(paths: StatePaths) -> Path:
    return paths.secrets / "ray-order.json"
