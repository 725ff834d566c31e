import asyncio
from collections.abc import AsyncIterator

from cluster.publication import Publication, decode_line, encode_line
from cluster.publisher import Publisher
from cluster.snapshot import SCHEMA_VERSION, AccessSnapshot, ClusterSnapshot

CLUSTER = ClusterSnapshot(SCHEMA_VERSION, "home", 3, 0, 1, 0.0, (), (), (("gpt", "m"),))
ACCESS = AccessSnapshot(SCHEMA_VERSION, 3, 0, "/pepper", ())


async def next_of(feed: AsyncIterator[Publication]) -> Publication:
    async with asyncio.timeout(5):
        return await anext(feed)


async def test_a_subscriber_gets_the_latest_at_once_and_access_first() -> None:
    publisher = Publisher()
    publisher.publish_cluster(CLUSTER)
    publisher.publish_access(ACCESS)
    publisher.publish_cluster(CLUSTER)
    feed = publisher.subscribe()

    first, second = await next_of(feed), await next_of(feed)

    assert first.access is not None and first.access.sequence == 1
    assert second.cluster is not None and second.cluster.sequence == 2


async def test_a_subscriber_that_waits_gets_each_change_with_a_growing_sequence() -> None:
    publisher = Publisher()
    feed = publisher.subscribe()
    seen: list[int] = []
    for _ in range(3):
        waiting = asyncio.ensure_future(next_of(feed))
        await asyncio.sleep(0)
        publisher.publish_cluster(CLUSTER)
        publication = await waiting
        assert publication.cluster is not None
        seen.append(publication.cluster.sequence)

    assert seen == [1, 2, 3]


async def test_silence_is_filled_with_heartbeats() -> None:
    feed = Publisher(heartbeat_s=0.01).subscribe()

    assert await next_of(feed) == Publication()
    assert await next_of(feed) == Publication()


async def test_closing_ends_every_feed() -> None:
    publisher = Publisher()
    waiting = [asyncio.ensure_future(_all(publisher)) for _ in range(3)]
    await asyncio.sleep(0)

    publisher.close()

    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == [[], [], []]


def test_a_line_is_read_back_as_it_was_written() -> None:
    for publication in (Publication(), Publication(cluster=CLUSTER), Publication(access=ACCESS)):
        line = encode_line(publication)
        assert line.endswith(b"\n") and line.count(b"\n") == 1
        assert decode_line(line) == publication


async def _all(publisher: Publisher) -> list[Publication]:
    return [publication async for publication in publisher.subscribe()]
