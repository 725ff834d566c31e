"""What the gateway gives to whoever keeps documents, and what it gets. The composition root joins the two."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import httpx2

from cluster.erasure import Erasable
from cluster.knowledge import Counts, Reader
from cluster.pii.policy import PiiRules
from cluster.privacy import Witness
from cluster.whereabouts import Whereabouts
from inventory.clock import Clock
from inventory.paths import StatePaths
from nodes.snapshot import NodeId
from router.log import EventLog
from router.server_tools import Knowledge


class ClientFor(Protocol):
    def __call__(self, reader: Reader, background: bool = False) -> httpx2.AsyncClient:
        """A client of this gateway's `/v1/`, as this reader. `background`: its requests run where nobody asks, and wait
        for that."""
        ...


@dataclass(frozen=True, slots=True)
class Around:
    """What there is of a gateway around its documents."""

    paths: StatePaths
    client_for: ClientFor
    encoders: Callable[[Reader], tuple[str, ...]]  # models that make vectors for this reader, those awake first
    where: Callable[[], Whereabouts]  # machines are, and which privacy classes may be there
    ray_nodes: Callable[[], tuple[NodeId, ...]]  # machines that take jobs by Ray at the moment
    pii: Callable[[], PiiRules]  # what cluster.yaml says of personal data
    pseudonym_key: Callable[[str], bytes]  # of a tenant
    clock: Clock
    log: EventLog
    witness: Witness | None = None  # keeps, for the audit, which machine had documents of which class


class Room(Protocol):
    """Where documents are kept and read."""

    @property
    def knowledge(self) -> Knowledge: ...

    @property
    def erasable(self) -> Erasable: ...

    def keep_out(self, is_kept_out: Callable[[str], bool]) -> None:
        """Files of folders, by their path, that are not to be read again. `is_kept_out` blocks."""
        ...

    async def files(self) -> Counts:
        """Of all stores."""
        ...

    async def run(self) -> None:
        """Read what is to be read, until cancelled."""
        ...

    async def close(self) -> None: ...


OpenRoom = Callable[[Around], Room]
"""Raises KnowledgeError where documents cannot be kept, which then says why. Called in the gateway's loop."""
