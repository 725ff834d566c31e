import pytest

from cli.firewall import plan_of
from cluster.config import ClusterConfig
from cluster.firewall import NotAnAddressError
from cluster.snapshot import SCHEMA_VERSION, ClusterSnapshot, NodeAddress, NodeView
from nodes.snapshot import NodeId

CONFIG = ClusterConfig.model_validate({"version": 1, "cluster": {"listen": "10.77.0.1"}})


def a_snapshot(*addresses: NodeAddress | None) -> ClusterSnapshot:
    nodes = tuple(
        NodeView(
            node_id=NodeId(f"n{number}"),
            state="ready",
            reason="",
            since_s=0,
            link="https",
            snapshot=None,
            address=address,
        )
        for number, address in enumerate(addresses)
    )
    return ClusterSnapshot(SCHEMA_VERSION, "home", 1, 1, 1, 0.0, nodes, (), ())


def test_members_are_the_head_and_whoever_joined_and_their_ports_are_guarded() -> None:
    plan = plan_of(CONFIG, a_snapshot(None, NodeAddress("10.77.0.2", 8402)), ("10.77.0.9",))

    assert plan.members == ("10.77.0.1", "10.77.0.2", "10.77.0.9")
    assert [(port.first, port.last) for port in plan.guarded] == [(8402, 8402), (8410, 8416), (8420, 8459)]
    assert [port.first for port in plan.open] == [8400, 8401]


def test_without_ray_its_ports_are_not_mentioned() -> None:
    without = CONFIG.model_copy(update={"ray": CONFIG.ray.model_copy(update={"enabled": False})})

    assert plan_of(without, a_snapshot(), ()).guarded == ()


def test_a_member_that_is_known_by_name_must_be_given_by_address() -> None:
    with pytest.raises(NotAnAddressError):
        plan_of(CONFIG, a_snapshot(NodeAddress("studio.local", 8402)), ())
