"""By which names the gateway may be called."""

import socket

import pytest

from router.host_names import KNOWN_LIMIT, HostNames


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8400", "LocalHost", "chat.localhost", "127.0.0.1:1", "[::1]", "[fe80::1]:8400", "10.0.0.7",
     "host.docker.internal", "localhost.", socket.gethostname(), f"{socket.gethostname()}.lan:8443"],
)  # fmt: skip
def test_this_machine_and_any_address_is_meant(host: str) -> None:
    assert HostNames().allows(host.encode())


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost:80@evil", "[::1", "x y",
     "localhost:1:2"],
)  # fmt: skip
def test_no_other_name_is(host: str) -> None:
    assert not HostNames().allows(host.encode())


def test_the_operator_adds_names() -> None:
    names = HostNames(["ai.School.example", "*.home.arpa"])

    assert names.allows(b"AI.school.example:443")
    assert names.allows(b"chat.home.arpa")
    assert not names.allows(b"home.arpa")


def test_what_it_remembers_is_bounded() -> None:
    names = HostNames()
    for number in range(2 * KNOWN_LIMIT):
        assert names.allows(f"localhost:{number}".encode())
    assert len(names._known) == KNOWN_LIMIT
