"""Three hosts, three engine kinds, one endpoint, put together as a user does it: by pasted lines."""

import sys
from collections.abc import Iterator

import pytest

from support.fleet import HEAD, RTX, STUDIO, Fleet
from support.hosts import a_lan

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with a_lan() as lan:
        fleet = Fleet(lan)
        fleet.prepare()
        fleet.start_head()
        for name in (STUDIO, RTX):
            fleet.join(name)
        fleet.wait_until_serving(HEAD, STUDIO, RTX)
        yield fleet


def answering(fleet: Fleet) -> set[str]:
    """Nodes that answer a handful of questions asked at once, each with words."""
    answers = fleet.ask(9)
    assert all(text for _, text in answers), answers
    return {node for node, _ in answers}


def test_every_engine_kind_answers_behind_the_one_endpoint(fleet: Fleet) -> None:
    assert answering(fleet) == {HEAD, STUDIO, RTX}


def test_open_ports_are_the_documented_ones_and_refuse_strangers(fleet: Fleet) -> None:
    documented = {HEAD: {8401}, STUDIO: {8402}, RTX: {8402}}
    for name, ports in documented.items():
        open_ports = set(fleet.members[name].host.open_ports())
        assert open_ports == ports
    script = (  # with TLS 1.3 a client hears of its refusal only when it reads
        "import socket, ssl, sys\n"
        "context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE\n"
        "try:\n"
        "    with context.wrap_socket(socket.create_connection((sys.argv[1], 8402), 5)) as line:\n"
        "        line.sendall(b'GET /node/v1/observe HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n')\n"
        "        print(line.recv(100) or 'refused')\n"
        "except ssl.SSLError as error: print('refused', error.reason)\n"
        "except ConnectionError: print('refused')\n"
    )
    address = fleet.members[RTX].host.address
    told = fleet.members[STUDIO].host.run(sys.executable, "-c", script, address).stdout
    assert told.startswith("refused"), told
