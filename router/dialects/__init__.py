"""Wire dialects: each file translates one public API to and from the one internal request. Dialects die here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from router.dialects import chat, completions, embeddings, messages, ollama, ollama_embed, rerank, responses
from router.dialects.error_shapes import ErrorShape, shape_at
from router.request import Api, Parsed


@dataclass(frozen=True, slots=True)
class Dialect:
    """One inference route. `parse` raises ApiError 400 that names the field."""

    api: Api
    path: str
    parse: Callable[[bytes], Parsed]
    error_body: ErrorShape
    also_at: tuple[str, ...] = ()


def _dialect(api: Api, path: str, parse: Callable[[bytes], Parsed], *also_at: str) -> Dialect:
    return Dialect(api, path, parse, shape_at(path), also_at)


DIALECTS: Mapping[Api, Dialect] = MappingProxyType(
    {
        dialect.api: dialect
        for dialect in (
            _dialect("chat", "/v1/chat/completions", chat.parse),
            _dialect("completions", "/v1/completions", completions.parse),
            _dialect("messages", "/v1/messages", messages.parse),
            _dialect("responses", "/v1/responses", responses.parse),
            _dialect("ollama_chat", "/api/chat", ollama.parse_chat),
            _dialect("ollama_generate", "/api/generate", ollama.parse_generate),
            _dialect("embeddings", "/v1/embeddings", embeddings.parse),
            _dialect("rerank", "/v1/rerank", rerank.parse, "/rerank", "/v2/rerank"),
            _dialect("ollama_embed", "/api/embed", ollama_embed.parse),
            _dialect("ollama_embeddings", "/api/embeddings", ollama_embed.parse_old),
        )
    }
)
