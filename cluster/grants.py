"""Who may read a space of documents, who may change it, and who may say so. Pure.

A grant is text: `key:ID`, `group:NAME`, `user:NAME`, `role:NAME` or `everyone`. It reaches people of the space's tenant
only; of a space of the cluster's owner, whose key is alone in its tenant, whoever of the cluster it names: names of
groups and users are the cluster's there. A user is whom a front end names, or the subject of an issuer's token.
"""

from collections.abc import Iterable
from typing import Protocol, get_args

from cluster.key_order import OWNER
from cluster.knowledge import KnowledgeError, Reader
from cluster.roles import Role

EVERYONE = "everyone"
KINDS = ("key", "group", "user", "role")
MOST_GRANTS = 200  # of one kind of right to one space
LONGEST = 256


class Shared(Protocol):
    """What has owners and readers: a Store, as a door knows it, and the library's own row."""

    @property
    def tenant(self) -> str: ...

    @property
    def owners(self) -> tuple[str, ...]: ...

    @property
    def readers(self) -> tuple[str, ...]: ...


def may_change(reader: Reader, space: Shared) -> bool:
    """What is in it, what it is called, and who may read it: its owners."""
    return reaches(space.tenant, reader) and any(holds(reader, grant) for grant in space.owners)


def may_read(reader: Reader, space: Shared) -> bool:
    """Its owners may as well."""
    return reaches(space.tenant, reader) and any(holds(reader, grant) for grant in (*space.owners, *space.readers))


def may_share(reader: Reader, space: Shared) -> bool:
    """Say who may read and change it, or drop it: its owners, and its tenant's admins, who see no document for that."""
    return may_change(reader, space) or (reader.tenant == space.tenant and reader.role == "admin")


def may_see(reader: Reader, space: Shared) -> bool:
    """That it is there, what it is called and how large it is."""
    return may_read(reader, space) or may_share(reader, space)


def reaches(tenant: str, reader: Reader) -> bool:
    """Whether grants of this tenant's spaces can name him."""
    return tenant in tenants_of(reader)


def tenants_of(reader: Reader) -> tuple[str, ...]:
    """Whose spaces may be shared with him."""
    return (reader.tenant,) if reader.tenant == OWNER else (reader.tenant, OWNER)


def holds(reader: Reader, grant: str) -> bool:
    """Whether he is among those whom a grant means. What cannot be read means nobody."""
    if grant == EVERYONE:
        return True
    kind, _, name = grant.partition(":")
    if kind == "key":
        return bool(name) and name in (reader.key_id, reader.line)
    found = {"group": reader.group, "user": reader.user, "role": reader.role}.get(kind)
    return bool(name) and found == name


def maker(reader: Reader) -> str:
    """Whose a space is that he makes: the person's where one is named, as several may share a front end's key."""
    return f"user:{reader.user}" if reader.user else f"key:{reader.line or reader.key_id}"


def checked(grants: Iterable[str], param: str) -> tuple[str, ...]:
    """Each once, in their order. Raises KnowledgeError."""
    found = tuple(dict.fromkeys(grant.strip() for grant in grants))
    for grant in found:
        trouble = _trouble(grant)
        if trouble is not None:
            raise KnowledgeError("invalid", "invalid_grant", f"`{grant[:80]}` {trouble}", param)
    if len(found) > MOST_GRANTS:
        message = f"{len(found)} grants are more than {MOST_GRANTS}: give a group's, and put keys into it"
        raise KnowledgeError("invalid", "invalid_grant", message, param)
    return found


def _trouble(grant: str) -> str | None:
    kind, _, name = grant.partition(":")
    if grant == EVERYONE:
        return None
    if kind not in KINDS or not name or len(grant) > LONGEST or not grant.isprintable():
        return "is no grant: key:ID, group:NAME, user:NAME, role:NAME or everyone"
    if kind == "role" and name not in get_args(Role):
        return f"names no role: there is {', '.join(get_args(Role))}"
    return None
