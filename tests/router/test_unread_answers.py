"""Answers that no engine makes, and a client that reads none of them."""

import asyncio
import socket
from pathlib import Path

import pytest

from nodes.relay.contract import Address
from support.gateway import KEY, running_gateway

LIST = f"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\r\n".encode()


async def narrow(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that holds as little as it can, so that answers pile up at the gateway."""
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(client, (address.host, address.port))
    return await asyncio.open_connection(sock=client, limit=1024)


async def until_cut(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(20):
        with pytest.raises(ConnectionError):
            while True:
                writer.write(b"x")  # nothing tells of a reset connection that is not read from, but writing to it
                await writer.drain()
                await asyncio.sleep(0.02)


async def test_a_reader_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [], slow_reader_s=0.3) as running:
        _, writer = await narrow(running.address)
        writer.write(LIST * 8)
        await until_cut(writer)


async def test_requests_that_are_sent_on_and_on_are_not_kept(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        _, writer = await narrow(running.address)
        writer.write(LIST * 200)
        await until_cut(writer)
