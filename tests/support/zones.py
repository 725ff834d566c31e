"""Clusters for tests of privacy zones: machines of this loop, each in a zone, and keys of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cluster.privacy import ClassRule
from cluster.snapshot import ClusterSnapshot, ModelState, NodeView
from nodes.snapshot import EngineSnapshot, NodeId
from support.gateway import KEY, Running, access_with, cluster_of, key_record, node_with

MEDICAL_KEY = "pl_medic1_" + "m" * 43
CLASSES = (ClassRule("medical", ("clinic",)), ClassRule("private"), ClassRule("staff", ("clinic", "office")))
HEADER = "x-potluck-data-class"


def machine(name: str, zone: str, engines: Sequence[EngineSnapshot] = ()) -> NodeView:
    node = node_with(engines)
    return replace(node, node_id=NodeId(name), zone=zone)


def zoned(
    nodes: Sequence[NodeView], sequence: int, classes: Sequence[ClassRule] = CLASSES, state: ModelState = "ready"
) -> ClusterSnapshot:
    """The first machine is the gateway's own."""
    snapshot = cluster_of((), sequence=sequence)
    zones = tuple(sorted({node.zone for node in nodes}))
    model = replace(snapshot.models[0], state=state, zones=zones, keep_alive_s=600.0)
    return replace(snapshot, nodes=tuple(nodes), classes=tuple(classes), models=(model,))


def publish(
    running: Running, *nodes: NodeView, classes: Sequence[ClassRule] = CLASSES, state: ModelState = "ready"
) -> None:
    assert running.view.cluster is not None
    running.view.install_cluster(zoned(nodes, running.view.cluster.sequence + 1, classes, state))


def let_in(running: Running, keys: Mapping[str, str]) -> None:
    """Keys, and the class of each, beside the owner's."""
    assert running.view.access is not None
    records = [replace(key_record(key), data_class=name) for key, name in {KEY: "private", **keys}.items()]
    running.view.install_access(access_with(running.paths, records, running.view.access.sequence + 1))
