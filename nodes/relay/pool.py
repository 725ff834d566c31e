"""Keep-alive connections to engines: last used is first reused, bounded in number and idle time."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from inventory.secret_files import ExposedSecretError
from nodes.peer import NotAPeerError, peer_host, peer_of
from nodes.relay.contract import Address, Credentials, Limits
from nodes.relay.upstream import UpstreamConnection

DIALS_AT_ONCE = 4


class Taker(Protocol):
    """Who waits for a connection."""

    def on_connection(self, connection: UpstreamConnection) -> None: ...

    def on_no_connection(self, detail: str) -> None: ...


class EndpointPool:
    """Connections to one address. An engine that serves each connection with a thread bounds how many may be kept."""

    def __init__(
        self,
        address: Address,
        limits: Limits,
        on_dial: Callable[[asyncio.Task[None]], None],
        credentials: Credentials | None = None,
    ) -> None:
        self.address, self.limits = address, limits
        self._credentials = credentials
        self._on_dial = on_dial
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._loop = asyncio.get_running_loop()
        self._retired = False
        self._dials = asyncio.Semaphore(DIALS_AT_ONCE)

    @property
    def open_connections(self) -> int:
        return len(self._open)

    @property
    def idle_connections(self) -> int:
        return len(self._idle)

    def take(self, taker: Taker, fresh: bool = False) -> asyncio.Task[None] | None:
        """Hand the taker an idle connection now, or dial in a task and return it, so that it can be cancelled."""
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.usable:
                taker.on_connection(connection)
                return None
        task = self._loop.create_task(self._dial(taker))
        self._on_dial(task)
        return task

    async def _dial(self, taker: Taker) -> None:
        try:
            connection = await self._connect()
        except TimeoutError:
            limit_s = self.limits.connect_s
            taker.on_no_connection(f"no answer from {self.address.host}:{self.address.port} within {limit_s:g} s")
            return
        except (OSError, ExposedSecretError, NotAPeerError) as error:
            taker.on_no_connection(getattr(error, "strerror", None) or str(error))
            return
        if not connection.usable:
            taker.on_no_connection("closed as soon as it was open")
            return
        taker.on_connection(connection)

    async def _connect(self) -> UpstreamConnection:
        """A few dials at once: a crowd overflows the listen queue of an engine (cpp-httplib's holds 5), and what is
        dropped there is tried again by the kernel after a second. So a timeout is final only for an engine that holds
        no other connection of ours."""
        for last in (False, False, True):
            try:
                async with self._dials, asyncio.timeout(self.limits.connect_s):
                    connection = await self._open_one()
            except TimeoutError:
                if last or not self._open:
                    raise
            else:
                if connection.usable:
                    self._open.add(connection)
                return connection
        raise AssertionError("the last attempt returns or raises")

    async def _open_one(self) -> UpstreamConnection:
        address, node = self.address, self.address.node
        if node is None:
            _, connection = await self._loop.create_connection(self._new, address.host, address.port)
            return connection
        if self._credentials is None:
            raise NotAPeerError("this process has no identity to show to other machines")
        _, connection = await self._loop.create_connection(
            self._new,
            address.host,
            address.port,
            ssl=self._credentials.context(),
            server_hostname=peer_host("node", node),
        )
        if self._denied(connection):
            connection.close()
            raise NotAPeerError(f"the certificate of node {node} is revoked")
        return connection

    def _new(self) -> UpstreamConnection:
        return UpstreamConnection(self._free, self._gone)

    def drop_denied(self) -> None:
        if self.address.node is not None:
            for connection in [one for one in self._open if self._denied(one)]:
                connection.cut("the certificate of its node is revoked")

    def _denied(self, connection: UpstreamConnection) -> bool:
        assert self._credentials is not None
        transport = connection.transport
        certificate = transport.get_extra_info("peercert") if transport is not None else None
        return certificate is not None and self._credentials.denies(peer_of(certificate).serial)

    def _free(self, connection: UpstreamConnection) -> None:
        if self._retired or len(self._open) > self.limits.keep_connections:
            connection.close()
            return
        connection.idle_since_s = self._loop.time()
        self._idle.append(connection)

    def _gone(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def sweep(self, now_s: float) -> None:
        """Close what has been idle too long. The list is in order of use, so the oldest come first."""
        keep = 0
        while keep < len(self._idle) and now_s - self._idle[keep].idle_since_s > self.limits.idle_s:
            keep += 1
        for connection in self._idle[:keep]:
            connection.close()
        del self._idle[:keep]

    def retire(self) -> None:
        """Its engine is gone or has moved: close what is idle now, and the rest as their answers end."""
        self._retired = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def close(self) -> None:
        self.retire()
        for connection in tuple(self._open):
            connection.close()
