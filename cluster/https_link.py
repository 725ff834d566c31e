"""The link to a node of another machine: the node API over mutual TLS, with the controller's certificate."""

import ssl

from cluster.client_link import ClientLink
from cluster.link import LinkKind
from cluster.snapshot import NodeAddress
from nodes.client import NodeClient
from nodes.snapshot import NodeId
from nodes.tls_client import PeerPlace


class HttpsLink(ClientLink):
    """Implements cluster.link.NodeLink."""

    def __init__(self, node_id: NodeId, address: NodeAddress, context: ssl.SSLContext, reason: str = "") -> None:
        """`reason`: why it is not reached through Ray."""
        super().__init__(node_id, NodeClient(PeerPlace("node", node_id, address.host, address.port, context)), reason)
        self._address = address

    @property
    def kind(self) -> LinkKind:
        return "https"

    @property
    def address(self) -> NodeAddress | None:
        return self._address
