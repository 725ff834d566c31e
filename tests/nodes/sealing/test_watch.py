"""The watch over what no hook hears of: connections of other programs, seen while they last."""

import socket
import subprocess
import sys
from pathlib import Path

from inventory.paths import StatePaths
from nodes.role_lock import RoleLock
from nodes.sealing.guard import JOURNAL
from nodes.sealing.place import SealedRules, own_addresses, rules_for, write_rules
from nodes.sealing.watch import (
    JOURNAL_LIMIT_BYTES,
    Connection,
    SealedWatch,
    connections_of,
    keep_small,
    own_pids,
    strangers,
)
from support.sealed_journal import entries_of

RULES = SealedRules(True, ("10.1.0.0/24",), ())


def connection(address: str, local_port: int = 40000, listening: tuple[int, ...] = ()) -> Connection:
    return Connection(1, "engine", local_port, address, 443, frozenset(listening))


def test_only_what_began_here_and_leads_out_of_the_cluster_is_told() -> None:
    inside, answered = connection("10.1.0.7"), connection("203.0.113.9", 8443, (8443,))
    outside, local = connection("203.0.113.9"), connection("::ffff:127.0.0.1")

    assert strangers([inside, answered, outside, local], RULES) == (outside,)


def test_a_connection_of_a_child_of_a_service_is_found(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path).ensure()
    lock = RoleLock(paths.run, "gateway")  # this process stands for the service
    lock.acquire()
    program = (
        "import socket, sys; one = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); print('there'); input()"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None and child.stdout.readline() == "there\n"
        found = connections_of(own_pids(paths))
        child.communicate("\n")
    lock.release()

    assert (child.pid, "127.0.0.1", port, False) in {
        (one.pid, one.address, one.port, one.is_answer) for one in found if one.pid == child.pid
    }


def test_a_connection_that_passed_is_written_down_once_while_it_lasts(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path).ensure()
    write_rules(paths, RULES)
    watch = SealedWatch(paths)
    for seen in ([connection("203.0.113.9")], [connection("203.0.113.9")], [], [connection("203.0.113.9")]):
        watch.tell(seen)

    assert [(one.verdict, one.peer, one.process) for one in entries_of(paths)] == [
        ("passed", "203.0.113.9:443", "engine")
    ] * 2


def test_rules_hold_this_machines_own_addresses_and_those_of_the_cluster() -> None:
    made = rules_for(("10.1.0.0/24",), ("192.0.2.7", "localhost"))

    assert made.sealed
    assert {"10.1.0.0/24", "192.0.2.7/32"} <= set(made.networks)
    assert "localhost" in made.names
    assert all(made.allows(address) for address in own_addresses())
    assert not made.allows("203.0.113.9")


def test_a_journal_that_has_grown_makes_room_and_is_kept_once(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path).ensure()
    write_rules(paths, RULES)
    journal = paths.sealed / JOURNAL
    journal.write_bytes(b"x" * (JOURNAL_LIMIT_BYTES + 1))
    keep_small(paths)

    assert not journal.exists()
    assert journal.with_name(f"{JOURNAL}.1").stat().st_size == JOURNAL_LIMIT_BYTES + 1
