"""What spans and their attributes are called: OpenTelemetry's names for generative AI, still in development, in this
one place. No attribute holds a word of a prompt or an answer, a key, or a person."""

from collections.abc import Mapping

from router.accounting import RequestRecord
from router.call_report import NO_MODEL
from router.request import Api

PROVIDER = "potluck"
OPERATIONS: Mapping[Api, str] = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "ollama_chat": "chat",
    "completions": "text_completion",
    "ollama_generate": "text_completion",
    "embeddings": "embeddings",
    "ollama_embed": "embeddings",
    "ollama_embeddings": "embeddings",
    "rerank": "rerank",  # has no name of theirs
}
QUEUE, PREFILL, DECODE = "queue", "prefill", "decode"  # parts of a request

Value = str | int | float | bool


def span_name(record: RequestRecord) -> str:
    operation = OPERATIONS[record.api]
    return operation if record.model == NO_MODEL else f"{operation} {record.model}"


def attributes(record: RequestRecord) -> dict[str, Value]:
    """What is unknown is left out."""
    known = record.model != NO_MODEL  # else the name is a client's own text
    found: dict[str, Value | None] = {
        "gen_ai.operation.name": OPERATIONS[record.api],
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": record.model_asked if known else None,
        "gen_ai.request.stream": record.stream,
        "gen_ai.response.model": record.model if known else None,
        "gen_ai.response.time_to_first_chunk": record.first_byte_s,
        "gen_ai.usage.input_tokens": record.input_tokens,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": record.reasoning_tokens,
        "http.response.status_code": record.status,
        "error.type": record.error_code,
        "potluck.request_id": record.request_id,
        "potluck.outcome": record.outcome,
        "potluck.node": record.node_id,
        "potluck.engine": record.engine_id,
        "potluck.model_revision": record.model_revision,
        "potluck.route_reason": record.route_reason,
        "potluck.attempts": record.attempts,
        "potluck.queued_s": record.queued_s,
        "potluck.cache_hit": record.cache_hit,
    }
    return {name: value for name, value in found.items() if value is not None}
