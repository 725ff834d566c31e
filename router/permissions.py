"""Which scope each route needs, and what a key may ask for. A route that is not named here answers nobody."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from cluster.roles import Scope
from router.errors import ApiError
from router.request import Identity

OPEN_ROUTES = frozenset({"/healthz", "/readyz", "/dashboard", "/dashboard/{path:path}", "/dashboard/ways"})
"""For supervisors and load balancers, and the dashboard's page before anybody has logged in: no name, no figure; of the
issuer only what its button says."""
LOGIN_ROUTES = frozenset({"/dashboard/session", "/dashboard/oidc/login", "/dashboard/oidc/back"})
"""They take a key in the body, a session's cookie, or whom an issuer sends, and look at it themselves."""
NEEDED: Mapping[str, Scope] = {
    "/v1/chat/completions": "inference",
    "/v1/completions": "inference",
    "/v1/responses": "inference",
    "/v1/messages": "inference",
    "/v1/messages/count_tokens": "inference",
    "/tokenize": "inference",
    "/detokenize": "inference",
    "/v1/models": "models.read",
    "/v1/models/{model_id:path}": "models.read",
    "/v1/files": "inference",
    "/v1/files/{file_id}": "inference",
    "/v1/files/{file_id}/content": "inference",
    "/v1/vector_stores": "inference",
    "/v1/vector_stores/{vector_store_id}": "inference",
    "/v1/vector_stores/{vector_store_id}/search": "inference",
    "/v1/vector_stores/{vector_store_id}/files": "inference",
    "/v1/vector_stores/{vector_store_id}/files/{file_id}": "inference",
    "/v1/vector_stores/{vector_store_id}/files/{file_id}/content": "inference",
    "/v1/vector_stores/{vector_store_id}/files/{file_id}/versions": "inference",
    "/v1/vector_stores/{vector_store_id}/files/{file_id}/diff": "inference",
    "/v1/vector_stores/{vector_store_id}/file_batches": "inference",
    "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}": "inference",
    "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel": "inference",
    "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files": "inference",
    "/v1/batches": "inference",
    "/v1/batches/{batch_id}": "inference",
    "/v1/batches/{batch_id}/cancel": "inference",
    "/api/chat": "inference",
    "/api/generate": "inference",
    "/v1/embeddings": "inference",
    "/v1/rerank": "inference",
    "/v2/rerank": "inference",
    "/rerank": "inference",
    "/api/embed": "inference",
    "/api/embeddings": "inference",
    "/api/tags": "models.read",
    "/api/ps": "models.read",
    "/api/show": "models.read",
    "/api/version": "models.read",
    "/openapi.json": "models.read",
    "/metrics": "metrics.read",
    "/api/v1/prometheus-sd": "metrics.read",
    "/api/v1/route/explain": "route.explain",
    "/api/v1/state": "status.read",
    "/api/v1/events": "status.read",
    "/api/v1/fit": "status.read",
    "/api/v1/fit/frontier": "status.read",
    "/api/v1/artifacts": "status.read",
    "/api/v1/keys": "usage.read",
    "/api/v1/usage": "usage.read",
    "/api/v1/audit": "audit.read",
    "/api/v1/audit/verdict": "audit.read",
    "/api/v1/nodes/{name}/cordon": "operate",
    "/api/v1/nodes/{name}/uncordon": "operate",
    "/api/v1/nodes/{name}/drain": "operate",
    "/api/v1/models/{name}/load": "operate",
    "/api/v1/models/{name}/unload": "operate",
    "/api/v1/privacy/preview": "admin",
    "/api/v1/privacy/export": "admin",
    "/api/v1/privacy/erase": "admin",
    "/api/v1/privacy/erasures": "admin",
    "/api/v1/privacy/replay": "admin",
    "/api/v1/rag/folders": "operate",
    "/api/v1/rag/folders/{folder_id}": "operate",
    "/api/v1/rag/usual": "operate",
    "/api/v1/rag/search": "inference",
    "/api/v1/rag/retry": "inference",
    "/api/v1/decisions": "route.explain",
    "/api/v1/decisions/{request_id}": "route.explain",
}


def refusal(identity: Identity, route: str) -> ApiError | None:
    """Why this caller may not use a route, by its path as it was declared; None if nothing is against it."""
    needed = NEEDED.get(route)
    if needed is not None and needed in identity.scopes:
        return None
    lacks = f"it lacks the scope `{needed}`" if needed is not None else "no key may use this route"
    return ApiError(403, "missing_scope", f"this key ({identity.role}) is not allowed to do that: {lacks}")


def sees(identity: Identity, *names: str) -> bool:
    """Whether a key may use a model that goes by these names: its own, and the alias by which it was asked for."""
    if identity.models is None:
        return True
    return any(fnmatchcase(name, pattern) for pattern in identity.models for name in names)


def visible(identity: Identity, names: Iterable[tuple[str, str]]) -> list[str]:
    """Of pairs (what a client may ask for, the model it stands for) the former that this key may ask for."""
    return [asked for asked, name in names if sees(identity, asked, name)]
