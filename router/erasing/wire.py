"""What clients send to the doors of privacy, and what those answer."""

from typing import Annotated

import msgspec
from msgspec import Meta, field

from cluster.erasure import Holding, Person
from router.dialects.common import Closed

Said = Annotated[str, Meta(min_length=1, max_length=512)]


class PersonBody(Closed):
    """Whom. `person`: a user, as a front end or an issuer names him, or a key's name or id. `identifiers`: how texts
    speak of him. `documents`: ids of files. `documents_that_name_them`: those of others go as well."""

    person: Annotated[str, Meta(max_length=512)] = ""
    identifiers: Annotated[list[Said], Meta(max_length=256)] = field(default_factory=list)
    documents: Annotated[list[Said], Meta(max_length=10_000)] = field(default_factory=list)
    documents_that_name_them: bool = False

    def told(self) -> Person:
        return Person(self.person, tuple(self.identifiers), tuple(self.documents), self.documents_that_name_them)


class HoldingObjects(msgspec.Struct):
    data: tuple[Holding, ...]
    object: str = "list"


class ErasureObject(msgspec.Struct, kw_only=True):
    """`state` "begun": it goes on by itself, and `trouble` says what keeps it. `outside`: originals in folders, which
    potluck reads and does not own: theirs to delete who put them there."""

    object: str = "privacy.erasure"
    id: str
    state: str
    begun_at: float
    done_at: float | None
    holdings: tuple[Holding, ...]
    trouble: str
    outside: tuple[str, ...] = ()


class ErasureObjects(msgspec.Struct):
    data: tuple[ErasureObject, ...]
    object: str = "list"


class ReplayObject(msgspec.Struct):
    """`erasures` are carried out once more, from now on."""

    erasures: int
    object: str = "privacy.replay"


class ReplayBody(Closed):
    """`list`: what `potluck privacy list` has written; without it those that are known here are carried out again."""

    list: str = ""
