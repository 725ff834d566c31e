"""Real machines that are network namespaces: a head that announces itself, and machines that join without HOST:PORT."""

import secrets
import sys
from collections.abc import Iterator
from time import time

import pytest

from cluster.join_token import JoinToken, parse_token
from support.fleet import Fleet, Member
from support.hosts import Lan, a_lan
from support.machine import eventually

pytestmark = pytest.mark.e2e
CONFIG = """
version: 1
cluster: {{name: home, listen: {address}}}
ray: {{enabled: false}}
"""
ANNOUNCED = CONFIG + "join: {{announce: true}}\n"
# Claims a head at an address where there is none.
IMPOSTOR = """
import asyncio, sys
from cluster.announce import Announcement, announce
from cluster.snapshot import NodeAddress
claim = Announcement("home", bytes.fromhex(sys.argv[1]), NodeAddress(sys.argv[2], 8401))
asyncio.run(announce(claim, asyncio.Event()))
"""


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with a_lan() as lan:
        yield lan


@pytest.fixture(scope="module")
def fleet(lan: Lan) -> Fleet:
    fleet = Fleet(lan, ANNOUNCED, ("server", "one", "two"))
    fleet.start_head()
    eventually(lambda: '"announced"' in fleet.head.logs(), 60, "the head announces itself")
    return fleet


def token_for(fleet: Fleet, name: str) -> str:
    return fleet.head.potluck("token", "create", "--node", name).stdout.split()[-1]


def is_ready(fleet: Fleet, name: str) -> bool:
    return fleet.node_states().get(name) == "ready"


def join_by_token(member: Member, token: str, expect: int = 0) -> tuple[str, str]:
    done = member.potluck("join", "--token", token, "--detach", expect=expect)
    return done.stdout, done.stderr


def test_a_machine_finds_the_head_that_its_token_names(fleet: Fleet) -> None:
    said, _ = join_by_token(fleet.members["one"], token_for(fleet, "one"))

    assert f"{fleet.head.host.address}:8401 answers" in said
    eventually(lambda: is_ready(fleet, "one"), 60, "one is ready")


def test_a_token_of_another_cluster_finds_nothing_and_says_what_to_do(lan: Lan, fleet: Fleet) -> None:
    stranger = Member(lan.host("stranger"))
    token = JoinToken(secrets.token_hex(8), secrets.token_bytes(32), secrets.token_bytes(32), int(time()) + 600)

    _, why = join_by_token(stranger, token.text(), expect=6)

    assert "announcements of other clusters: 1" in why
    assert "paste HOST:PORT as the head printed it" in why


def test_a_false_announcement_beside_the_true_one_changes_nothing(lan: Lan, fleet: Fleet) -> None:
    """The fingerprint is no secret: anybody may claim it."""
    token, impostor = token_for(fleet, "two"), lan.host("impostor")
    claim, log = parse_token(token).fingerprint.hex(), impostor.root / "claim.log"
    with log.open("wb") as output:
        impostor.start(sys.executable, "-c", IMPOSTOR, claim, impostor.address, output=output)
    eventually(lambda: "announced" in log.read_text(), 60, "the claim is made")

    said, _ = join_by_token(fleet.members["two"], token)

    assert f"{fleet.head.host.address}:8401 answers" in said
    eventually(lambda: is_ready(fleet, "two"), 60, "two is ready")


def test_a_head_that_was_not_told_to_announce_is_found_by_its_address_only(lan: Lan, fleet: Fleet) -> None:
    silent, late, head = fleet.head.host.root / "silent.yaml", Member(lan.host("late")), fleet.head.host.address
    silent.write_text(CONFIG.format(address=head))
    fleet.head.potluck("down")
    fleet.head.potluck("up", "--detach", "--node", fleet.head.name, "--config", str(silent), "--port", "0")
    token = token_for(fleet, "late")

    _, why = join_by_token(late, token, expect=6)
    assert f"{head}:" not in why

    late.start("join", f"{head}:8401", "--token", token)  # in the foreground, as under a service manager
    said = late.host.root / "service.log"
    eventually(lambda: "the head reaches this machine: ready" in said.read_text(), 60, "late is ready, and says so")
