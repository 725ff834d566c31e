"""What went wrong with documents, as the error of a request."""

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType

from cluster.knowledge import KnowledgeError, Trouble
from router.errors import ApiError

RETRY_S = 5
_STATUSES: Mapping[Trouble, int] = MappingProxyType(
    {
        "not_found": 404,
        "forbidden": 403,
        "invalid": 400,
        "conflict": 409,
        "too_large": 413,
        "unsupported_file": 400,
        "no_encoder": 400,
        "limited": 429,
        "not_ready": 503,
        "broken": 500,
    }
)


def as_api_error(error: KnowledgeError, param: str | None = None) -> ApiError:
    """`param`: the field of the body that named what is not there, where the error does not know it."""
    said = ApiError(_STATUSES[error.trouble], error.code, error.message, error.param or param)
    if error.trouble not in ("limited", "not_ready"):
        return said
    return said.retry_after(RETRY_S if error.retry_s is None else ceil(error.retry_s))


def no_documents() -> ApiError:
    return ApiError(
        503, "documents_off", "this gateway keeps no documents, so it cannot search any; leave the tool out"
    )
