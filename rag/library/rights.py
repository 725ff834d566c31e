"""What somebody who knows of a store may not do with it, and whom to ask. Pure."""

from typing import Literal

from cluster.grants import may_change, may_read, may_share
from cluster.knowledge import KnowledgeError, Reader
from rag.library.rows import StoreRow

Right = Literal["see", "read", "read_whole", "change", "share"]
"""read_whole: a document from its beginning to its end, and not only what of it was found."""


def refuse(reader: Reader, row: StoreRow, right: Right) -> None:
    """Raises KnowledgeError for what he may not; he is one who may see it."""
    if right == "see" or may_change(reader, row):
        return
    if right == "share":
        allowed = may_share(reader, row)
    elif right == "change":
        allowed = False
    else:
        allowed = may_read(reader, row) and not (right == "read_whole" and row.licence)
    if not allowed:
        raise _forbidden(reader, row, right)


def _forbidden(reader: Reader, row: StoreRow, right: Right) -> KnowledgeError:
    name = f"vector store {row.store_id}"
    if not may_read(reader, row):
        return KnowledgeError(
            "forbidden",
            "not_a_reader",
            f"{name} is not yours to {'change' if right == 'change' else 'read'}: you administer it, and may say who "
            f"may. Grant it to yourself first, which the audit shows: potluck rag share {row.store_id} --with GRANT",
        )
    if right == "read_whole":
        return KnowledgeError(
            "forbidden",
            "licensed",
            f"{name} holds licensed material ({row.licence}): what is found of it may be read, its documents as a "
            "whole only by its owners; ask one of them",
        )
    return KnowledgeError(
        "forbidden", "not_an_owner", f"you may read {name}, and not change it; ask one of its owners to, or to share it"
    )
