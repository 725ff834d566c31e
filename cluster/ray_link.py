"""The link to a node through Ray: the bridge's socket, the node's agent, its daemon. The node API all the way."""

from pathlib import Path

from cluster.client_link import ClientLink
from cluster.link import LinkKind
from cluster.snapshot import NodeAddress
from nodes.client import BridgePlace, NodeClient
from nodes.snapshot import NodeId


class RayLink(ClientLink):
    """Implements cluster.link.NodeLink. `address` is where gateways reach the node: no byte of theirs goes here."""

    def __init__(self, node_id: NodeId, bridge: Path, address: NodeAddress | None, timeout_s: float = 5.0) -> None:
        super().__init__(node_id, NodeClient(BridgePlace(bridge, node_id), timeout_s))
        self._address = address

    @property
    def kind(self) -> LinkKind:
        return "ray"

    @property
    def address(self) -> NodeAddress | None:
        return self._address
