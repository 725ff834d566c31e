"""The link to the node daemon of this same machine, over its private Unix socket."""

from pathlib import Path

from cluster.client_link import ClientLink
from cluster.link import LinkKind
from cluster.snapshot import NodeAddress
from nodes.client import NodeClient
from nodes.snapshot import NodeId


class LocalLink(ClientLink):
    """Implements cluster.link.NodeLink."""

    def __init__(self, node_id: NodeId, socket: Path, timeout_s: float = 5.0, reason: str = "") -> None:
        super().__init__(node_id, NodeClient(socket, timeout_s), reason)

    @property
    def kind(self) -> LinkKind:
        return "local"

    @property
    def address(self) -> NodeAddress | None:
        return None
