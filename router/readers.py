"""Who reads documents, by whose key or token a request came, and what privacy classes his question has."""

from typing import NamedTuple

from cluster.knowledge import Reader
from router.data_class import NONE
from router.request import Identity


def reader_of(identity: Identity, request_id: str = "", added: frozenset[str] = NONE) -> Reader:
    """`added`: privacy classes of what he asks, beside his key's own."""
    return Reader(
        identity.tenant, identity.key_id, identity.group, identity.data_class, identity.user, role=identity.role,
        pii=identity.pii, line=identity.line, request_id=request_id, classes=added,
    )  # fmt: skip


class Caller(NamedTuple):
    """Who asks at a door, the request by which the audit knows it, and the privacy classes that he named."""

    identity: Identity
    request_id: str
    added: frozenset[str] = NONE

    @property
    def reader(self) -> Reader:
        return reader_of(self.identity, self.request_id, self.added)
