"""Everybody who may ask a gateway, from nobody to its admin: their keys, and which routes answer whom."""

from collections.abc import Mapping
from dataclasses import replace

from cluster.roles import Role
from cluster.snapshot import KeyRecord
from support.gateway import key_record

EVERYBODY = frozenset({"nobody", "stranger", "expired", "admin", "operator", "user", "display", "narrow"})
KEYS = {name: f"pl_{name}_" + "s" * 43 for name in EVERYBODY - {"nobody", "stranger"}}
WRONG_KEY = KEYS["admin"][:-1] + "x"
ANSWERED: Mapping[str, frozenset[str]] = {  # written down a second time: the gateway's own table may be wrong
    "/healthz": EVERYBODY,
    "/readyz": EVERYBODY,
    "/v1/chat/completions": frozenset({"admin", "operator", "user"}),
    "/v1/completions": frozenset({"admin", "operator", "user"}),
    "/v1/responses": frozenset({"admin", "operator", "user"}),
    "/v1/messages": frozenset({"admin", "operator", "user"}),
    "/v1/messages/count_tokens": frozenset({"admin", "operator", "user"}),
    "/tokenize": frozenset({"admin", "operator", "user"}),
    "/detokenize": frozenset({"admin", "operator", "user"}),
    "/v1/models": frozenset({"admin", "operator", "user", "display", "narrow"}),
    "/v1/models/{model_id:path}": frozenset({"admin", "operator", "user", "display", "narrow"}),
    "/v1/files": frozenset({"admin", "operator", "user"}),
    "/v1/files/{file_id}": frozenset({"admin", "operator", "user"}),
    "/v1/files/{file_id}/content": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}/search": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}/files": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}/files/{file_id}": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}/files/{file_id}/content": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}/files/{file_id}/versions": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}/files/{file_id}/diff": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}/file_batches": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel": frozenset({"admin", "operator", "user"}),
    "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files": frozenset({"admin", "operator", "user"}),
    "/v1/batches": frozenset({"admin", "operator", "user"}),
    "/v1/batches/{batch_id}": frozenset({"admin", "operator", "user"}),
    "/v1/batches/{batch_id}/cancel": frozenset({"admin", "operator", "user"}),
    "/api/chat": frozenset({"admin", "operator", "user"}),
    "/api/generate": frozenset({"admin", "operator", "user"}),
    "/v1/embeddings": frozenset({"admin", "operator", "user"}),
    "/v1/rerank": frozenset({"admin", "operator", "user"}),
    "/v2/rerank": frozenset({"admin", "operator", "user"}),
    "/rerank": frozenset({"admin", "operator", "user"}),
    "/api/embed": frozenset({"admin", "operator", "user"}),
    "/api/embeddings": frozenset({"admin", "operator", "user"}),
    "/api/tags": frozenset({"admin", "operator", "user", "display", "narrow"}),
    "/api/ps": frozenset({"admin", "operator", "user", "display", "narrow"}),
    "/api/show": frozenset({"admin", "operator", "user", "display", "narrow"}),
    "/api/version": frozenset({"admin", "operator", "user", "display", "narrow"}),
    "/openapi.json": frozenset({"admin", "operator", "user", "display", "narrow"}),
    "/metrics": frozenset({"admin", "operator", "display"}),
    "/api/v1/prometheus-sd": frozenset({"admin", "operator", "display"}),
    "/api/v1/route/explain": frozenset({"admin", "operator"}),
    "/dashboard": EVERYBODY,
    "/dashboard/{path:path}": EVERYBODY,
    "/dashboard/session": frozenset({"admin", "operator", "user", "display", "narrow"}),
    "/dashboard/ways": EVERYBODY,
    "/dashboard/oidc/login": EVERYBODY,  # where nobody is named as issuer, back to the page
    "/dashboard/oidc/back": EVERYBODY,
    "/api/v1/state": frozenset({"admin", "operator", "display"}),
    "/api/v1/events": frozenset({"admin", "operator", "display"}),
    "/api/v1/fit": frozenset({"admin", "operator", "display"}),
    "/api/v1/fit/frontier": frozenset({"admin", "operator", "display"}),
    "/api/v1/artifacts": frozenset({"admin", "operator", "display"}),
    "/api/v1/keys": frozenset({"admin", "operator"}),
    "/api/v1/usage": frozenset({"admin", "operator"}),
    "/api/v1/audit": frozenset({"admin"}),
    "/api/v1/audit/verdict": frozenset({"admin"}),
    "/api/v1/nodes/{name}/cordon": frozenset({"admin", "operator"}),
    "/api/v1/nodes/{name}/uncordon": frozenset({"admin", "operator"}),
    "/api/v1/nodes/{name}/drain": frozenset({"admin", "operator"}),
    "/api/v1/models/{name}/load": frozenset({"admin", "operator"}),
    "/api/v1/models/{name}/unload": frozenset({"admin", "operator"}),
    "/api/v1/privacy/preview": frozenset({"admin"}),
    "/api/v1/privacy/export": frozenset({"admin"}),
    "/api/v1/privacy/erase": frozenset({"admin"}),
    "/api/v1/privacy/erasures": frozenset({"admin"}),
    "/api/v1/privacy/replay": frozenset({"admin"}),
    "/api/v1/rag/folders": frozenset({"admin", "operator"}),
    "/api/v1/rag/folders/{folder_id}": frozenset({"admin", "operator"}),
    "/api/v1/rag/usual": frozenset({"admin", "operator"}),
    "/api/v1/rag/search": frozenset({"admin", "operator", "user"}),
    "/api/v1/rag/retry": frozenset({"admin", "operator", "user"}),
    "/api/v1/decisions": frozenset({"admin", "operator"}),
    "/api/v1/decisions/{request_id}": frozenset({"admin", "operator"}),
}


def records() -> list[KeyRecord]:
    roles: Mapping[str, Role] = {"operator": "operator", "user": "user", "display": "display", "narrow": "user"}
    return [
        replace(
            key_record(key, expires_s=1 if name == "expired" else None),
            role=roles.get(name, "admin"),
            scopes=("models.read",) if name == "narrow" else None,
        )
        for name, key in KEYS.items()
    ]


def key_of(who: str) -> str | None:
    return None if who == "nobody" else WRONG_KEY if who == "stranger" else KEYS[who]
