"""When a session's cookie stands for its key: only where the dashboard's own page asks, never another's."""

from collections.abc import Mapping

NAME = "potluck_session"
OWN_HEADER = b"x-potluck-dashboard"
ROUTES = frozenset(
    {
        "/api/v1/state",
        "/api/v1/events",
        "/api/v1/fit",
        "/api/v1/fit/frontier",
        "/api/v1/artifacts",
        "/api/v1/keys",
        "/api/v1/usage",
        "/api/v1/audit",
        "/api/v1/audit/verdict",
        "/api/v1/nodes/{name}/cordon",
        "/api/v1/nodes/{name}/uncordon",
        "/api/v1/nodes/{name}/drain",
        "/api/v1/models/{name}/load",
        "/api/v1/models/{name}/unload",
        "/api/v1/decisions",
        "/api/v1/decisions/{request_id}",
        "/api/v1/route/explain",
        "/api/v1/rag/folders",
        "/api/v1/rag/retry",
        "/api/v1/rag/search",
        "/v1/files",
        "/v1/vector_stores",
        "/v1/vector_stores/{vector_store_id}",
        "/v1/vector_stores/{vector_store_id}/files",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}/content",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}/diff",
        "/v1/vector_stores/{vector_store_id}/files/{file_id}/versions",
    }
)
"""Those that it opens: documents, too, as people look into theirs. Inference is not among them: programs have keys."""
_SAFE = frozenset({"GET", "HEAD"})

Headers = Mapping[bytes, bytes]  # names in lower case


def session_id(headers: Headers) -> str | None:
    """As the cookie says. Whatever else lies in the same jar is read as browsers write it."""
    for pair in headers.get(b"cookie", b"").split(b";"):
        name, _, value = pair.strip().partition(b"=")
        if name == NAME.encode():
            return value.decode("latin-1")
    return None


def own_page(method: str, headers: Headers) -> bool:
    """Whether the request may come from our page. What changes or costs something needs a proof: a header that no form
    can send, and the browser's own word for where it comes from."""
    if not same_origin(headers):
        return False
    told_so = _from_here(headers) or _fetched_here(headers)
    return method in _SAFE or (headers.get(OWN_HEADER) == b"1" and told_so is True)


def same_origin(headers: Headers) -> bool:
    """False where the browser says that another page asks."""
    return False not in (_from_here(headers), _fetched_here(headers))


def _from_here(headers: Headers) -> bool | None:
    """By `Origin`; None where it is not said."""
    origin = headers.get(b"origin")
    if origin is None:
        return None
    scheme, _, host = origin.partition(b"://")
    return scheme in (b"http", b"https") and host.lower() == headers.get(b"host", b"").lower()


def _fetched_here(headers: Headers) -> bool | None:
    """By `Sec-Fetch-Site`; "none" is somebody who typed the address."""
    site = headers.get(b"sec-fetch-site")
    return None if site is None else site in (b"same-origin", b"none")
