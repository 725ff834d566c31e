"""What clients are tried against: a real engine, and a model whose side a test writes."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from support.engines import FaultEngine
from support.gateway import KEY
from support.gateway import Running as Gateway
from support.machine import Machine, eventually
from support.machine import Running as Endpoint

CONTEXT_TOKENS = 1024  # a small model may never end by itself


@dataclass(frozen=True)
class RealModel:
    machine: Machine
    endpoint: Endpoint
    begun_s: float  # wall time; what arrived before is another test's

    def last(self, api: str) -> tuple[str, int]:
        """Outcome and tokens made of the last request in this dialect, once it is on record."""
        return eventually(lambda: self._last(api), 60, f"a request in the dialect {api} on record")

    def _last(self, api: str) -> tuple[str, int] | None:
        query = (
            "SELECT outcome, output_tokens FROM request_facts "
            "WHERE json_extract(record, '$.api') = ? AND arrived_s >= ? ORDER BY sequence DESC LIMIT 1"
        )
        with closing(sqlite3.connect(f"file:{self.machine.state_dir}/telemetry.db?mode=ro", uri=True)) as database:
            row: tuple[str, int] | None = database.execute(query, (api, self.begun_s)).fetchone()
        return row


@dataclass(frozen=True)
class ScriptedModel:
    gateway: Gateway
    engine: FaultEngine

    @property
    def base_url(self) -> str:
        return self.gateway.base_url

    @property
    def key(self) -> str:
        return KEY

    def will(self, *turns: dict[str, Any]) -> None:
        self.engine.script(*turns)

    async def answered(self) -> list[tuple[str, int]]:
        """Dialect and status of every inference request, once none is under way."""
        await self.gateway.until_idle()
        return [(record.api, record.status) for record in self.gateway.finished()]
