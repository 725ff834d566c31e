"""The gateway's log: one event plus fields. Which fields there are is said in inventory.logs, for all rooms."""

from typing import Protocol

import structlog

Field = str | int | float | None


class EventLog(Protocol):
    def emit(self, event: str, **fields: Field) -> None: ...


class StructuredLog:
    """Hands events to structlog."""

    def __init__(self) -> None:
        self._logger = structlog.get_logger("potluck.gateway")

    def emit(self, event: str, **fields: Field) -> None:
        self._logger.info(event, **fields)
