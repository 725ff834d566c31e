"""Who reads documents, by whose key or token a request came."""

from cluster.knowledge import Reader
from router.request import Identity


def reader_of(identity: Identity) -> Reader:
    return Reader(identity.tenant, identity.key_id, identity.group, identity.data_class, identity.user)
