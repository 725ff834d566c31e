"""What a peer may do on a node's TLS port, by its role alone. Everything that is not listed is refused."""

import re
from dataclasses import dataclass

from nodes.api_wire import PREFIX
from nodes.artifact_wire import ARTIFACTS
from nodes.peer import PeerRole

ENGINES = "/engines/"
ENGINE_CALLS = frozenset(
    {
        ("GET", "/health"),
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/rerank"),
        ("POST", "/apply-template"),
        ("POST", "/tokenize"),
        ("POST", "/detokenize"),
    }
)
_ARTIFACT_COPY = re.compile(rf"{ARTIFACTS}/[0-9a-f]{{64}}/(manifest|files/[0-9]{{1,5}})")
_OBSERVING = frozenset({("GET", f"{PREFIX}/observe"), ("GET", f"{PREFIX}/protocol")})


@dataclass(frozen=True, slots=True)
class EngineCall:
    engine_id: str
    path: str  # on the engine's own wire


def engine_call(method: str, path: str) -> EngineCall | None:
    """`/engines/ID/REST` taken apart, where REST is on the allow-list."""
    if not path.startswith(ENGINES):
        return None
    engine_id, slash, rest = path[len(ENGINES) :].partition("/")
    return EngineCall(engine_id, slash + rest) if (method, slash + rest) in ENGINE_CALLS else None


def may(role: PeerRole, method: str, path: str) -> bool:
    """The controller commands, the gateway observes and uses engines, a node copies artifacts.

    Ending the daemon is for the owner of the machine, on its Unix socket.
    """
    if path.startswith(ENGINES):
        return role in ("controller", "gateway") and engine_call(method, path) is not None
    if path.startswith(f"{ARTIFACTS}/"):
        return role in ("controller", "node") and method == "GET" and _ARTIFACT_COPY.fullmatch(path) is not None
    if role == "controller":
        return path.startswith(f"{PREFIX}/") and path != f"{PREFIX}/shutdown"
    return role == "gateway" and (method, path) in _OBSERVING
