"""Who reads documents, by whose key or token a request came."""

from typing import NamedTuple

from starlette.requests import Request

from cluster.knowledge import Reader
from router.guard import caller
from router.request import Identity


def reader_of(identity: Identity, request_id: str = "") -> Reader:
    return Reader(
        identity.tenant, identity.key_id, identity.group, identity.data_class, identity.user, role=identity.role,
        request_id=request_id,
    )  # fmt: skip


class Caller(NamedTuple):
    """Who asks at a door, and the request by which the audit knows it."""

    identity: Identity
    request_id: str

    @property
    def reader(self) -> Reader:
        return reader_of(self.identity, self.request_id)


def asking(request: Request) -> Caller:
    return Caller(caller(request), request.state.request_id)
