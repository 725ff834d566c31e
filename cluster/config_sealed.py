"""The section `sealed` of cluster.yaml: whether the cluster's processes may reach anybody outside it."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from cluster.config_section import Section


def _network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no network; write an address, or a range such as 10.0.0.0/24 or fd00:1::/64"
        ) from None
    if network.prefixlen == 0:
        raise ValueError(f"{text!r} is every address there is; leave out `sealed` where nothing is to be refused")
    return str(network)


Network = Annotated[
    str,
    AfterValidator(_network),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/24", "192.168.1.20", "fd00:1::/64"]}),
]


class SealedSection(Section):
    """Sealed: every process of potluck refuses each address but those of this machine, of the cluster's machines, and
    of these networks, and writes down who tried."""

    enabled: bool = False
    """Also `potluck up --sealed`. A change takes effect when the services start again."""
    networks: tuple[Network, ...] = ()
    """What may be reached beside them: the network of the cluster's machines, a Weaviate, an issuer of logins."""
