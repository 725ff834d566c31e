"""The gateway's log: one event plus fields from a closed list. A prompt, a key or a body has no field to be in."""

from typing import Protocol

import structlog

FIELDS = frozenset(
    {
        "age_s", "attempts", "code", "detail", "endpoint", "engine", "epoch", "error", "generation", "kind", "model",
        "node", "path", "reason", "request_id", "sequence", "status", "tries", "wait_s",
    }
)  # fmt: skip

Field = str | int | float | None


class EventLog(Protocol):
    def emit(self, event: str, **fields: Field) -> None: ...


class StructuredLog:
    """Hands events to structlog. Unknown fields are left out, and their names told."""

    def __init__(self) -> None:
        self._logger = structlog.get_logger("potluck.gateway")

    def emit(self, event: str, **fields: Field) -> None:
        known = {name: value for name, value in fields.items() if name in FIELDS}
        if len(known) < len(fields):
            known["detail"] = f"left out: {', '.join(sorted(fields.keys() - FIELDS))}"
        self._logger.info(event, **known)
