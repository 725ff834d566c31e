"""What machines of a sealed cluster may reach, and that members follow when a cluster is sealed no longer."""

from pathlib import Path

from cluster.join_records import Member
from cluster.sealed_members import SealedMembers
from inventory.paths import StatePaths
from nodes.api_wire import SealedOrder
from nodes.sealing.orders import follow
from nodes.sealing.place import SealedRules, is_sealed, note_asked, read_rules, write_rules
from nodes.snapshot import NodeId
from support.joining import eventually, free_port, joined, joiner, running_head, running_node
from support.manual_clock import ManualClock

MEMBERS = (Member(NodeId("mac"), "10.1.0.7", 8402), Member(NodeId("rtx"), "localhost", 8402))


def test_the_head_may_reach_its_members_and_the_networks_that_cluster_yaml_names(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path)
    members = SealedMembers(paths, "10.1.0.1", ("10.9.0.0/16",), ManualClock())
    members.admit(MEMBERS)
    before = read_rules(paths)
    members.admit(MEMBERS[1:])  # one was removed
    after = read_rules(paths)

    assert before is not None and after is not None
    assert before.sealed and {"10.9.0.0/16", "10.1.0.7/32"} <= set(before.networks)
    assert "localhost" in before.names
    assert set(before.networks) - set(after.networks) == {"10.1.0.7/32"}


def test_a_head_that_is_not_sealed_writes_no_rules(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path)
    SealedMembers(paths, "10.1.0.1", None, ManualClock()).admit(MEMBERS)

    assert read_rules(paths) is None


def test_a_machine_that_its_own_operator_sealed_stays_sealed(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path)
    write_rules(paths, SealedRules(True))
    note_asked(paths, True)
    follow(paths, SealedOrder(False))
    before = is_sealed(paths)
    note_asked(paths, False)
    follow(paths, SealedOrder(False))

    assert (before, is_sealed(paths)) == (True, False)


async def test_a_member_that_was_sealed_follows_a_head_that_is_not(tmp_path: Path) -> None:
    paths = joiner(tmp_path)

    async def is_open() -> bool:
        return not is_sealed(paths)

    async with running_head(tmp_path / "head") as head:
        await joined(paths, *await head.token(), port=free_port())
        write_rules(paths, SealedRules(True, ("10.1.0.1/32",)))  # told by a head that was
        async with running_node(paths):
            assert await eventually(is_open, "the member is told")
