"""What is announced, what an announcement is taken for, and that one which cannot be made harms nobody."""

import asyncio

import pytest

from cluster.announce import Announcement, announce, own_addresses, properties_of, reachable, speaks_for
from cluster.snapshot import NodeAddress

OURS, OTHERS = bytes(range(32)), bytes(32)
OWN = ("127.0.0.1", "::1", "192.168.1.10", "169.254.7.7", "fe80::1%eth0", "fd00::10")


def on_the_wire(properties: dict[str, str]) -> dict[bytes, bytes | None]:
    return {key.encode(): value.encode() for key, value in properties.items()}


def test_an_announcement_is_known_by_the_fingerprint_of_its_authority() -> None:
    heard = on_the_wire(properties_of(OURS))

    assert speaks_for(OURS, heard)
    assert not speaks_for(OTHERS, heard)


@pytest.mark.parametrize(
    "heard",
    [
        {},
        {b"v": b"1"},
        {b"v": b"1", b"fp": None},
        {b"v": b"1", b"fp": OURS},
        {b"fp": OURS.hex().encode()},
        {b"v": b"2", b"fp": OURS.hex().encode()},
    ],
)
def test_what_lacks_a_part_or_has_another_version_is_nobodys(heard: dict[bytes, bytes | None]) -> None:
    assert not speaks_for(OURS, heard)


def test_nothing_else_is_said() -> None:
    assert properties_of(OURS) == {"v": "1", "fp": OURS.hex()}


@pytest.mark.parametrize(
    ("bound", "announced"),
    [
        ("192.168.1.10", ("192.168.1.10",)),
        ("fd00::10", ("fd00::10",)),
        ("0.0.0.0", ("192.168.1.10", "169.254.7.7")),
        ("::", ("192.168.1.10", "169.254.7.7", "fd00::10")),
        ("127.0.0.1", ()),
        ("::1", ()),
    ],
)
def test_addresses_are_those_that_another_machine_can_use(bound: str, announced: tuple[str, ...]) -> None:
    assert reachable(bound, OWN) == announced


def test_this_machine_knows_its_loopback_address() -> None:
    assert "127.0.0.1" in own_addresses()


async def test_on_loopback_nothing_is_announced() -> None:
    async with asyncio.timeout(5):
        await announce(Announcement("home", OURS, NodeAddress("127.0.0.1", 8401)), asyncio.Event())


# The library leaves a socket to the garbage collector when it cannot be made.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_announcement_that_cannot_be_made_is_logged_and_over(capfd: pytest.CaptureFixture[str]) -> None:
    """192.0.2.1 is for documentation: no machine has it, so no socket can be bound to it."""
    async with asyncio.timeout(5):
        await announce(Announcement("home", OURS, NodeAddress("192.0.2.1", 8401)), asyncio.Event())

    assert "cannot_announce" in "".join(capfd.readouterr())
