"""Every endpoint pool of one process, the dials under way, and the sweeper that ages them."""

import asyncio

from nodes.relay.contract import Address, Credentials, Limits
from nodes.relay.pool import EndpointPool
from nodes.relay.sweeper import Sweeper


class Pools:
    """Owns all connections to engines. `close` leaves none."""

    def __init__(self, sweeper: Sweeper, credentials: Credentials | None = None) -> None:
        """Without `credentials` only engines on loopback can be reached."""
        self._sweeper, self._credentials = sweeper, credentials
        self._pools: dict[Address, EndpointPool] = {}
        self._dials: set[asyncio.Task[None]] = set()
        sweeper.watch(self)

    def at(self, address: Address, limits: Limits) -> EndpointPool:
        """The pool of an address. Changed limits hold from now on."""
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = EndpointPool(address, limits, self._own, self._credentials)
        pool.limits = limits
        return pool

    def keep_only(self, addresses: frozenset[Address]) -> None:
        """Retire the pools of endpoints that no snapshot names any more."""
        for address in self._pools.keys() - addresses:
            self._pools.pop(address).retire()

    def drop_denied(self) -> None:
        """Cut connections to machines that are no longer accepted, answers under way included."""
        for pool in self._pools.values():
            pool.drop_denied()

    def sweep(self, now_s: float) -> None:
        for pool in self._pools.values():
            pool.sweep(now_s)

    def close(self) -> None:
        self._sweeper.forget(self)
        for dial in self._dials:
            dial.cancel()
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def _own(self, dial: asyncio.Task[None]) -> None:
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)
