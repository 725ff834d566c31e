import asyncio
import socket
from dataclasses import dataclass, field

import pytest

from nodes.relay.contract import Address, Failure, Headers, Limits
from nodes.relay.exchange import Exchange
from nodes.relay.pool import EndpointPool
from nodes.relay.pools import Pools
from nodes.relay.sweeper import Sweeper
from support.upstream import DONE, LAST_CHUNK, STREAM_HEAD, Asked, framed, scripted_upstream, token_event, whole

REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}"


@dataclass
class Heard:
    """A listener that remembers, and an event for the end."""

    events: bytes = b""
    answer: tuple[int, bytes] | None = None
    ended: bool = False
    failure: Failure | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        self.answer = (status, body)
        self.over.set()

    def on_events(self, events: bytes) -> None:
        self.events += events
        self.first.set()

    def on_stream_end(self, held: bytes) -> None:
        self.ended = True
        self.over.set()

    def on_failure(self, failure: Failure) -> None:
        self.failure = failure
        self.over.set()

    async def wait(self) -> "Heard":
        async with asyncio.timeout(5):
            await self.over.wait()
        return self


def start(pool: EndpointPool) -> tuple[Exchange, Heard]:
    heard = Heard()
    exchange = Exchange(pool, REQUEST, heard)
    exchange.start()
    return exchange, heard


@pytest.fixture
async def pools() -> "Pools":
    return Pools(Sweeper(0.02))


async def test_a_connection_is_reused_and_sends_small_writes_at_once(pools: Pools) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(b"{}"))

    async with scripted_upstream(script) as upstream:
        pool = pools.at(upstream.address, Limits())
        for _ in range(3):
            assert (await start(pool)[1].wait()).answer == (200, b"{}")

        assert upstream.connections == 1
        connection = pool._idle[0]
        assert connection.transport is not None
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        pools.close()


async def test_a_stream_ends_whole_with_its_events(pools: Pools) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for byte in framed(token_event("a")) + framed(DONE) + LAST_CHUNK:
            writer.write(bytes([byte]))
            await writer.drain()

    async with scripted_upstream(script) as upstream:
        _, heard = start(pools.at(upstream.address, Limits()))

        assert (await heard.wait()).ended
        assert heard.events == token_event("a") + DONE
        pools.close()


async def test_an_answer_without_a_length_ends_with_its_connection(pools: Pools) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + token_event("a") + DONE)
        writer.close()

    async with scripted_upstream(script) as upstream:
        _, heard = start(pools.at(upstream.address, Limits()))

        assert (await heard.wait()).ended
        assert heard.events == token_event("a") + DONE
        pools.close()


async def test_a_stale_connection_that_dies_before_any_byte_is_retried_on_a_fresh_one(pools: Pools) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(upstream.asked) == 2:  # the second request comes on the kept connection
            writer.close()
        else:
            writer.write(whole(b"{}"))

    async with scripted_upstream(script) as upstream:
        pool = pools.at(upstream.address, Limits())
        await start(pool)[1].wait()

        assert (await start(pool)[1].wait()).answer == (200, b"{}")
        assert (len(upstream.asked), upstream.connections) == (3, 2)
        pools.close()


async def test_a_fresh_connection_that_dies_is_a_failure_that_has_not_begun(pools: Pools) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with scripted_upstream(script) as upstream:
        _, heard = start(pools.at(upstream.address, Limits()))

        failure = (await heard.wait()).failure
        assert failure is not None
        assert (failure.kind, failure.began, upstream.connections) == ("died", False, 1)
        pools.close()


async def test_a_stream_cut_in_an_event_fails_after_the_whole_events(pools: Pools) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(token_event("a")) + framed(token_event("b")[:10]))
        writer.close()

    async with scripted_upstream(script) as upstream:
        _, heard = start(pools.at(upstream.address, Limits()))

        failure = (await heard.wait()).failure
        assert failure is not None
        assert (failure.kind, failure.began) == ("died", True)
        assert heard.events == token_event("a")
        pools.close()


async def test_nobody_listening_is_a_connect_failure(pools: Pools) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = Address(*unused.getsockname())
    _, heard = start(pools.at(address, Limits()))

    failure = (await heard.wait()).failure
    assert failure is not None
    assert failure.kind == "connect"
    pools.close()


@pytest.mark.parametrize(("sent", "kind"), [(b"", "first_byte_timeout"), (STREAM_HEAD, "stall")])
async def test_a_silent_engine_is_given_up_by_the_sweeper(pools: Pools, sent: bytes, kind: str) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await asyncio.Event().wait()

    async with scripted_upstream(script) as upstream:
        exchange, heard = start(pools.at(upstream.address, Limits(first_byte_s=0.05, stall_s=0.05)))
        sweeper = Sweeper(0.02)
        sweeper.watch(exchange)

        failure = (await heard.wait()).failure
        assert failure is not None
        assert failure.kind == kind
        await upstream.until(lambda engine: engine.open_now == 0)
        sweeper.close()
        pools.close()


async def test_cancelling_closes_the_connection_and_says_nothing(pools: Pools) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(token_event("a")))
        await asyncio.Event().wait()

    async with scripted_upstream(script) as upstream:
        pool = pools.at(upstream.address, Limits())
        exchange, heard = start(pool)
        await heard.first.wait()
        exchange.cancel()

        await upstream.until(lambda engine: engine.open_now == 0)
        assert not heard.over.is_set()
        assert pool.idle_connections == 0
        pools.close()


async def test_an_engine_that_speaks_out_of_turn_loses_its_connection(pools: Pools) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(b"{}") + whole(b"{}"))

    async with scripted_upstream(script) as upstream:
        pool = pools.at(upstream.address, Limits())
        assert (await start(pool)[1].wait()).answer == (200, b"{}")

        assert (await start(pool)[1].wait()).answer == (200, b"{}")
        pools.close()


async def test_an_answer_above_its_bound_is_a_failure(pools: Pools) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(b"x" * 2000))

    async with scripted_upstream(script) as upstream:
        _, heard = start(pools.at(upstream.address, Limits(answer_bytes=1000)))

        failure = (await heard.wait()).failure
        assert failure is not None
        assert failure.kind == "too_large"
        pools.close()


async def test_idle_connections_are_closed_after_their_time_and_kept_within_their_number() -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(b"{}"))

    pools = Pools(Sweeper(0.02))
    async with scripted_upstream(script) as upstream:
        pool = pools.at(upstream.address, Limits(idle_s=0.05, keep_connections=2))
        await asyncio.gather(*(start(pool)[1].wait() for _ in range(5)))

        await upstream.until(lambda engine: engine.open_now <= 2)
        await upstream.until(lambda engine: engine.open_now == 0)
        pools.close()
